// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// The signature that an image's properties say its bytes have.
package struct SignedImage: Sendable {
    /// The certificate, by the id that a key manager has it under, whose key made the signature.
    package let certificate: String
    private let signature: [UInt8]
    private let hash: SignatureVerifier.Hash
    private let key: SignatureVerifier.KeyType

    /// Nil when the image is not signed: all four properties must be there; fewer are no signature.
    package init?(_ property: (String) -> String?) throws(Fault) {
        guard let signature = property("img_signature"), let hash = property("img_signature_hash_method"),
            let key = property("img_signature_key_type"), let certificate = property("img_signature_certificate_uuid")
        else { return nil }
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

    /// What is to be given all bytes, and then asked.
    package func verifier(_ certificate: [UInt8]) throws(Fault) -> SignatureVerifier {
        try SignatureVerifier(certificate: certificate, key: key, hash: hash)
    }

    /// Throws when the bytes that the verifier was given are not those that were signed.
    package func require(_ verifier: SignatureVerifier) throws(Fault) {
        guard verifier.verifies(signature) else { throw .unverified("Signature verification failed") }
    }
}

extension Fault {
    package static func unverified(_ why: String) -> Fault {
        .badRequest("Signature verification for the image failed: \(why).")
    }
}
