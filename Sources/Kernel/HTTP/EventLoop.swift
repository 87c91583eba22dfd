// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import CLinux
internal import Glibc
internal import Synchronization

/// Something with a file descriptor in a loop's epoll set.
protocol EventSource: AnyObject {
    func ready(_ events: UInt32)
}

/// One thread that waits on the network and runs the Swift tasks that prefer it, so that a handler answers on the
/// thread that read its request. Except for the inbox, its members belong to that thread.
final class EventLoop: TaskExecutor, @unchecked Sendable {
    typealias Chore = @Sendable () -> Void

    fileprivate struct Inbox: ~Copyable {
        var jobs: [UnownedJob] = []
        var chores: [Chore] = []
        var asleep = false
        var stopped = false
    }

    private let inbox = Mutex(Inbox())
    private let epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
    private let bell = eventfd(0, Int32(EFD_NONBLOCK) | Int32(EFD_CLOEXEC))
    private let thread = Atomic<UInt>(0)
    private var sources: [UInt64: any EventSource] = [:]
    private var lastToken: UInt64 = 0
    /// The time of this turn, read once.
    private(set) var now = Stopwatch.nanoseconds()
    private var timers: [(at: UInt64, chore: Chore)] = []
    var daemons: [HTTPDaemon] = []
    let connections: ConnectionTable
    /// Set once the server is told to stop: answers close their connections.
    var draining = false
    /// Called between turns once the last connection is closed.
    var whenEmpty: Chore?
    /// Connections of this loop, for the acceptor that looks for the idlest one.
    let load = Atomic<Int>(0)

    init(limits: HTTPLimits) {
        connections = ConnectionTable(limits)
    }

    deinit {
        close(epoll)
        close(bell)
    }

    func start(name: String) {
        _ = watch(bell, Int32(bitPattern: EPOLLIN.rawValue), Bell(bell))
        var handle = pthread_t()
        let started = pthread_create(&handle, nil, runEventLoop, Unmanaged.passRetained(self).toOpaque())
        precondition(started == 0, "no thread for the event loop")
        pthread_setname_np(handle, name)
        pthread_detach(handle)
    }

    var isCurrent: Bool { thread.load(ordering: .relaxed) == UInt(pthread_self()) }

