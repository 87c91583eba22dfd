// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import CMicrohttpd
internal import Glibc
internal import Observability

/// One request and its answer. libmicrohttpd calls in on the loop's thread, the handler's task runs there as well, and
/// everything here is touched on that thread alone.
final class Exchange: @unchecked Sendable {
    enum Stage {
        /// A body is announced; nobody has asked for it yet.
        case announced
        case receiving
        case received
        case answered
        /// libmicrohttpd has let go of the request.
        case over
    }

    let loop: EventLoop
    let connection: OpaquePointer
    private let daemon: HTTPDaemon
    private let wire: HTTPConnection
    private(set) var head: RequestHead?
    private(set) var stage = Stage.received
    private var suspended = false
    private var task: Task<Void, Never>?
    private(set) var response: HTTPResponse?
    private var body: BodyPipe?
    private var direct: DirectBody?
    private var sending: DirectFile?
    private var lastSent: UInt64 = 0
    /// libmicrohttpd does not know how much of the body is left: the connection cannot be used again.
    private var wasDirect = false
    private(set) var stream: StreamPipe?
    private(set) var upgrade: UpgradeGate?
    private var expected = 0
    private var discarded = 0
    private var watch: BodyWatch

    init(_ wire: HTTPConnection, _ connection: OpaquePointer) {
        self.wire = wire
        self.connection = connection
        daemon = wire.daemon
        loop = wire.daemon.loop
        watch = BodyWatch(wire.daemon.service.limits, loop.now)
    }

    var isHead: Bool { head?.method == "HEAD" }
    /// Whether the streamed answer said how long it is.
    var announcesLength: Bool {
        if case .stream(.some, _) = response?.body { true } else { false }
    }

    // MARK: libmicrohttpd's calls

    /// The first call. What it answers closes the connection, so a request without a body waits for the second one.
    func begin(_ head: RequestHead) -> MHD_Result {
        self.head = head
        guard head.hasBody else { return .YES }
        expected = head.contentLength ?? 0
        stage = .announced
        body = BodyPipe(self)
        start()
        return announced()
    }

    /// Called again: after a suspension, or because the request is complete.
    func proceed() -> MHD_Result {
        switch stage {
        case .announced: return announced()
        case .receiving:
            stage = .received
            body?.end()
        case .received: if task == nil { start() }
        case .answered, .over:
            if wasDirect { lookAgain() }
            return .NO
        }
        return answerOrSuspend()
    }

    func refuse(_ fault: Fault) -> MHD_Result {
        response = HTTPResponse(
            status: fault.status, headers: [("Content-Type", "text/plain"), ("Connection", "close")],
            body: .bytes(Array((fault.message + "\n").utf8)))
        return queue()
    }

    /// A body waits on the wire until the handler asks for it, or has answered without.
    private func announced() -> MHD_Result {
        runPending { body?.isWanted == true }
        if response != nil {
            let discard = daemon.service.limits.bodyDiscard
            if head?.expectsContinue == true || expected > discard || body == nil {
                wire.lingers = true
                return queue()
            }
            stage = .receiving
        } else if body?.isWanted == true {
            stage = .receiving
            watch.restart(loop.now)
        } else {
            suspend()
        }
        return .YES
    }

    func receive(_ bytes: UnsafeRawBufferPointer) -> MHD_Result {
        watch.add(bytes.count, loop.now)
        if let response {
            // Answered before the end: a little is thrown away to keep the connection, much is not.
            discarded += bytes.count
            guard !wasDirect, max(discarded, expected - watch.total) <= daemon.service.limits.bodyDiscard else {
                EarlyAnswer.send(response, on: wire, isSecure: daemon.secure)
                return giveUp()
            }
            return .YES
        }
        guard let body else { return giveUp() }
        body.append(bytes, isLast: head?.contentLength == watch.total)
        if !daemon.secure, head?.contentLength != nil, expected - watch.total >= DirectBody.shortest {
            goDirect(body)
        } else if body.isFull {
            runPending { !body.isFull }
            if body.isFull && !suspended { suspend() }
        }
        return .YES
    }

