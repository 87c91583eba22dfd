// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// A request to somebody else that was signed with EC2 keys, as the service that received it describes it here.
struct SignedRequest {
    let access: String
    let signature: String?
    /// What S3 services send: the text that was signed.
    let token: String?
    private let verb: String
    private let host: String
    private let path: String
    private let bodyHash: String
    private let parameters: [(name: String, value: String)]
    private let headers: [(name: String, value: String)]

    init(_ request: Request) throws(Fault) {
        guard let body = request.json?.object, !body.isEmpty else {
            throw .badRequest("request must include a request body")
        }
        // Three names have been in use for the same thing.
        let names = ["credentials", "credential", "ec2Credentials"]
        let members = names.lazy.compactMap { body[$0]?.object }.first { !$0.isEmpty } ?? [:]
        guard let access = members["access"]?.string else { throw .unauthorized() }
        self.access = access
        signature = members["signature"]?.string.flatMap { $0.isEmpty ? nil : $0 }
        token = members["token"]?.string
        verb = members["verb"]?.string ?? ""
        host = members["host"]?.string ?? ""
        path = members["path"]?.string ?? ""
        bodyHash = members["body_hash"]?.string ?? ""
        parameters = SignedRequest.pairs(members["params"]?.object)
        headers = SignedRequest.pairs(members["headers"]?.object)
    }

    private static func pairs(_ object: JSONObject?) -> [(name: String, value: String)] {
        (object ?? [:]).map { ($0.key, $0.value.string ?? $0.value.text()) }
    }

