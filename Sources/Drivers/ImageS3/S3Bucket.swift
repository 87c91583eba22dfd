// SPDX-License-Identifier: Apache-2.0
internal import Image
internal import Kernel

/// One bucket of an S3 endpoint, and the calls that images need. All block.
struct S3Bucket: Sendable {
    let client: HTTPClient
    let streams: HTTPStreams
    let signature: S3Signature
    let clock: any WallClock
    /// `http` or `https`.
    let scheme: String
    let endpoint: String
    let name: String
    /// The bucket stands before the host rather than in the path.
    let isVirtual: Bool

    private static let patience = Duration.seconds(120)
    private static let tries = 3

    /// A request as it is signed and sent.
    struct Call {
        let url: String
        let headers: [(String, String)]
    }

    /// - Parameter key: nil is the bucket itself.
    func call(
        _ method: String, _ key: String?, query: [(String, String)] = [], body: [UInt8]? = [],
        headers extra: [(String, String)] = []
    ) -> Call {
        let host = isVirtual ? "\(name).\(endpoint)" : endpoint
        let path = (isVirtual ? "" : "/\(Percent.encode(name))") + (key.map { "/\(Percent.encodePath($0))" } ?? "")
        let isSecret = scheme == "https"
        let payload =
            body.map { isSecret && !$0.isEmpty ? S3Signature.unsigned : Hex.encode(Digest.bytes(.sha256, $0)) }
            ?? S3Signature.unsigned
        let signed = signature.headers(
            method, host: host, path: path.isEmpty ? "/" : path, query: query, payload: payload, at: clock.now())
        let text = query.isEmpty ? "" : "?" + S3Signature.canonical(query)
        // Named, or libcurl calls a body a form, which some servers then take apart.
        let type = ("Content-Type", "application/octet-stream")
        return Call(
            url: "\(scheme)://\(host)\(path.isEmpty ? "/" : path)\(text)", headers: signed + [type] + extra)
    }

    /// Sends a request whose body is at hand, once more when the server is at fault.
    func send(
        _ method: String, _ key: String?, query: [(String, String)] = [], body: [UInt8] = [],
        headers: [(String, String)] = []
    ) throws(Fault) -> HTTPClient.Reply {
        var last = Fault.unavailable("S3 was not asked.")
        for attempt in 1...Self.tries {
            let call = call(method, key, query: query, body: body, headers: headers)
            do throws(Fault) {
                let reply = try client.sendHere(
                    method, call.url, headers: call.headers, body: body, timeout: Self.patience)
                guard reply.status >= 500, attempt < Self.tries else { return reply }
                last = S3Bucket.fault(reply, "\(method) \(key ?? name)")
            } catch { last = error }
            if attempt < Self.tries { DedicatedThread.pause(.milliseconds(200 * attempt)) }
        }
        throw last
    }

    /// The same, for which anything but success is a fault.
    func need(
        _ method: String, _ key: String?, query: [(String, String)] = [], body: [UInt8] = []
    ) throws(Fault) -> HTTPClient.Reply {
        let reply = try send(method, key, query: query, body: body)
        guard (200...299).contains(reply.status) else { throw S3Bucket.fault(reply, "\(method) \(key ?? name)") }
        return reply
    }

    func size(_ key: String) throws(Fault) -> Int? {
        let reply = try send("HEAD", key)
        switch reply.status {
        case 200: return reply.headers["Content-Length"].flatMap(Int.init)
        case 404: return nil
        default: throw S3Bucket.fault(reply, "HEAD \(key)")
        }
    }

    func read(_ key: String, _ offset: Int, _ count: Int) throws(Fault) -> [UInt8] {
        let range = [("Range", "bytes=\(offset)-\(offset + count - 1)")]
        let reply = try send("GET", key, headers: range)
        guard reply.status == 206 || reply.status == 200, reply.body.count == count else {
            throw S3Bucket.fault(reply, "GET \(key)")
        }
        return reply.body
    }

    func make() throws(Fault) {
        let region = signature.region
        let place =
            region == "us-east-1"
            ? ""
            : "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>"
                + "\(region)</LocationConstraint></CreateBucketConfiguration>"
        let reply = try send("PUT", nil, body: Array(place.utf8))
        guard (200...299).contains(reply.status) || reply.status == 409 else {
            throw S3Bucket.fault(reply, "PUT \(name)")
        }
    }

    /// Uploads in parts that were begun under a key and never ended.
    func openUploads(_ key: String) throws(Fault) -> [String] {
        let reply = try need("GET", nil, query: [("uploads", ""), ("prefix", key)])
        let text = String(decoding: reply.body, as: UTF8.self)
        return XMLText.all("Upload", in: text).filter { XMLText.first("Key", in: $0) == key }
            .compactMap { XMLText.first("UploadId", in: $0) }
    }

    static func fault(_ reply: HTTPClient.Reply, _ deed: String) -> Fault {
        let text = String(decoding: reply.body, as: UTF8.self)
        let code = XMLText.first("Code", in: text) ?? ""
        let reason = [code, XMLText.first("Message", in: text) ?? ""].filter { !$0.isEmpty }.joined(separator: ": ")
        switch (reply.status, code) {
        case (_, "QuotaExceeded"), (507, _): return .imageStoreFull
        case (404, _): return .notFound("S3 \(deed): \(reason.isEmpty ? "not found" : reason)")
        case (403, _): return .unavailable("Insufficient permissions on image storage media: S3 \(deed): \(reason)")
        default: return .unavailable("S3 \(deed): status \(reply.status) \(reason)")
        }
    }
}

/// As much of XML as S3's flat answers need.
enum XMLText {
    static func first(_ name: String, in text: String) -> String? { all(name, in: text).first.map(unescape) }

    /// The insides of every element of that name.
    static func all(_ name: String, in text: String) -> [String] {
        text.components(between: "<\(name)>", and: "</\(name)>")
    }

    private static func unescape(_ text: String) -> String {
        guard text.contains("&") else { return text }
        return text.replacing("&lt;", with: "<").replacing("&gt;", with: ">").replacing("&quot;", with: "\"")
            .replacing("&apos;", with: "'").replacing("&#34;", with: "\"").replacing("&amp;", with: "&")
    }
}

extension String {
    fileprivate func components(between start: String, and end: String) -> [String] {
        var found: [String] = []
        var rest = self[...]
        while let open = rest.firstRange(of: start) {
            rest = rest[open.upperBound...]
            guard let close = rest.firstRange(of: end) else { break }
            found.append(String(rest[..<close.lowerBound]))
            rest = rest[close.upperBound...]
        }
        return found
    }
}
