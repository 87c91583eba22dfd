// SPDX-License-Identifier: Apache-2.0
package import Base
internal import CCurl
internal import Glibc
internal import Synchronization

/// Calls to other servers, through libcurl on threads of its own. Connections are kept and used again; every call has a
/// deadline and a limit to what it takes in. Redirects are not followed.
package final class HTTPClient: Sendable {
    package struct Reply: Sendable {
        package let status: Int
        package let headers: HTTPHeaders
        package let body: [UInt8]

        package init(status: Int, headers: HTTPHeaders, body: [UInt8]) {
            self.status = status
            self.headers = headers
            self.body = body
        }
    }

    private let pool: BlockingPool
    private let handles: HandlePool

    /// - Parameters:
    ///   - authorities: a file of trusted certificates instead of the system's.
    ///   - mayReach: asked about each address when a connection to it begins, after all names were resolved.
    package init(
        threads: Int = 8, queue: Int = 1000, authorities: String? = nil, verifiesPeers: Bool = true,
        mayReach: AddressRule? = nil
    ) {
        _ = HTTPClient.prepared
        pool = BlockingPool(name: "http client", threads: threads, queue: queue)
        handles = HandlePool(authorities: authorities, verifiesPeers: verifiesPeers, mayReach: mayReach)
    }

    /// libcurl wants this once per process, before any thread uses it.
    static let prepared = curl_global_init(Int(CURL_GLOBAL_ALL))

    /// - Parameters:
    ///   - timeout: for the whole call, waiting for a thread excepted.
    ///   - limit: the longest body that is taken in.
    package func send(
        _ method: String, _ url: String, headers: [(String, String)] = [], body: [UInt8] = [],
        timeout: Duration, limit: Int = 16 << 20
    ) async throws(Fault) -> Reply {
        let handles = handles
        return try await pool.run { () throws(Fault) -> Reply in
            try HTTPCall(method, url, headers, body, timeout, .memory(limit: limit)).perform(handles)
        }
    }

    /// The same on the caller's own thread, which may block.
    package func sendHere(
        _ method: String, _ url: String, headers: [(String, String)] = [], body: [UInt8] = [],
        timeout: Duration, limit: Int = 16 << 20
    ) throws(Fault) -> Reply {
        try HTTPCall(method, url, headers, body, timeout, .memory(limit: limit)).perform(handles)
    }

    /// Writes the body of a successful answer to the descriptor, from where it stands; that of another one is returned.
    package func download(
        _ url: String, headers: [(String, String)] = [], to descriptor: Int32, timeout: Duration, limit: Int
    ) async throws(Fault) -> Reply {
        let handles = handles
        return try await pool.run { () throws(Fault) -> Reply in
            try HTTPCall("GET", url, headers, [], timeout, .file(descriptor, limit: limit)).perform(handles)
        }
    }
}

/// libcurl's easy handles that rest; each keeps its connections, and one is used by one call at a time.
private final class HandlePool: Sendable {
    /// One call holds it at a time: taken from `idle`, which is locked, and put back after.
    private struct Handle: @unchecked Sendable {
        let raw: UnsafeMutableRawPointer
    }

    private let idle = Mutex<[Handle]>([])
    private let authorities: String?
    private let verifiesPeers: Bool
    let mayReach: AddressRule?

    init(authorities: String?, verifiesPeers: Bool, mayReach: AddressRule?) {
        self.mayReach = mayReach
        self.authorities = authorities
        self.verifiesPeers = verifiesPeers
    }

    deinit { for handle in idle.withLock({ $0 }) { curl_easy_cleanup(handle.raw) } }

    /// The one used last: its connections are the warmest.
    func take() -> UnsafeMutableRawPointer? {
        guard let handle = idle.withLock({ $0.popLast() })?.raw ?? curl_easy_init() else { return nil }
        curl_easy_reset(handle)
        if let authorities { _ = ccurl_set_text(handle, CURLOPT_CAINFO, authorities) }
        if !verifiesPeers {
            _ = ccurl_set_long(handle, CURLOPT_SSL_VERIFYPEER, 0)
            _ = ccurl_set_long(handle, CURLOPT_SSL_VERIFYHOST, 0)
        }
        return handle
    }

    func give(_ handle: UnsafeMutableRawPointer) { idle.withLock { $0.append(Handle(raw: handle)) } }
}

/// One call, on one thread from beginning to end.
private final class HTTPCall {
    enum Sink {
        case memory(limit: Int)
        case file(Int32, limit: Int)
    }

    /// What of an unsuccessful answer is kept while a file was to be written.
    private static let explanation = 64 * 1024

    private let method: String
    private let url: String
    private let sent: [(String, String)]
    private let body: [UInt8]
    private let timeout: Duration
    private let sink: Sink
    private var handle: UnsafeMutableRawPointer?
    private var headers = HTTPHeaders()
    private var received: [UInt8] = []
    private var taken = 0
    private var problem: Fault?
    private var mayReach: AddressRule?
    private let gate = UnsafeMutablePointer<ccurl_gate>.allocate(capacity: 1)

    deinit { gate.deallocate() }

    init(
        _ method: String, _ url: String, _ headers: [(String, String)], _ body: [UInt8], _ timeout: Duration,
        _ sink: Sink
    ) {
        self.method = method
        self.url = url
        sent = headers
        self.body = body
        self.timeout = timeout
        self.sink = sink
    }