    // MARK: Inbox

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        ring(
            inbox.withLock { inbox in
                inbox.jobs.append(job)
                return inbox.wake()
            })
    }

    /// Runs on the loop's thread between two rounds of events, never inside a callback of libmicrohttpd.
    func post(_ chore: @escaping Chore) {
        ring(
            inbox.withLock { inbox in
                inbox.chores.append(chore)
                return inbox.wake()
            })
    }

    /// At once on the loop's own thread, else posted. For what may be done inside a callback.
    func perform(_ chore: @escaping Chore) {
        if isCurrent { chore() } else { post(chore) }
    }

    /// Once, on the loop's thread, not before that time has passed. Called on the loop's thread.
    func after(_ delay: Duration, _ chore: @escaping Chore) {
        timers.append((now + UInt64(max(0, delay.microseconds)) * 1000, chore))
    }

    /// Tells the connections to end; calls back when they have, or shortly after the time is over.
    func drain(within patience: Duration, then done: @escaping Chore) {
        draining = true
        connections.forEach { $0.drain() }
        after(patience) { [self] in connections.forEach { $0.abandon() } }
        after(patience + .seconds(2)) { [self] in whenEmpty?() }
        whenEmpty = { [self] in
            whenEmpty = nil
            // libmicrohttpd aborts the process when it is stopped with a suspended connection.
            if connections.isEmpty { for daemon in daemons { daemon.stop() } }
            daemons = []
            timers = []
            done()
        }
    }

    /// Ends the thread once nothing waits for it.
    func stop() {
        ring(
            inbox.withLock { inbox in
                inbox.stopped = true
                return inbox.wake()
            })
    }

    private func ring(_ wake: Bool) {
        guard wake, !isCurrent else { return }
        var one: UInt64 = 1
        _ = write(bell, &one, 8)
    }

    /// Runs the tasks that wait; false when there were none.
    func runJobs() -> Bool {
        let jobs = inbox.withLock { inbox in
            guard !inbox.jobs.isEmpty else { return [UnownedJob]() }
            let jobs = inbox.jobs
            inbox.jobs = []
            return jobs
        }
        for job in jobs { job.runSynchronously(on: asUnownedTaskExecutor()) }
        return !jobs.isEmpty
    }

    // MARK: Descriptors

    /// Adds a descriptor; the token takes it out again.
    func watch(_ descriptor: Int32, _ events: Int32, _ source: any EventSource) -> UInt64 {
        lastToken += 1
        var event = epoll_event(events: UInt32(bitPattern: events), data: epoll_data_t(u64: lastToken))
        guard epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) == 0 else { return 0 }
        sources[lastToken] = source
        return lastToken
    }

    func forget(_ descriptor: Int32, _ token: UInt64) {
        guard sources.removeValue(forKey: token) != nil else { return }
        epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, nil)
    }

    // MARK: Turns

    fileprivate func run() {
        thread.store(UInt(pthread_self()), ordering: .relaxed)
        let events = UnsafeMutablePointer<epoll_event>.allocate(capacity: 64)
        defer { events.deallocate() }
        while turn(events) {}
    }

    private func turn(_ events: UnsafeMutablePointer<epoll_event>) -> Bool {
        _ = runJobs()
        runChores()
        for daemon in daemons where daemon.isDue { daemon.run() }
        let (idle, stopped) = inbox.withLock { inbox in
            let idle = inbox.jobs.isEmpty && inbox.chores.isEmpty
            inbox.asleep = idle
            return (idle, inbox.stopped)
        }
        if stopped && idle && timers.isEmpty && daemons.isEmpty { return false }
        let wait = !idle || daemons.contains(where: \.isDue) ? 0 : millisecondsToWait
        let count = epoll_wait(epoll, events, 64, wait)
        inbox.withLock { $0.asleep = false }
        now = Stopwatch.nanoseconds()
        for at in 0..<max(0, Int(count)) {
            sources[events[at].data.u64]?.ready(events[at].events)
        }
        for daemon in daemons where daemon.isDue { daemon.run() }
        if connections.sweep(now) {
            for daemon in daemons { daemon.isDue = true }
        }
        fireTimers()
        if let whenEmpty, connections.isEmpty {
            self.whenEmpty = nil
            whenEmpty()
        }
        return true
    }

    /// Apart from `turn`, so that what the chores held is let go before the wait.
    private func runChores() {
        for chore in inbox.withLock({ $0.takeChores() }) { chore() }
    }

    /// To the next timer or sweep; -1 when nothing but events can matter.
    private var millisecondsToWait: Int32 {
        if whenEmpty != nil && connections.isEmpty { return 0 }
        let next = min(timers.reduce(UInt64.max) { min($0, $1.at) }, connections.nextSweep)
        guard next != .max else { return -1 }
        return next <= now ? 0 : Int32(clamping: (next - now) / 1_000_000 + 1)
    }

    private func fireTimers() {
        guard timers.contains(where: { $0.at <= now }) else { return }
        let due = timers.filter { $0.at <= now }
        timers.removeAll { $0.at <= now }
        for timer in due { timer.chore() }
    }
}

extension EventLoop.Inbox {
    fileprivate mutating func wake() -> Bool {
        defer { asleep = false }
        return asleep
    }

    fileprivate mutating func takeChores() -> [EventLoop.Chore] {
        guard !chores.isEmpty else { return [] }
        let taken = chores
        chores = []
        return taken
    }
}

/// Takes the count out of the loop's eventfd.
private final class Bell: EventSource {
    private let descriptor: Int32

    init(_ descriptor: Int32) { self.descriptor = descriptor }

    func ready(_ events: UInt32) {
        var count: UInt64 = 0
        _ = read(descriptor, &count, 8)
    }
}

private func runEventLoop(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    Unmanaged<EventLoop>.fromOpaque(context!).takeRetainedValue().run()
    return nil
}
