// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// An image's signature, with the certificate that it is verified by: trusted already, where that is asked for.
struct ImageProof: Sendable {
    private let signed: SignedImage
    private let certificate: [UInt8]

    /// Nil when nothing has to be verified: neither the operator nor the server wants it.
    init?(_ image: ImageClient.Image, trusted named: [String]?, _ room: ComputeService) async throws(Fault) {
        let options = room.options.signatures
        var trusted = named ?? []
        if trusted.isEmpty, options.validatesCertificates { trusted = options.trusted }
        guard options.verifies || !trusted.isEmpty else { return nil }
        guard let signed = try SignedImage({ image.properties[$0] }) else {
            throw .unverified(
                "Required image properties for signature verification do not exist. Cannot verify signature")
        }
        self.signed = signed
        do throws(Fault) { certificate = try await room.certificates(signed.certificate) } catch {
            throw .unverified(error.message)
        }
        if trusted.isEmpty {
            guard !options.validatesCertificates else {
                throw .badRequest(
                    "Image signature certificate validation enabled, but no trusted certificate IDs were provided. "
                        + "Unable to validate the certificate used to verify the image signature.")
            }
            return
        }
        try await Self.validate(signed.certificate, certificate, by: trusted, room)
    }

    private static func validate(
        _ id: String, _ certificate: [UInt8], by trusted: [String], _ room: ComputeService
    ) async throws(Fault) {
        do throws(Fault) {
            var issuers: [[UInt8]] = []
            for id in trusted { issuers.append(try await room.certificates(id)) }
            try CertificateTrust.require(certificate, by: issuers)
        } catch {
            throw .badRequest(
                "Image signature certificate validation failed for certificate: \(id). \(error.message)")
        }
    }

    /// Reads the image, hands its bytes on, and throws at the end when they are not those that were signed.
    func read(
        _ id: String, _ images: ImageClient, requestID: String,
        _ take: @escaping @Sendable ([UInt8]) async throws(Fault) -> Void = { _ in }
    ) async throws(Fault) {
        let meter = Meter(try signed.verifier(certificate))
        try await images.download(id, requestID: requestID) { bytes async throws(Fault) in
            await meter.add(bytes)
            try await take(bytes)
        }
        try await meter.require(signed)
    }

    private actor Meter {
        private let verifier: SignatureVerifier

        init(_ verifier: sending SignatureVerifier) { self.verifier = verifier }

        func add(_ bytes: [UInt8]) { verifier.update(bytes) }
        func require(_ signed: SignedImage) throws(Fault) { try signed.require(verifier) }
    }
}
