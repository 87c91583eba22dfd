// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import CMicrohttpd
internal import Glibc

/// Request line and headers as they came, refused where two readers could understand them differently.
struct RequestHead {
    let method: String
    let path: String
    let query: String
    private(set) var headers = HTTPHeaders()
    /// nil when chunked.
    let contentLength: Int?
    let expectsContinue: Bool

    var hasBody: Bool { contentLength != 0 }

    init(
        _ connection: OpaquePointer, method: UnsafePointer<CChar>, target: String, version: UnsafePointer<CChar>,
        limit: Int
    ) throws(Fault) {
        var scan = HeaderScan(after: RequestGuard.layoutIsKnown ? UnsafeRawPointer(version + strlen(version)) : nil)
        withUnsafeMutablePointer(to: &scan) { _ = cmhd_headers(connection, visitHeader, $0) }
        let size = cmhd_header_size(connection)
        scan.checkEnd(UnsafeRawPointer(method) + size)
        // libmicrohttpd notes each header in some 64 bytes more.
        guard size + 64 * scan.headers.count <= limit else {
            throw Fault(431, "The headers take more than \(limit) bytes.")
        }
        if let problem = scan.problem { throw .badRequest(problem) }
        guard target.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else {
            throw .badRequest("The request target holds a control character.")
        }
        // Repaired while it was read: it was no UTF-8.
        guard !target.unicodeScalars.contains("\u{FFFD}") else {
            throw .badRequest("The request target is not UTF-8.")
        }
        guard target.utf8.first == UInt8(ascii: "/") || target == "*" || target.contains("://") else {
            throw .badRequest("The request target does not begin with a slash.")
        }
        // Two hosts would let a proxy in front and this server serve one request for different ones.
        guard scan.hosts <= 1 else { throw .badRequest("There is more than one Host header.") }
        headers = scan.headers
        self.method = String(cString: method)
        if let mark = target.utf8.firstIndex(of: UInt8(ascii: "?")) {
            path = String(target[..<mark])
            query = String(target[target.utf8.index(after: mark)...])
        } else {
            path = target
            query = ""
        }
        contentLength = try scan.bodyLength()
        expectsContinue = scan.expectsContinue
    }
}

/// libmicrohttpd 0.9.75 ends the request target and the headers at a NUL byte, and so hides what follows it from every
/// check. What it hides shows in the distances between what it tells.
enum RequestGuard {
    /// Method, target and version lie behind each other in one buffer, one blank between them, so the version's
    /// place tells the true length of the target. Versions that keep them elsewhere are left alone: they refuse NUL
    /// themselves.
    static func check(
        _ url: UnsafePointer<CChar>, length: Int, version: UnsafePointer<CChar>
    ) throws(Fault) {
        let distance = Int(bitPattern: version) - Int(bitPattern: url)
        guard layoutIsKnown, distance > 0, distance < 1 << 20, length < distance else { return }
        guard distance == length + 1 else { throw .badRequest("The request line is malformed.") }
    }

    static let layoutIsKnown = String(cString: MHD_get_version()).hasPrefix("0.9.75")
}

/// Collects the headers and what of them decides where the request ends.
private struct HeaderScan {
    var headers = HTTPHeaders()
    var problem: String?
    private(set) var hosts = 0
    private var lengths: [String] = []
    private var codings: [String] = []
    var expectsContinue = false

    /// The NUL that ends the line before, where the layout is known.
    private var lineEnd: UnsafeRawPointer?

    init(after lineEnd: UnsafeRawPointer?) {
        self.lineEnd = lineEnd
        headers.reserveCapacity(12)
    }

    /// A line's end is CR LF or LF, of which libmicrohttpd made NULs; a longer gap hides something (a NUL and what
    /// followed it, or a folded line).
    private mutating func checkGap(_ next: UnsafeRawPointer?, most: Int, then end: UnsafeRawPointer?) {
        guard let lineEnd, let next else { return }
        if !(1...most).contains(next - lineEnd) { problem = "A header line is malformed." }
        self.lineEnd = end
    }

    mutating func checkEnd(_ end: UnsafeRawPointer) { checkGap(end, most: 4, then: nil) }

    mutating func add(_ name: UnsafeRawBufferPointer, _ value: UnsafeRawBufferPointer) {
        checkGap(name.baseAddress, most: 2, then: value.baseAddress.map { $0 + value.count })
        guard !name.isEmpty, name.allSatisfy(HeaderScan.isToken) else {
            problem = "A header name holds a character that is not allowed."
            return
        }
        guard value.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 9 }) else {
            problem = "A header value holds a control character."
            return
        }
        let name = String(decoding: name, as: UTF8.self)
        let value = String(decoding: value, as: UTF8.self)
        switch name.utf8.count {
        case 4 where HTTPHeaders.same(name, "Host"): hosts += 1
        case 6 where HTTPHeaders.same(name, "Expect"):
            expectsContinue = HTTPHeaders.same(value.trimmed, "100-continue")
        case 14 where HTTPHeaders.same(name, "Content-Length"): lengths.append(value)
        case 17 where HTTPHeaders.same(name, "Transfer-Encoding"): codings.append(value)
        default: break
        }
        headers.add(name, value)
    }

    /// RFC 9112 section 6.3, in its strict reading: one length or one `chunked`, never both.
    func bodyLength() throws(Fault) -> Int? {
        guard lengths.count <= 1, codings.count <= 1, lengths.isEmpty || codings.isEmpty else {
            throw .badRequest("Content-Length and Transfer-Encoding contradict each other.")
        }
        if let coding = codings.first {
            guard HTTPHeaders.same(coding, "chunked") else {
                throw .notImplemented("Only the transfer coding 'chunked' is understood.")
            }
            return nil
        }
        guard let length = lengths.first else { return 0 }
        guard !length.isEmpty, length.utf8.allSatisfy({ (48...57).contains($0) }), let count = Int(length) else {
            throw .badRequest("Content-Length is not a number.")
        }
        return count
    }

    /// RFC 9110 section 5.6.2.
    private static func isToken(_ byte: UInt8) -> Bool {
        switch byte {
        case 48...57, 65...90, 97...122: true
        case 33, 35...39, 42, 43, 45, 46, 94...96, 124, 126: true
        default: false
        }
    }
}

private func visitHeader(
    _ context: UnsafeMutableRawPointer?, _ kind: MHD_ValueKind, _ name: UnsafePointer<CChar>?, _ nameCount: Int,
    _ value: UnsafePointer<CChar>?, _ valueCount: Int
) -> MHD_Result {
    let scan = context!.assumingMemoryBound(to: HeaderScan.self)
    scan.pointee.add(
        UnsafeRawBufferPointer(start: name, count: nameCount),
        UnsafeRawBufferPointer(start: value, count: value == nil ? 0 : valueCount))
    return .YES
}
