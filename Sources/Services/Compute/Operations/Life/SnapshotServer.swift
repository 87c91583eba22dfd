// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Makes an image of a server's root disk; a backup also lets the oldest of its kind go.
struct SnapshotServer: Operation {
    static let kind = "compute.snapshot"

    let server: String
    let image: String
    /// A backup's kind (`daily`, ...) and how many of it are kept.
    var backup: String?
    var rotation: Int?

    var subject: String { server }
    var deadline: Duration { .seconds(10_800) }

    private var copy: DiskCopy { DiskCopy(server: server, image: image) }

    var steps: [Step<ComputeSite>] {
        let copy = copy
        var steps: [Step<ComputeSite>] = [
            Step("reserve", do: { site async throws(Fault) in try await begin(site) }, undo: copy.forget),
            Step("snapshot", budget: .seconds(3600), pace: .long, do: copy.take, undo: copy.drop),
            Step("upload", attempts: 8, budget: .seconds(3600), pace: .long, do: copy.upload),
        ]
        if backup != nil { steps.append(Step("rotate", do: rotate)) }
        steps.append(Step("clean", attempts: 8, do: copy.drop))
        return steps
    }

    private func begin(_ site: ComputeSite) async throws(Fault) {
        if backup == nil { try await site.mark(server, .imageSnapshot) }
    }

    private func rotate(_ site: ComputeSite) async throws(Fault) {
        let images = site.room.images
        let all = try await images.list(
            [("image_type", "backup"), ("backup_type", backup ?? ""), ("instance_uuid", server)],
            requestID: site.requestID)
        for old in all.dropFirst(rotation ?? all.count) {
            // A protected backup stays, as upstream's does.
            do throws(Fault) { try await site.room.deleteImage(old, requestID: site.requestID) } catch {
                site.room.log.warning("a backup was not rotated out", ["image": old, "error": error.description])
            }
        }
    }

    func succeeded(_ site: ComputeSite) async throws(Fault) { try await site.settle(server) }

    func failed(_ site: ComputeSite, _ fault: Fault, step: String) async throws(Fault) {
        // Whoever deletes the image while it is made wants no snapshot any more: nothing failed.
        let isUnwanted = step == "upload" && fault.status == 404
        try await site.settle(server, message: isUnwanted ? nil : fault.message)
    }
}
