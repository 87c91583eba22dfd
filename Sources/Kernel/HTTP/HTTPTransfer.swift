// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import CCurl
internal import Glibc
internal import Synchronization

/// One streamed call: what arrives and what is to be sent wait here, between the loop's thread and the tasks at the
/// ends. The handle is touched on the loop's thread alone.
final class HTTPTransfer: @unchecked Sendable {
    struct Head: Sendable {
        let status: Int
        let headers: HTTPHeaders
    }

    /// Beyond this the other side waits.
    private static let highWater = 1 << 20

    private struct State: Sendable {
        var head: Head?
        var arrived: [UInt8] = []
        var leaving: [UInt8] = []
        var sent = 0
        var leavingEnded = false
        var ended = false
        var fault: Fault?
        var receivingRests = false
        var sendingRests = false
        var reader: CheckedContinuation<Void, Never>?
        var writer: CheckedContinuation<Void, Never>?
    }

    private let method: String
    private let url: String
    private let headers: [(String, String)]
    private let stall: Duration
    private let authorities: String?
    private let verifiesPeers: Bool
    private let mayReach: AddressRule?
    /// What libcurl asks before it connects; lives as long as the transfer, which outlives the handle.
    private let gate = UnsafeMutablePointer<ccurl_gate>.allocate(capacity: 1)
    private let state = Mutex(State())
    private var body: (isSent: Bool, length: Int?) = (false, nil)

    // The loop's own.
    private var handle: UnsafeMutableRawPointer?
    private var list: UnsafeMutablePointer<curl_slist>?
    private var lines = HTTPHeaders()

    init(
        _ method: String, _ url: String, _ headers: [(String, String)], stall: Duration, authorities: String?,
        verifiesPeers: Bool, mayReach: AddressRule? = nil
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.stall = stall
        self.authorities = authorities
        self.verifiesPeers = verifiesPeers
        self.mayReach = mayReach
    }

    deinit {
        curl_slist_free_all(list)
        gate.deallocate()
    }

    /// Before the start: the call has a body.
    func sendsBody(_ length: Int?) { body = (true, length) }
}

// MARK: - The ends

extension HTTPTransfer {
    func head() async throws(Fault) -> Head {
        while true {
            let (head, fault) = state.withLock { ($0.head, $0.fault) }
            if let head { return head }
            if let fault { throw fault }
            await wait { state in state.head == nil && state.fault == nil }
        }
    }

    /// What has arrived; `resumes` when the loop should go on reading.
    func take() throws(Fault) -> (bytes: [UInt8]?, isEnd: Bool, resumes: Bool) {
        try state.withLock { state throws(Fault) in
            guard state.arrived.isEmpty else {
                defer {
                    state.arrived = []
                    state.receivingRests = false
                }
                return (state.arrived, false, state.receivingRests)
            }
            if let fault = state.fault { throw fault }
            return (nil, state.ended, false)
        }
    }

    func waitForBytes() async {
        await wait { state in state.arrived.isEmpty && !state.ended && state.fault == nil }
    }

    /// True when the loop waits for them.
    func give(_ bytes: [UInt8]) throws(Fault) -> Bool {
        try state.withLock { state throws(Fault) in
            if let fault = state.fault { throw fault }
            // Answered before the end of the body: the answer says why, to whoever finishes.
            if state.ended { return false }
            if state.sent == state.leaving.count {
                state.leaving = bytes
                state.sent = 0
            } else {
                state.leaving += bytes
            }
            defer { state.sendingRests = false }
            return state.sendingRests
        }
    }

    func giveEnd() -> Bool {
        state.withLock { state in
            state.leavingEnded = true
            defer { state.sendingRests = false }
            return state.sendingRests
        }
    }

