// SPDX-License-Identifier: Apache-2.0
package import Base
internal import CCurl
internal import Synchronization

/// Calls to other servers whose bodies are too large to hold: read and written in pieces, as fast as the slower end.
/// One thread carries all of them through libcurl's multi interface; connections are kept and used again.
package final class HTTPStreams: Sendable {
    /// An answer whose body is read while it arrives. A body that is dropped ends the call.
    package struct Reply: Sendable {
        package let status: Int
        package let headers: HTTPHeaders
        package let body: HTTPBody
    }

    private let loop: StreamLoopHold
    private let authorities: String?
    private let verifiesPeers: Bool
    private let mayReach: AddressRule?

    /// - Parameters:
    ///   - authorities: a file of trusted certificates instead of the system's.
    ///   - mayReach: asked about each address when a connection to it begins, after all names were resolved.
    package init(authorities: String? = nil, verifiesPeers: Bool = true, mayReach: AddressRule? = nil) {
        _ = HTTPClient.prepared
        loop = StreamLoopHold()
        self.authorities = authorities
        self.verifiesPeers = verifiesPeers
        self.mayReach = mayReach
    }

    /// Answers when the head is there.
    /// - Parameter stall: how long nothing may arrive while somebody waits for it.
    package func receive(
        _ url: String, method: String = "GET", headers: [(String, String)] = [], stall: Duration = .seconds(60)
    ) async throws(Fault) -> Reply {
        let transfer = make(method, url, headers, stall)
        try loop.loop.start(transfer)
        let body = TransferBody(transfer, loop)
        let head = try await transfer.head()
        let length = head.headers["Content-Length"].flatMap(Int.init)
        return Reply(status: head.status, headers: head.headers, body: HTTPBody(contentLength: length, source: body))
    }

    /// Begins to send a body.
    /// - Parameter length: of the body; it is sent in chunks of HTTP/1.1 when nobody knows.
    package func send(
        _ url: String, method: String = "PUT", headers: [(String, String)] = [], length: Int? = nil,
        stall: Duration = .seconds(60)
    ) throws(Fault) -> HTTPUpload {
        let transfer = make(method, url, headers, stall)
        transfer.sendsBody(length)
        try loop.loop.start(transfer)
        return HTTPUpload(transfer, loop)
    }

    private func make(
        _ method: String, _ url: String, _ headers: [(String, String)], _ stall: Duration
    ) -> HTTPTransfer {
        HTTPTransfer(
            method, url, headers, stall: stall, authorities: authorities, verifiesPeers: verifiesPeers,
            mayReach: mayReach)
    }
}

/// A body on its way to another server. One that is dropped unfinished breaks off, so that the server notices.
package final class HTTPUpload: Sendable {
    private let transfer: HTTPTransfer
    private let loop: StreamLoopHold

    fileprivate init(_ transfer: HTTPTransfer, _ loop: StreamLoopHold) {
        self.transfer = transfer
        self.loop = loop
    }

    deinit { loop.loop.send(.cancel(transfer)) }

    /// Returns when the bytes have a place to go; throws when the server is gone. Bytes after an early
    /// answer go nowhere; `finish` tells what it was.
    package func write(_ bytes: [UInt8]) async throws(Fault) {
        if try transfer.give(bytes) { loop.loop.send(.resume(transfer)) }
        try await transfer.waitForRoom()
    }

    /// Ends the body, and takes in the answer.
    package func finish(limit: Int = 1 << 20) async throws(Fault) -> HTTPClient.Reply {
        if transfer.giveEnd() { loop.loop.send(.resume(transfer)) }
        let head = try await transfer.head()
        let body = try await HTTPBody(contentLength: nil, source: TransferBody(transfer, loop)).collect(limit: limit)
        return HTTPClient.Reply(status: head.status, headers: head.headers, body: body)
    }
}

/// The reading end of an answer's body.
private final class TransferBody: BodySource {
    private let transfer: HTTPTransfer
    private let loop: StreamLoopHold

    init(_ transfer: HTTPTransfer, _ loop: StreamLoopHold) {
        self.transfer = transfer
        self.loop = loop
    }

    deinit { loop.loop.send(.cancel(transfer)) }

    func read() async throws(Fault) -> [UInt8]? {
        while true {
            let taken = try transfer.take()
            if taken.resumes { loop.loop.send(.resume(transfer)) }
            if let bytes = taken.bytes { return bytes }
            if taken.isEnd { return nil }
            await transfer.waitForBytes()
        }
    }
}

/// Whoever can still use the loop has this; the thread ends with the last of them.
private final class StreamLoopHold: Sendable {
    let loop = StreamLoop()

    deinit { loop.send(.stop) }
}

/// The thread that carries the transfers. It lives from the first transfer to `stop`.
final class StreamLoop: Sendable {
    enum Command: Sendable {
        case start(HTTPTransfer)
        /// One end has room or bytes again.
        case resume(HTTPTransfer)
        case cancel(HTTPTransfer)
        case stop
    }

    private struct State: ~Copyable {
        var waiting: [Command] = []
        var multi: Multi?
    }

    /// libcurl lets other threads call `curl_multi_wakeup` and nothing else; `State` is locked for it.
    private struct Multi: @unchecked Sendable {
        let raw: UnsafeMutableRawPointer
    }

    private let state = Mutex(State())

    func start(_ transfer: HTTPTransfer) throws(Fault) {
        let isNew = try state.withLock { state throws(Fault) in
            if state.multi != nil { return false }
            guard let raw = curl_multi_init() else { throw .internalError("libcurl gave no handle.") }
            state.multi = Multi(raw: raw)
            return true
        }
        if isNew { try DedicatedThread.start { self.run() } }
        send(.start(transfer))
    }

    func send(_ command: Command) {
        state.withLock { state in
            guard let multi = state.multi else { return }
            state.waiting.append(command)
            curl_multi_wakeup(multi.raw)
        }
    }

    private func run() {
        guard let multi = state.withLock({ $0.multi?.raw }) else { return }
        var carried: [UnsafeMutableRawPointer: HTTPTransfer] = [:]
        var isOver = false
        while !isOver {
            let commands = state.withLock { state in
                defer { state.waiting = [] }
                return state.waiting
            }
            for command in commands {
                switch command {
                case .start(let transfer):
                    guard let handle = transfer.prepare() else { continue }
                    carried[handle] = transfer
                    curl_multi_add_handle(multi, handle)
                case .resume(let transfer): transfer.resume()
                case .cancel(let transfer): drop(transfer, multi, &carried)
                case .stop: isOver = true
                }
            }
            var running: Int32 = 0
            curl_multi_perform(multi, &running)
            var result = CURLE_OK
            while let handle = ccurl_ended(multi, &result) {
                guard let transfer = carried[handle] else { continue }
                transfer.ended(result)
                drop(transfer, multi, &carried)
            }
            if !isOver { curl_multi_poll(multi, nil, 0, 1000, nil) }
        }
        for transfer in Array(carried.values) { drop(transfer, multi, &carried) }
        state.withLock { $0.multi = nil }
        curl_multi_cleanup(multi)
    }

    private func drop(
        _ transfer: HTTPTransfer, _ multi: UnsafeMutableRawPointer,
        _ carried: inout [UnsafeMutableRawPointer: HTTPTransfer]
    ) {
        guard let handle = transfer.release(), carried.removeValue(forKey: handle) != nil else { return }
        curl_multi_remove_handle(multi, handle)
        curl_easy_cleanup(handle)
        transfer.fail(.unavailable("The call was given up."))
    }
}
