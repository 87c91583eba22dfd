// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// The signature that an image's properties say its bytes have. All four must be there; fewer are no signature.
struct ImageSignature: Sendable {
    private let signature: [UInt8]
    private let hash: SignatureVerifier.Hash
    private let key: SignatureVerifier.KeyType
    private let certificate: String

    /// Nil when the image is not signed.
    init?(_ image: ImageRecord) throws(Fault) {
        let texts = [
            "img_signature", "img_signature_hash_method", "img_signature_key_type",
            "img_signature_certificate_uuid",
        ].map { image.properties[$0]?.string }
        guard let signature = texts[0], let hash = texts[1], let key = texts[2], let certificate = texts[3] else {
            return nil
        }
        guard let bytes = Base64.decode(signature), !bytes.isEmpty else {
            throw .unverified("The signature data was not properly encoded using base64")
        }
        guard let method = SignatureVerifier.Hash(rawValue: hash) else {
            throw .unverified("Invalid signature hash method: \(hash)")
        }
        guard let type = SignatureVerifier.KeyType(rawValue: key) else {
            throw .unverified("Invalid signature key type: \(key)")
        }
        self.signature = bytes
        self.hash = method
        self.key = type
        self.certificate = certificate
    }

    /// What reads all bytes and throws when they are not those that were signed.
    func check(_ room: ImageService) async throws(Fault) -> @Sendable (any ImageBytes) throws(Fault) -> Void {
        let certificate: [UInt8]
        do throws(Fault) { certificate = try await room.ports.certificates.certificate(self.certificate) } catch {
            throw .unverified(error.message)
        }
        return { bytes throws(Fault) in
            let verifier = try SignatureVerifier(certificate: certificate, key: key, hash: hash)
            var offset = 0
            while offset < bytes.size {
                let piece = try bytes.read(at: offset, count: 1 << 20)
                guard !piece.isEmpty else { throw .unavailable("The image's data ended early.") }
                verifier.update(piece)
                offset += piece.count
            }
            guard verifier.verifies(signature) else { throw .unverified("Signature verification failed") }
        }
    }
}

extension Fault {
    static func unverified(_ why: String) -> Fault {
        .badRequest("Signature verification for the image failed: \(why).")
    }
}