    func waitForRoom() async throws(Fault) {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let goesOn = state.withLock { state in
                    if state.leaving.count - state.sent < HTTPTransfer.highWater { return true }
                    if state.fault != nil || state.ended { return true }
                    state.writer = continuation
                    return false
                }
                if goesOn { continuation.resume() }
            }
        } onCancel: {
            fail(.unavailable("The call was given up."))
        }
        if let fault = state.withLock({ $0.fault }) { throw fault }
    }

    private func wait(while isIdle: @Sendable (borrowing State) -> Bool) async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let goesOn = state.withLock { state in
                    guard isIdle(state) else { return true }
                    state.reader = continuation
                    return false
                }
                if goesOn { continuation.resume() }
            }
        } onCancel: {
            fail(.unavailable("The call was given up."))
        }
    }

    /// Both ends learn of it; what happened first counts, and nothing counts after the end.
    func fail(_ fault: Fault) {
        settle { state in if !state.ended, state.fault == nil { state.fault = fault } }
    }

    private func settle(_ change: (inout State) -> Void) {
        let (reader, writer) = state.withLock { state in
            change(&state)
            let over = state.ended || state.fault != nil
            let hasRoom = state.leaving.count - state.sent < HTTPTransfer.highWater / 2
            let reader = state.reader
            state.reader = nil
            guard over || hasRoom else { return (reader, nil as CheckedContinuation<Void, Never>?) }
            defer { state.writer = nil }
            return (reader, state.writer)
        }
        reader?.resume()
        writer?.resume()
    }
}

// MARK: - The loop's side

extension HTTPTransfer {
    /// The handle, ready to go; nil when it was given up before or libcurl has none.
    func prepare() -> UnsafeMutableRawPointer? {
        guard state.withLock({ $0.fault == nil }), let handle = curl_easy_init() else {
            fail(.internalError("libcurl gave no handle."))
            return nil
        }
        self.handle = handle
        for line in ["Expect:"] + headers.map({ "\($0.0): \($0.1)" }) { list = curl_slist_append(list, line) }
        let context = Unmanaged.passUnretained(self).toOpaque()
        _ = ccurl_set_text(handle, CURLOPT_URL, url)
        _ = ccurl_set_text(handle, CURLOPT_PROTOCOLS_STR, "http,https")
        _ = ccurl_set_text(handle, CURLOPT_PROXY, "")
        _ = ccurl_set_long(handle, CURLOPT_NOSIGNAL, 1)
        _ = ccurl_set_long(handle, CURLOPT_CONNECTTIMEOUT_MS, 10_000)
        // A transfer that rests because its reader does is not counted as slow.
        _ = ccurl_set_long(handle, CURLOPT_LOW_SPEED_LIMIT, 1)
        _ = ccurl_set_long(handle, CURLOPT_LOW_SPEED_TIME, Int(max(1, stall.components.seconds)))
        _ = ccurl_set_long(handle, CURLOPT_BUFFERSIZE, 256 * 1024)
        _ = ccurl_set_long(handle, CURLOPT_UPLOAD_BUFFERSIZE, 256 * 1024)
        _ = ccurl_set_list(handle, CURLOPT_HTTPHEADER, list)
        _ = ccurl_set_writer(handle, arrive, context)
        _ = ccurl_set_header_reader(handle, arriveHeader, context)
        if let authorities { _ = ccurl_set_text(handle, CURLOPT_CAINFO, authorities) }
        if !verifiesPeers {
            _ = ccurl_set_long(handle, CURLOPT_SSL_VERIFYPEER, 0)
            _ = ccurl_set_long(handle, CURLOPT_SSL_VERIFYHOST, 0)
        }
        if mayReach != nil {
            gate.initialize(to: ccurl_gate(judge: judge, context: context))
            _ = ccurl_set_gate(handle, gate)
        }
        if method == "HEAD" { _ = ccurl_set_long(handle, CURLOPT_NOBODY, 1) }
        if body.isSent {
            _ = ccurl_set_long(handle, CURLOPT_UPLOAD, 1)
            _ = ccurl_set_reader(handle, leave, context)
            if let length = body.length { _ = ccurl_set_size(handle, CURLOPT_INFILESIZE_LARGE, curl_off_t(length)) }
        }
        _ = ccurl_set_text(handle, CURLOPT_CUSTOMREQUEST, method)
        return handle
    }