    private func goDirect(_ body: BodyPipe) {
        suspend()
        wasDirect = true
        let direct = DirectBody(self, socket: wire.socket, pipe: body, left: expected - watch.total)
        self.direct = direct
        direct.start()
    }

    /// Bytes came past libmicrohttpd.
    func count(_ bytes: Int) { watch.add(bytes, loop.now) }

    /// The client has gone while its body came past libmicrohttpd, which is told by the socket's end.
    func lostClient() {
        direct = nil
        body?.fail(Fault(499, "The client closed the connection."))
        wire.cut()
        resume()
    }

    /// The answer to a body that came past libmicrohttpd. While more is coming, it is as other early answers.
    private func answer(_ response: HTTPResponse, after direct: DirectBody) {
        direct.stop()
        self.direct = nil
        if direct.left == 0 {
            EarlyAnswer.send(response, on: wire, isSecure: false)
            wire.cut()
        }
        resume()
    }

    /// Ends the connection from inside a body.
    private func giveUp() -> MHD_Result {
        lookAgain()
        return .NO
    }

    func lookAgain() {
        cmhd_look_again(connection)
        daemon.isDue = true
    }

    private func answerOrSuspend() -> MHD_Result {
        runPending { false }
        if response != nil, sending == nil { return queue() }
        suspend()
        return .YES
    }

    /// Lets the handler go on here and now rather than through a suspension and a turn of the loop.
    private func runPending(until enough: () -> Bool) {
        for _ in 0..<4 where response == nil && !enough() {
            guard loop.runJobs() else { return }
        }
    }

    private func queue() -> MHD_Result {
        guard let response else { return .NO }
        stage = .answered
        let queued = ResponseQueue.queue(response, on: self)
        if queued != .YES {
            daemon.service.log.error(
                "an answer could not be sent", ["path": head?.path, "status": response.status])
        }
        return queued
    }

    /// libmicrohttpd is done with it.
    func finish(wasAnswered: Bool) {
        guard stage != .over else { return }
        let gone = Fault(499, "The client closed the connection.")
        stage = .over
        direct?.stop()
        direct = nil
        sending?.stop()
        sending = nil
        body?.fail(gone)
        body = nil
        stream?.fail(gone)
        upgrade?.close()
        if !wasAnswered || response == nil { task?.cancel() }
        task = nil
    }

    // MARK: Suspension

    func suspend() {
        guard !suspended else { return }
        suspended = true
        MHD_suspend_connection(connection)
    }

    func resume() {
        guard suspended else { return }
        suspended = false
        guard stage != .over else { return }
        MHD_resume_connection(connection)
        daemon.isDue = true
    }

    /// Something was done to the connection that libmicrohttpd shall look at.
    func wakeDaemon() { daemon.isDue = true }

    /// The reader wants more.
    func readOn() {
        guard stage == .announced || stage == .receiving else { return }
        if let direct {
            if direct.isResting { watch.restart(loop.now) }
            return direct.start()
        }
        if suspended { watch.restart(loop.now) }
        resume()
    }

    // MARK: The handler

    private func start() {
        guard let head else { return }
        let request = HTTPRequest(
            method: head.method, path: head.path, query: head.query, headers: head.headers,
            body: body.map { HTTPBody(contentLength: head.contentLength, source: $0) } ?? .empty,
            peer: wire.peer, peerPort: wire.peerPort, port: wire.port, tag: wire.tag, secure: daemon.secure)
        let handler = daemon.service.handler
        task = Task.immediateDetached(executorPreference: loop) { [self] in
            await run(handler(request))
        }
    }

    private func run(_ response: HTTPResponse) async {
        settle(response)
        switch response.body {
        case .stream(_, let produce):
            guard !isHead, let stream else { return }
            do throws(Fault) {
                try await produce(ResponseWriter { (bytes) throws(Fault) in try await stream.write(bytes) })
                stream.end()
            } catch {
                if error.status >= 500 {
                    daemon.service.log.warning("a streamed answer broke", ["path": head?.path, "fault": error.message])
                }
                stream.fail(error)
            }
        case .upgrade(_, _, let run):
            guard let gate = upgrade, let connection = await gate.connection() else { return }
            await run(connection)
            connection.close()
        case .empty, .bytes, .file: break
        }
    }

