// SPDX-License-Identifier: Apache-2.0
import FederationSAML
import Identity
import Kernel

/// What Identity needs to speak to identity providers, and to be one, from the files that its options name.
enum FederationFiles {
    static func doors(_ options: FederationOptions) throws(Fault) -> FederationDoors {
        let signing = try signing(options.saml)
        guard let path = options.relyingPartyFile else {
            return FederationDoors(xml: signing == nil ? nil : try XMLSecDocuments(), signing: signing)
        }
        let parties = try RelyingParties(
            text: String(decoding: try read(path), as: UTF8.self), name: path, read: read)
        return try FederationDoors(
            parties: parties, channel: HTTPBackChannel(HTTPClient(threads: 4, queue: 200)),
            xml: try XMLSecDocuments(), signing: signing)
    }

    private static func signing(_ options: SAMLOptions) throws(Fault) -> SAMLSigning? {
        guard let key = options.keyFile, let certificate = options.certificateFile else { return nil }
        return SAMLSigning(
            key: String(decoding: try read(key), as: UTF8.self),
            certificate: String(decoding: try read(certificate), as: UTF8.self))
    }

    static func read(_ path: String) throws(Fault) -> [UInt8] {
        guard let bytes = FileSystem.read(path) else { throw .badRequest("\(path) cannot be read.") }
        return bytes
    }
}