    fileprivate func allows(_ address: UnsafePointer<sockaddr>) -> Bool {
        guard let mayReach, let bytes = AddressBytes.of(address), !mayReach(bytes) else { return true }
        fail(.badRequest("\(method) \(url): the address \(AddressBytes.text(bytes)) must not be reached."))
        return false
    }

    func resume() { if let handle { curl_easy_pause(handle, CURLPAUSE_CONT) } }

    /// The handle, which is the caller's to end.
    func release() -> UnsafeMutableRawPointer? {
        defer { handle = nil }
        return handle
    }

    func ended(_ result: CURLcode) {
        guard result != CURLE_OK else { return settle { $0.ended = true } }
        let reason = String(cString: curl_easy_strerror(result))
        fail(
            result == CURLE_OPERATION_TIMEDOUT
                ? .timeout("\(method) \(url): no answer in time.") : .unavailable("\(method) \(url): \(reason)."))
    }

    /// False when it waits until somebody takes what is there.
    fileprivate func take(arrived bytes: UnsafeRawBufferPointer) -> Bool {
        let isFull = state.withLock { state in
            state.receivingRests = state.arrived.count >= HTTPTransfer.highWater
            return state.receivingRests
        }
        if isFull { return false }
        settle { $0.arrived.append(contentsOf: bytes) }
        return true
    }

    fileprivate func take(header line: UnsafeRawBufferPointer) {
        let text = String(decoding: line, as: UTF8.self)
        if text.hasPrefix("HTTP/") { lines = HTTPHeaders() }
        if let colon = text.firstIndex(of: ":") {
            let value = text[text.index(after: colon)...].prefix { !$0.isNewline }
            lines.add(String(text[..<colon]), String(value).trimmed)
        }
        guard text.allSatisfy(\.isNewline), let handle else { return }
        let status = Int(ccurl_status(handle))
        // Of several heads (100-continue, then the answer) the last one counts.
        guard status >= 200 else { return }
        let head = Head(status: status, headers: lines)
        settle { $0.head = head }
    }

    /// How many bytes were put there; nil when there are none yet.
    fileprivate func fill(_ target: UnsafeMutableRawBufferPointer) -> Int? {
        var count: Int?
        settle { state in
            let left = state.leaving.count - state.sent
            guard left > 0 else {
                state.sendingRests = !state.leavingEnded
                count = state.leavingEnded ? 0 : nil
                return
            }
            let portion = min(left, target.count)
            state.leaving.withUnsafeBytes {
                target.copyMemory(from: .init(rebasing: $0[state.sent..<state.sent + portion]))
            }
            state.sent += portion
            count = portion
        }
        return count
    }
}

private func arrive(
    _ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?
) -> Int {
    let transfer = Unmanaged<HTTPTransfer>.fromOpaque(context!).takeUnretainedValue()
    let all = UnsafeRawBufferPointer(start: bytes, count: size * count)
    return transfer.take(arrived: all) ? size * count : Int(CURL_WRITEFUNC_PAUSE)
}

private func arriveHeader(
    _ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?
) -> Int {
    let transfer = Unmanaged<HTTPTransfer>.fromOpaque(context!).takeUnretainedValue()
    transfer.take(header: UnsafeRawBufferPointer(start: bytes, count: size * count))
    return size * count
}

private func leave(
    _ target: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?
) -> Int {
    let transfer = Unmanaged<HTTPTransfer>.fromOpaque(context!).takeUnretainedValue()
    return transfer.fill(UnsafeMutableRawBufferPointer(start: target, count: size * count))
        ?? Int(CURL_READFUNC_PAUSE)
}

private func judge(_ address: UnsafePointer<sockaddr>?, _ context: UnsafeMutableRawPointer?) -> Int32 {
    guard let address else { return 0 }
    return Unmanaged<HTTPTransfer>.fromOpaque(context!).takeUnretainedValue().allows(address) ? 1 : 0
}
