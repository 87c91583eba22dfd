// SPDX-License-Identifier: Apache-2.0
package import Base
package import JSON

/// A JSON web token (RFC 7519) in its compact signed form, taken apart and not yet believed.
package struct SignedToken: Sendable {
    package let algorithm: String
    /// Which key signed it; nil where its maker has only one.
    package let keyID: String?
    package let type: String?
    /// What it says. Worth nothing until `isSigned(by:)` says yes.
    package let claims: JSONObject
    private let signed: [UInt8]
    private let signature: [UInt8]

    private static let limit = 64 * 1024

    /// Nil for anything but three parts of canonical base64, the first two of them JSON objects. One that names an
    /// extension which must be understood is none either: none is understood here.
    package init?(_ text: String) {
        guard text.utf8.count <= SignedToken.limit else { return nil }
        let parts = text.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 3, !parts.contains(where: { $0.hasSuffix("=") }),
            let head = Base64URL.decode(parts[0]), let body = Base64URL.decode(parts[1]),
            let signature = Base64URL.decode(parts[2]),
            let header = (try? JSON.parse(head))?.object, let claims = (try? JSON.parse(body))?.object,
            let algorithm = header["alg"]?.string, header["crit"] == nil, header["b64"] == nil
        else { return nil }
        self.algorithm = algorithm
        keyID = header["kid"]?.string
        type = header["typ"]?.string
        self.claims = claims
        self.signature = signature
        signed = Array((parts[0] + "." + parts[1]).utf8)
    }

    /// - Parameter algorithms: those that the reader accepts; the token's own word on it proves nothing.
    package func isSigned(by key: WebKey, algorithms: [String]) -> Bool {
        algorithms.contains(algorithm) && key.verifies(signed, signature, algorithm)
    }
}

extension SignedToken {
    /// A claim that is a time in seconds, fractions cut off.
    package func time(_ claim: String) -> Timestamp? { SignedToken.time(claims[claim]) }

    package static func time(_ value: JSON?) -> Timestamp? {
        switch value {
        case .integer(let seconds) where abs(seconds) < 1 << 40: Timestamp(seconds: seconds)
        case .double(let seconds) where abs(seconds) < 1e12: Timestamp(seconds: Int64(seconds))
        default: nil
        }
    }

    /// Whom it is for: `aud` may be one text or a list of them.
    package static func audience(_ claims: JSONObject) -> [String] {
        if let one = claims["aud"]?.string { return [one] }
        return claims["aud"]?.array?.compactMap(\.string) ?? []
    }
}