    private func settle(_ response: HTTPResponse) {
        guard self.response == nil, stage != .over else { return }
        let response = direct == nil ? response : EarlyAnswer.fitting(response)
        self.response = response
        switch response.body {
        case .stream where !isHead: stream = StreamPipe(self)
        case .upgrade: upgrade = UpgradeGate(self)
        default: break
        }
        if let direct { return answer(response, after: direct) }
        if sendDirectly(response) { return }
        resume()
    }

    /// Whether the answer goes past libmicrohttpd: a long file on a plain connection.
    private func sendDirectly(_ response: HTTPResponse) -> Bool {
        guard case .file(let file, let offset, let length) = response.body, length >= DirectFile.shortest,
            !daemon.secure, !isHead, stage == .received
        else { return false }
        let head = EarlyAnswer.head(response, length: length)
        let sending = DirectFile(
            self, socket: wire.socket, head: head, file: file, offset: offset, length: length)
        (wasDirect, stage, lastSent) = (true, .answered, loop.now)
        self.sending = sending
        sending.start()
        return true
    }

    func sentDirectly() { lastSent = loop.now }

    /// All of a file was sent past libmicrohttpd, or no more can be: the connection ends either way.
    func endedDirectly(wasWhole: Bool) {
        sending = nil
        if wasWhole { wire.lingers = true } else { wire.cut() }
        resume()
    }

    // MARK: Time and end

    func checkBody(_ now: UInt64) {
        if let sending {
            guard now - lastSent > daemon.service.limits.keepAlive.nanoseconds else { return }
            sending.stop()
            return endedDirectly(wasWhole: false)
        }
        guard stage == .receiving, !suspended || direct != nil else { return }
        if direct?.isResting == true { return watch.restart(now) }
        if response == nil && body?.isAwaited != true { return watch.restart(now) }
        if let response, watch.isQuiet(now) {
            // It may be waiting for the answer before it sends the rest.
            EarlyAnswer.send(response, on: wire, isSecure: daemon.secure)
            return wire.cut()
        }
        if watch.isOverdue(now) || wire.hasEnded { direct == nil ? wire.cut() : lostClient() }
    }

    func drain() { upgrade?.close() }

    func abandon() {
        task?.cancel()
        if stage == .answered { return wire.cut() }
        settle(
            HTTPResponse(
                status: 503, headers: [("Retry-After", "1"), ("Content-Type", "text/plain")],
                body: .bytes(Array("The server is stopping.\n".utf8))))
        if stage == .receiving { wire.cut() }
    }
}

/// Whether a body comes fast enough.
private struct BodyWatch {
    private(set) var total = 0
    private let idle: UInt64
    private let window: UInt64
    private let bytesPerWindow: Int
    private var last: UInt64
    private var windowStart: UInt64
    private var windowBytes = 0

    init(_ limits: HTTPLimits, _ now: UInt64) {
        idle = limits.bodyIdleTimeout.nanoseconds
        window = max(1, limits.bodyRateWindow.nanoseconds)
        bytesPerWindow = Int(limits.bodyRateWindow.milliseconds) * limits.bodyMinimumRate / 1000
        last = now
        windowStart = now
    }

    /// The clock of a window stands while the handler, not the client, is the slow one.
    mutating func restart(_ now: UInt64) {
        last = now
        windowStart = now
        windowBytes = 0
    }

    mutating func add(_ count: Int, _ now: UInt64) {
        total += count
        windowBytes += count
        last = now
    }

    func isQuiet(_ now: UInt64) -> Bool { now - last > min(idle, 1_000_000_000) }

    mutating func isOverdue(_ now: UInt64) -> Bool {
        if now - last > idle { return true }
        guard now - windowStart >= window else { return false }
        defer {
            windowStart = now
            windowBytes = 0
        }
        return windowBytes < bytesPerWindow
    }
}
