// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// What a request signed by OAuth 1.0 (RFC 5849) says in its `Authorization` header, and whether the signature is
/// right.
struct OAuthSignature: Sendable {
    private static let lifetime = 600

    /// The members of the header as they were signed: decoded, in their order, the realm apart.
    private let members: [(name: String, value: String)]

    init(_ request: Request) throws(Fault) {
        let header = request.header("Authorization") ?? ""
        guard header.lowercased().hasPrefix("oauth ") else {
            throw .badRequest("No Authorization headers found, cannot proceed with OAuth related calls.")
        }
        var members: [(name: String, value: String)] = []
        for part in header.dropFirst("oauth ".count).split(separator: ",") {
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard pair.count == 2, let name = Percent.decode(Substring(String(pair[0]).trimmedOfSpace)) else {
                throw .badRequest("The Authorization header is no list of name=\"value\" pairs.")
            }
            let text = String(pair[1]).trimmedOfSpace
            guard text.count >= 2, text.hasPrefix("\""), text.hasSuffix("\""),
                let value = Percent.decode(text.dropFirst().dropLast())
            else { throw .badRequest("The Authorization header is no list of name=\"value\" pairs.") }
            members.append((name, value))
        }
        self.members = members
    }

    subscript(name: String) -> String? {
        members.first { $0.name == name }.flatMap { $0.value.isEmpty ? nil : $0.value }
    }

    /// A member that the call cannot do without.
    func need(_ name: String) throws(Fault) -> String {
        guard let value = self[name] else { throw .expecting(name, in: "request") }
        return value
    }

    /// Refuses a request that lacks something, is of another time, or is not signed with these secrets.
    func require(_ request: Request, consumerSecret: String, tokenSecret: String) throws(Fault) {
        try requireWhole(at: request.now)
        let key = Percent.encode(consumerSecret) + "&" + Percent.encode(tokenSecret)
        let expected: String
        switch self["oauth_signature_method"] {
        case "HMAC-SHA1": expected = sign(request, .sha1, key)
        case "HMAC-SHA256": expected = sign(request, .sha256, key)
        case "HMAC-SHA512": expected = sign(request, .sha512, key)
        default: expected = key
        }
        guard HMAC.isSame(expected, self["oauth_signature"] ?? "") else { throw .unauthorized() }
    }

    private func requireWhole(at now: Timestamp) throws(Fault) {
        guard let method = self["oauth_signature_method"], let time = self["oauth_timestamp"],
            let nonce = self["oauth_nonce"], let key = self["oauth_consumer_key"], self["oauth_signature"] != nil
        else { throw OAuthSignature.refusal("Missing mandatory OAuth parameters.") }
        guard ["HMAC-SHA1", "HMAC-SHA256", "HMAC-SHA512", "PLAINTEXT"].contains(method) else {
            throw OAuthSignature.refusal(
                "Invalid signature, HMAC-SHA1, HMAC-SHA256, HMAC-SHA512 and PLAINTEXT are allowed.",
                error: "invalid_signature_method")
        }
        if let version = self["oauth_version"], version != "1.0" {
            throw OAuthSignature.refusal("Invalid OAuth version.")
        }
        guard time.utf8.count == 10 else { throw OAuthSignature.refusal("Invalid timestamp size") }
        guard let seconds = Int(time) else { throw OAuthSignature.refusal("Timestamp must be an integer.") }
        guard abs(now.seconds - Int64(seconds)) <= OAuthSignature.lifetime else {
            throw OAuthSignature.refusal(
                "Timestamp given is invalid, differ from allowed by over \(OAuthSignature.lifetime) seconds.")
        }
        guard OAuthSignature.isIdentifier(key) else { throw OAuthSignature.refusal("Invalid client key format.") }
        guard nonce.utf8.allSatisfy(OAuthSignature.isHex) else {
            throw OAuthSignature.refusal("Invalid nonce format.")
        }
    }

    static func refusal(_ reason: String, error: String = "invalid_request") -> Fault {
        .badRequest("Validation failed with errors: \(error), detail message is: \(reason).")
    }

    static func isIdentifier(_ text: String) -> Bool { text.utf8.count == 32 && text.utf8.allSatisfy(isHex) }
    private static func isHex(_ byte: UInt8) -> Bool { (48...57).contains(byte) || (97...102).contains(byte) }
}

// MARK: - Signing

extension OAuthSignature {
    private func sign(_ request: Request, _ algorithm: Digest.Algorithm, _ key: String) -> String {
        let text = [request.http.method.uppercased(), Self.address(request), parameters(request)]
            .map { Percent.encode($0) }.joined(separator: "&")
        return Base64.encode(HMAC.bytes(algorithm, key: Array(key.utf8), Array(text.utf8)))
    }

    /// The address without query: scheme and host in small letters, the scheme's own port left out.
    private static func address(_ request: Request) -> String {
        let root = request.root
        guard let slashes = root.firstRange(of: "://") else { return root + request.http.path }
        let scheme = root[..<slashes.lowerBound].lowercased()
        let rest = root[slashes.upperBound...]
        let end = rest.firstIndex(of: "/") ?? rest.endIndex
        var host = rest[..<end].lowercased()
        let standard = scheme == "https" ? ":443" : ":80"
        if host.hasSuffix(standard) { host.removeLast(standard.count) }
        return scheme + "://" + host + rest[end...] + request.http.path
    }

    /// Everything signed beside method and address, sorted as it is encoded.
    private func parameters(_ request: Request) -> String {
        let query = QueryString.parse(request.http.query) ?? []
        let own = members.filter { $0.name != "realm" && $0.name != "oauth_signature" }
        let encoded = (query.map { ($0.0, $0.1) } + own.map { ($0.name, $0.value) }).map {
            (Percent.encode($0.0), Percent.encode($0.1))
        }
        return encoded.sorted { $0 < $1 }.map { $0.0 + "=" + $0.1 }.joined(separator: "&")
    }
}