    func perform(_ handles: HandlePool) throws(Fault) -> HTTPClient.Reply {
        guard let handle = handles.take() else { throw .internalError("libcurl gave no handle.") }
        self.handle = handle
        mayReach = handles.mayReach
        defer { handles.give(handle) }
        var list: UnsafeMutablePointer<curl_slist>?
        defer { curl_slist_free_all(list) }
        // No 100-continue: it costs a round trip, and a wait where the server does not know it.
        for line in ["Expect:"] + sent.map({ "\($0.0): \($0.1)" }) { list = curl_slist_append(list, line) }
        configure(handle, list)
        let result = body.withUnsafeBytes { bytes in
            if !bytes.isEmpty || ["POST", "PUT", "PATCH"].contains(method) {
                _ = ccurl_set_body(handle, bytes.baseAddress ?? UnsafeRawPointer(handle), curl_off_t(bytes.count))
            }
            _ = ccurl_set_text(handle, CURLOPT_CUSTOMREQUEST, method)
            return curl_easy_perform(handle)
        }
        if let problem { throw problem }
        guard result == CURLE_OK else { throw fault(result) }
        return HTTPClient.Reply(status: Int(ccurl_status(handle)), headers: headers, body: received)
    }

    private func configure(_ handle: UnsafeMutableRawPointer, _ list: UnsafeMutablePointer<curl_slist>?) {
        let context = Unmanaged.passUnretained(self).toOpaque()
        _ = ccurl_set_text(handle, CURLOPT_URL, url)
        _ = ccurl_set_text(handle, CURLOPT_PROTOCOLS_STR, "http,https")
        _ = ccurl_set_text(handle, CURLOPT_PROXY, "")
        _ = ccurl_set_long(handle, CURLOPT_NOSIGNAL, 1)
        _ = ccurl_set_long(handle, CURLOPT_TIMEOUT_MS, Int(max(1, timeout.milliseconds)))
        _ = ccurl_set_long(handle, CURLOPT_CONNECTTIMEOUT_MS, Int(max(1, min(timeout, .seconds(10)).milliseconds)))
        _ = ccurl_set_list(handle, CURLOPT_HTTPHEADER, list)
        _ = ccurl_set_writer(handle, takeBody, context)
        _ = ccurl_set_header_reader(handle, takeHeader, context)
        if method == "HEAD" { _ = ccurl_set_long(handle, CURLOPT_NOBODY, 1) }
        if mayReach != nil {
            gate.initialize(to: ccurl_gate(judge: judgeAddress, context: context))
            _ = ccurl_set_gate(handle, gate)
        }
    }

    private func fault(_ code: CURLcode) -> Fault {
        let reason = String(cString: curl_easy_strerror(code))
        return code == CURLE_OPERATION_TIMEDOUT
            ? .timeout("\(method) \(url): no answer within \(timeout).")
            : .unavailable("\(method) \(url): \(reason).")
    }

    // MARK: What libcurl calls

    func allows(_ address: UnsafePointer<sockaddr>) -> Bool {
        guard let mayReach, let bytes = AddressBytes.of(address), !mayReach(bytes) else { return true }
        problem = .badRequest("\(method) \(url): the address \(AddressBytes.text(bytes)) must not be reached.")
        return false
    }

    /// False stops the call.
    func take(header line: UnsafeRawBufferPointer) -> Bool {
        let text = String(decoding: line, as: UTF8.self).trimmedLine
        // Of several heads (100-continue, then the answer) the last one counts.
        if text.hasPrefix("HTTP/") { headers = HTTPHeaders() }
        if let colon = text.firstIndex(of: ":") {
            headers.add(String(text[..<colon]), String(text[text.index(after: colon)...]).trimmed)
        }
        return true
    }

    func take(body bytes: UnsafeRawBufferPointer) -> Bool {
        taken += bytes.count
        switch sink {
        case .memory(let limit): return keep(bytes, limit)
        case .file(let descriptor, let limit):
            guard let handle, (200...299).contains(ccurl_status(handle)) else {
                return keep(bytes, HTTPCall.explanation)
            }
            guard taken <= limit else { return refuse(limit) }
            var written = 0
            while written < bytes.count {
                let count = write(descriptor, bytes.baseAddress! + written, bytes.count - written)
                if count < 0 && errno == EINTR { continue }
                guard count > 0 else {
                    problem = .unavailable("writing \(url): \(String(cString: strerror(errno)))")
                    return false
                }
                written += count
            }
            return true
        }
    }

    private func keep(_ bytes: UnsafeRawBufferPointer, _ limit: Int) -> Bool {
        guard taken <= limit else { return refuse(limit) }
        received.append(contentsOf: bytes)
        return true
    }

    private func refuse(_ limit: Int) -> Bool {
        problem = Fault(502, "\(method) \(url): the answer is longer than \(limit) bytes.")
        return false
    }
}

extension String {
    /// Without the line's end.
    fileprivate var trimmedLine: String { String(prefix { !$0.isNewline }) }
}

private func takeBody(
    _ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?
) -> Int {
    let call = Unmanaged<HTTPCall>.fromOpaque(context!).takeUnretainedValue()
    return call.take(body: UnsafeRawBufferPointer(start: bytes, count: size * count)) ? size * count : 0
}

private func takeHeader(
    _ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?
) -> Int {
    let call = Unmanaged<HTTPCall>.fromOpaque(context!).takeUnretainedValue()
    return call.take(header: UnsafeRawBufferPointer(start: bytes, count: size * count)) ? size * count : 0
}

private func judgeAddress(_ address: UnsafePointer<sockaddr>?, _ context: UnsafeMutableRawPointer?) -> Int32 {
    guard let address else { return 0 }
    return Unmanaged<HTTPCall>.fromOpaque(context!).takeUnretainedValue().allows(address) ? 1 : 0
}
