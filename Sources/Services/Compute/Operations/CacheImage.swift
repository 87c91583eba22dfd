// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Brings one image to a host before a guest needs it: what clouds queued that had no `CacheImages` yet.
struct CacheImage: Operation {
    static let kind = "compute.cache-image"

    let host: String
    let image: String

    var subject: String { "cache " + host }

    var steps: [Step<ComputeSite>] { [Step("cache", attempts: 2, budget: .seconds(1800), do: keep)] }
    var deadline: Duration { .seconds(7200) }

    private func keep(_ site: ComputeSite) async throws(Fault) {
        guard let hypervisor = try site.room.hosts.find(host) as? any ImageKeeping else { return }
        try await hypervisor.keep(try await site.imageSource(of: image, isVerified: true))
    }

    func failed(_ site: ComputeSite, _ fault: Fault, step: String) async throws(Fault) {
        site.room.log.warning(
            "an image was not cached", ["host": host, "image": image, "error": fault.message])
    }
}