    private func parameter(_ name: String) -> String? { parameters.first { $0.name == name }?.value }
    private func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }

    // MARK: Age

    /// Refuses a request that was signed too long ago. One that names no time was meant to be good for ever.
    func requireFresh(at now: Timestamp, _ lifetime: Duration) throws(Fault) {
        guard let text = parameter("Timestamp") ?? header("X-Amz-Date") ?? parameter("X-Amz-Date"), !text.isEmpty else {
            return
        }
        guard let time = Timestamp(text) ?? SignedRequest.basic(text), now <= time + lifetime else {
            throw .unauthorized()
        }
    }

    /// `20261121T041500Z`, the form of version 4.
    private static func basic(_ text: String) -> Timestamp? {
        let digits = Array(text)
        guard digits.count == 16, digits[8] == "T", digits[15] == "Z" else { return nil }
        func part(_ from: Int, _ to: Int) -> String { String(digits[from..<to]) }
        return Timestamp(
            "\(part(0, 4))-\(part(4, 6))-\(part(6, 8))T\(part(9, 11)):\(part(11, 13)):\(part(13, 15))Z")
    }

    // MARK: Signatures

    /// Whether the secret signed the request, with or without the port in the host's name: clients differ.
    func isSignedForEC2(with secret: String) -> Bool {
        guard let signature else { return false }
        let bare = host.contains(":") ? SignedRequest.withoutPort(host) : host
        return [host, bare].contains { host in
            ec2Signature(secret, host).map { HMAC.isSame($0, signature) } ?? false
        }
    }

    private static func withoutPort(_ host: String) -> String {
        if host.hasPrefix("["), let end = host.firstIndex(of: "]") {
            return String(host[host.index(after: host.startIndex)..<end]).lowercased()
        }
        return host.prefix { $0 != ":" }.lowercased()
    }

    private func ec2Signature(_ secret: String, _ host: String) -> String? {
        let key = Array(secret.utf8)
        switch parameter("SignatureVersion") {
        case "0":
            guard let action = parameter("Action"), let time = parameter("Timestamp") else { return nil }
            return Base64.encode(HMAC.bytes(.sha1, key: key, Array((action + time).utf8)))
        case "1":
            let sorted = parameters.sorted { $0.name.lowercased() < $1.name.lowercased() }
            let text = sorted.map { $0.name + $0.value }.joined()
            return Base64.encode(HMAC.bytes(.sha1, key: key, Array(text.utf8)))
        case "2":
            // The method that was really used is part of what was signed.
            var pairs = parameters.filter { $0.name != "SignatureMethod" }
            pairs.append(("SignatureMethod", "HmacSHA256"))
            let text = "\(verb)\n\(host)\n\(path)\n" + SignedRequest.query(pairs)
            return Base64.encode(HMAC.bytes(.sha256, key: key, Array(text.utf8)))
        case nil: return version4(secret)
        default: return nil
        }
    }

    private static func query(_ pairs: [(name: String, value: String)]) -> String {
        let sorted = pairs.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
        return sorted.map { encode($0.name) + "=" + encode($0.value) }.joined(separator: "&")
    }

    private static func encode(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF")
        var out = ""
        for byte in text.utf8 {
            switch byte {
            case 48...57, 65...90, 97...122, 45, 46, 95, 126: out.unicodeScalars.append(Unicode.Scalar(byte))
            default: out += "%\(digits[Int(byte >> 4)])\(digits[Int(byte & 15)])"
            }
        }
        return out
    }

    // MARK: Version 4

    /// What version 4 says in the Authorization header, or in parameters: `Credential`, `SignedHeaders`.
    private func authorization(_ name: String) -> String? {
        guard let text = header("Authorization") else { return parameter("X-Amz-" + name) }
        guard let start = text.firstRange(of: name + "=")?.upperBound else { return nil }
        return String(text[start...].prefix { $0 != "," })
    }

    private func version4(_ secret: String) -> String? {
        guard
            header("Authorization")?.hasPrefix("AWS4-HMAC-SHA256") == true
                || parameter("X-Amz-Algorithm") == "AWS4-HMAC-SHA256",
            let names = authorization("SignedHeaders"), let credential = authorization("Credential"),
            let date = header("X-Amz-Date") ?? parameter("X-Amz-Date")
        else { return nil }
        let scope = credential.split(separator: "/", omittingEmptySubsequences: false).dropFirst().map(String.init)
        guard scope.count >= 3, date.hasPrefix(scope[0]) else { return nil }
        let small = headers.map { ($0.name.lowercased().trimmedOfSpace, $0.value.trimmedOfSpace) }
        let lines = names.split(separator: ";").compactMap { name in
            small.last { $0.0 == name }.map { "\(name):\($0.1)" }
        }
        // A form's parameters are in the body, which has a hash of its own.
        let query = verb.uppercased() == "POST" ? "" : SignedRequest.query(parameters)
        let canonical =
            [verb.uppercased(), path, query, lines.joined(separator: "\n") + "\n", names, bodyHash]
            .joined(separator: "\n")
        let signed = [
            "AWS4-HMAC-SHA256", date, scope.joined(separator: "/"), Digest.hex(.sha256, canonical),
        ].joined(separator: "\n")
        let key = SignedRequest.key(secret, date: scope[0], region: scope[1], service: scope[2])
        return Hex.encode(HMAC.bytes(.sha256, key: key, Array(signed.utf8)))
    }

    private static func key(_ secret: String, date: String, region: String, service: String) -> [UInt8] {
        [date, region, service, "aws4_request"].reduce(Array(("AWS4" + secret).utf8)) {
            HMAC.bytes(.sha256, key: $0, Array($1.utf8))
        }
    }

    // MARK: S3

    /// Whether the secret signed the text that an S3 service passes on, in its first version or the fourth.
    func isSignedForS3(with secret: String) -> Bool {
        guard let signature, let text = token.flatMap(SignedRequest.text) else { return false }
        guard text.starts(with: Array("AWS4".utf8)) else {
            return HMAC.isSame(Base64.encode(HMAC.bytes(.sha1, key: Array(secret.utf8), text)), signature)
        }
        let lines = String(decoding: text, as: UTF8.self)
            .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        guard lines.count == 4, lines[0] == "AWS4-HMAC-SHA256" else { return false }
        let scope = lines[2].split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard scope.count == 4, scope[3] == "aws4_request", ["s3", "iam", "sts"].contains(scope[2]) else {
            return false
        }
        let key = SignedRequest.key(secret, date: scope[0], region: scope[1], service: scope[2])
        return HMAC.isSame(Hex.encode(HMAC.bytes(.sha256, key: key, text)), signature)
    }

    /// URL-safe base 64, with padding or without.
    private static func text(_ token: String) -> [UInt8]? {
        Base64URL.decode(String(token.prefix { $0 != "=" }).replacing("+", with: "-").replacing("/", with: "_"))
    }
}
