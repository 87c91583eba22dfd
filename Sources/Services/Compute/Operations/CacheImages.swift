// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Has a host fetch images that it will need. An image that cannot be fetched keeps no other from it.
struct CacheImages: Operation {
    static let kind = "compute.cacheimages"

    let host: String
    let images: [String]

    var subject: String { host }
    var deadline: Duration { .seconds(7200) }

    var steps: [Step<ComputeSite>] {
        images.map { image in
            Step("image \(image)", budget: .seconds(3600)) { site async throws(Fault) in
                await fetch(image, site)
            }
        }
    }

    private func fetch(_ image: String, _ site: ComputeSite) async {
        do throws(Fault) {
            guard let keeper = try site.room.hosts.find(host) as? any ImageKeeping else {
                throw .conflict("The host keeps no images.")
            }
            try await keeper.keep(try await site.imageSource(of: image))
            site.room.log.info("an image was fetched beforehand", ["image": image, "host": host])
        } catch {
            // Whoever asked was told 202 long ago; the first boot will try again.
            site.room.log.warning(
                "an image could not be fetched beforehand", ["image": image, "host": host, "error": error.message])
        }
    }
}
