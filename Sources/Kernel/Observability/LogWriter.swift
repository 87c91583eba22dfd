// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import Synchronization

/// Collects lines and writes them out: at 64 KiB, after 100 ms, at once for an error. A thread of its own does the
/// writing, so that a slow disk delays no request; only when 4 MiB wait does a speaker write them itself.
final class LogWriter: Sendable {
    private static let writeAt = 64 << 10
    private static let waitingMax = 4 << 20
    private static let delayMilliseconds = 100

    private let waiting = Mutex<[UInt8]>([])
    /// The descriptor; held while writing, so that batches keep their order. Taken before `waiting`, never after.
    private let output: Mutex<Int32>
    private let path: String?
    private let inMemory: Bool
    private let flusher: Flusher?
    private let lowest: Atomic<Int>
    let isTerminal: Bool

    init(_ sink: Log.Sink, _ level: Log.Level) {
        lowest = Atomic(level.rawValue)
        switch sink {
        case .stderr: (path, inMemory) = (nil, false)
        case .file(let path): (self.path, inMemory) = (path, false)
        case .memory: (path, inMemory) = (nil, true)
        }
        var descriptor: Int32 = 2
        if let path {
            let opened = LogWriter.open(path)
            if opened >= 0 {
                descriptor = opened
            } else {
                let reason = String(cString: strerror(errno))
                LogWriter.write(
                    2, Array("Cannot open the log file \(path) (\(reason)); logging to standard error.\n".utf8))
            }
        }
        output = Mutex(descriptor)
        isTerminal = !inMemory && path == nil && isatty(2) == 1
        flusher = inMemory ? nil : Flusher(delayMilliseconds: LogWriter.delayMilliseconds)
        flusher?.start { [weak self] in self?.flush() }
    }

    var level: Log.Level { Log.Level(rawValue: lowest.load(ordering: .relaxed)) ?? .info }

    func setLevel(_ level: Log.Level) {
        guard self.level != .off else { return }
        lowest.store(level.rawValue, ordering: .relaxed)
    }

    deinit {
        flusher?.stop()
        flush()
        output.withLock { if $0 > 2 { _ = close($0) } }
    }

    func append(_ line: [UInt8], urgent: Bool) {
        let (before, after) = waiting.withLock { waiting in
            let before = waiting.count
            waiting += line
            return (before, waiting.count)
        }
        guard let flusher else { return }
        if urgent || after >= LogWriter.waitingMax { return flush() }
        if before == 0 {
            flusher.wake(now: after >= LogWriter.writeAt)
        } else if before < LogWriter.writeAt, after >= LogWriter.writeAt {
            flusher.wake(now: true)
        }
    }

    func flush() {
        guard !inMemory else { return }
        output.withLock { descriptor in
            let batch = waiting.withLock { waiting in
                defer { waiting = [] }
                return waiting
            }
            LogWriter.write(descriptor, batch)
        }
    }

    func reopen() {
        guard let path else { return }
        flush()
        output.withLock { descriptor in
            let opened = LogWriter.open(path)
            guard opened >= 0 else { return }
            if descriptor > 2 { _ = close(descriptor) }
            descriptor = opened
        }
    }

    func kept() -> [String] {
        guard inMemory else { return [] }
        let all = waiting.withLock { $0 }
        return all.split(separator: UInt8(ascii: "\n")).map { String(decoding: $0, as: UTF8.self) }
    }

    private static func open(_ path: String) -> Int32 {
        Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
    }

    /// What cannot be written is lost: a full disk must not stop the cloud.
    private static func write(_ descriptor: Int32, _ bytes: [UInt8]) {
        bytes.withUnsafeBytes { all in
            var at = 0
            while at < all.count {
                let written = Glibc.write(descriptor, all.baseAddress! + at, all.count - at)
                if written > 0 {
                    at += written
                } else if errno == EAGAIN {
                    var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    guard poll(&ready, 1, 1000) > 0 else { return }
                } else if errno != EINTR {
                    return
                }
            }
        }
    }
}

/// A thread that calls back a while after it was woken.
private final class Flusher: @unchecked Sendable {
    // Safe to share: `state` is read and written only while `mutex` is held, and the three blocks live as long as this.
    private struct State {
        var pending = false
        var now = false
        var stopped = false
    }

    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var state = State()
    private let delayMilliseconds: Int

    init(delayMilliseconds: Int) {
        self.delayMilliseconds = delayMilliseconds
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(condition, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_cond_destroy(condition)
        pthread_mutex_destroy(mutex)
        condition.deallocate()
        mutex.deallocate()
    }

    /// The thread keeps this object alive, not the one that the action belongs to.
    func start(_ action: @escaping @Sendable () -> Void) {
        let work = Unmanaged.passRetained(Work(flusher: self, action: action))
        var thread = pthread_t()
        let started = pthread_create(
            &thread, nil,
            { context in
                let work = Unmanaged<Work>.fromOpaque(context!).takeRetainedValue()
                while work.flusher.wait() { work.action() }
                return nil
            }, work.toOpaque())
        precondition(started == 0, "no thread for the log: \(String(cString: strerror(started)))")
        pthread_detach(thread)
    }

    func wake(now: Bool) {
        pthread_mutex_lock(mutex)
        state.pending = true
        if now { state.now = true }
        pthread_cond_signal(condition)
        pthread_mutex_unlock(mutex)
    }

    func stop() {
        pthread_mutex_lock(mutex)
        state.stopped = true
        pthread_cond_signal(condition)
        pthread_mutex_unlock(mutex)
    }

    /// Sleeps until there is something and the delay is over; false when it is time to end.
    private func wait() -> Bool {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while !state.pending, !state.stopped { pthread_cond_wait(condition, mutex) }
        var until = timespec()
        clock_gettime(CLOCK_MONOTONIC, &until)
        let nanoseconds = until.tv_nsec + delayMilliseconds * 1_000_000
        until.tv_sec += nanoseconds / 1_000_000_000
        until.tv_nsec = nanoseconds % 1_000_000_000
        while !state.now, !state.stopped {
            if pthread_cond_timedwait(condition, mutex, &until) != 0 { break }
        }
        state.pending = false
        state.now = false
        return !state.stopped
    }

    private final class Work {
        let flusher: Flusher
        let action: @Sendable () -> Void

        init(flusher: Flusher, action: @escaping @Sendable () -> Void) {
            self.flusher = flusher
            self.action = action
        }
    }
}
