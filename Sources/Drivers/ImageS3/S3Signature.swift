// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// AWS Signature Version 4, as S3 wants it in the `Authorization` header.
struct S3Signature: Sendable {
    let accessKey: String
    let secretKey: String
    let region: String

    /// A body that is not part of the signature: over TLS it need not be.
    static let unsigned = "UNSIGNED-PAYLOAD"

    /// The headers to send with a request. The path is encoded already, as it will be sent.
    func headers(
        _ method: String, host: String, path: String, query: [(String, String)], payload: String, at now: Timestamp
    ) -> [(String, String)] {
        let moment = now.iso8601Basic
        let day = String(moment.prefix(8))
        let signed = "host;x-amz-content-sha256;x-amz-date"
        let canonical = [
            method, path, S3Signature.canonical(query),
            "host:\(host)\nx-amz-content-sha256:\(payload)\nx-amz-date:\(moment)\n", signed, payload,
        ].joined(separator: "\n")
        let scope = "\(day)/\(region)/s3/aws4_request"
        let text = ["AWS4-HMAC-SHA256", moment, scope, Digest.hex(.sha256, canonical)].joined(separator: "\n")
        var key = Array("AWS4\(secretKey)".utf8)
        for part in [day, region, "s3", "aws4_request"] { key = HMAC.sha256(key, Array(part.utf8)) }
        let signature = Hex.encode(HMAC.sha256(key, Array(text.utf8)))
        return [
            ("x-amz-date", moment), ("x-amz-content-sha256", payload),
            (
                "Authorization",
                "AWS4-HMAC-SHA256 Credential=\(accessKey)/\(scope), SignedHeaders=\(signed), Signature=\(signature)"
            ),
        ]
    }

    /// Sorted and encoded: what is signed and what is sent.
    static func canonical(_ query: [(String, String)]) -> String {
        query.map { (Percent.encode($0.0), Percent.encode($0.1)) }.sorted { $0 < $1 }
            .map { "\($0.0)=\($0.1)" }.joined(separator: "&")
    }
}

/// RFC 2104.
enum HMAC {
    static func sha256(_ key: [UInt8], _ message: [UInt8]) -> [UInt8] {
        var block = key.count > 64 ? Digest.bytes(.sha256, key) : key
        block += [UInt8](repeating: 0, count: 64 - block.count)
        let inner = Digest.bytes(.sha256, block.map { $0 ^ 0x36 } + message)
        return Digest.bytes(.sha256, block.map { $0 ^ 0x5c } + inner)
    }
}

extension Timestamp {
    /// `20150830T123600Z`.
    var iso8601Basic: String {
        String(Timestamp(seconds: seconds).iso8601.filter { $0 != "-" && $0 != ":" }.prefix(15)) + "Z"
    }
}
