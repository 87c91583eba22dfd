// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

// Guests that are started from a kernel of their own (images of the kind `ami`).

extension ComputeSite {
    /// Brings the server's kernel to a host, if its image names one.
    func bringKernel(of server: Server, to host: any Hypervisor) async throws(Fault) {
        guard let kernel = server.imageProperties["kernel_id"], !kernel.isEmpty else { return }
        guard let able = host as? any KernelBoot else {
            throw Fault(501, "The hypervisor of instance \(server.id) cannot start it from a kernel.")
        }
        var ramdisk: ImageSource?
        if let id = server.imageProperties["ramdisk_id"], !id.isEmpty { ramdisk = try await kernelSource(id) }
        try await able.bring(kernel: try await kernelSource(kernel), ramdisk: ramdisk, for: server.id)
    }

    /// A file that is taken as it is, whatever Image calls its format: `aki`, `ari`.
    private func kernelSource(_ id: String) async throws(Fault) -> ImageSource {
        guard let image = try await room.images.find(id, requestID: requestID) else {
            throw .notFound("Image \(id) could not be found.")
        }
        let (images, requestID) = (room.images, requestID)
        return ImageSource(id: id, checksum: image.checksum, format: .raw, size: image.size) {
            path async throws(Fault) in
            let file = try NewFile(path)
            try await images.download(id, requestID: requestID) { bytes async throws(Fault) in try file.append(bytes) }
            try file.finish()
        }
    }
}

extension ImageClient.Image {
    /// Refuses an image whose kernel or ramdisk is not there for whoever asks.
    func requireKernel(_ request: Request) async throws(Fault) {
        for name in ["kernel_id", "ramdisk_id"] {
            guard let id = properties[name], !id.isEmpty else { continue }
            guard try await request.compute.images.find(id, requestID: request.id, as: request.caller) != nil else {
                throw .badRequest("Image \(id) could not be found.")
            }
        }
    }
}
