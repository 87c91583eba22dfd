// SPDX-License-Identifier: Apache-2.0
internal import Clients
internal import Kernel

/// The signature that an image's properties say its bytes have.
struct ImageSignature: Sendable {
    private let signed: SignedImage

    /// Nil when the image is not signed.
    init?(_ image: ImageRecord) throws(Fault) {
        guard let signed = try SignedImage({ image.properties[$0]?.string }) else { return nil }
        self.signed = signed
    }

    /// What reads all bytes and throws when they are not those that were signed.
    func check(_ room: ImageService) async throws(Fault) -> @Sendable (any ImageBytes) throws(Fault) -> Void {
        let certificate: [UInt8]
        do throws(Fault) { certificate = try await room.ports.certificates.certificate(signed.certificate) } catch {
            throw .unverified(error.message)
        }
        return { bytes throws(Fault) in
            let verifier = try signed.verifier(certificate)
            var offset = 0
            while offset < bytes.size {
                let piece = try bytes.read(at: offset, count: 1 << 20)
                guard !piece.isEmpty else { throw .unavailable("The image's data ended early.") }
                verifier.update(piece)
                offset += piece.count
            }
            try signed.require(verifier)
        }
    }
}
