// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc

/// A few threads of their own for calls that block (C libraries, disks, waiting for children), so that neither the
/// cooperative pool nor an event loop ever stands still. Work through `run` is bounded; a task that prefers this
/// executor is never refused.
package final class BlockingPool: TaskExecutor {
    private let line: Line

    /// - Parameters:
    ///   - queue: how many calls may wait for a thread before `run` answers 503.
    ///   - niceness: how far the threads stand back for the program's others, as nice(1) has it.
    package init(name: String, threads: Int, queue: Int, niceness: Int32 = 0) {
        precondition(threads > 0 && queue > 0, "a pool has threads and a queue")
        line = Line(name: name, bound: queue, niceness: niceness)
        for _ in 0..<threads { line.startThread() }
    }

    deinit { line.stop() }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        _ = line.push({ job.runSynchronously(on: self.asUnownedTaskExecutor()) }, always: true)
    }

    /// Runs the body on one of the threads.
    package func run<T: Sendable>(_ body: @Sendable @escaping () throws(Fault) -> T) async throws(Fault) -> T {
        let result: Result<T, Fault>? = await withCheckedContinuation { continuation in
            let taken = line.push({ continuation.resume(returning: Result(catching: body)) }, always: false)
            if !taken { continuation.resume(returning: nil) }
        }
        guard let result else {
            throw .unavailable("The \(line.name) queue is full; try again later.", retryAfter: 1)
        }
        return try result.get()
    }

    /// Has the body run on one of the threads, and does not wait for it.
    package func begin<T: Sendable>(_ body: @Sendable @escaping () throws(Fault) -> T) throws(Fault) -> Deferred<T> {
        let deferred = Deferred<T>()
        guard line.push({ deferred.settle(Result(catching: body)) }, always: false) else {
            throw .unavailable("The \(line.name) queue is full; try again later.", retryAfter: 1)
        }
        return deferred
    }
}

/// What waits for a thread. The threads hold this and not the pool, so that the pool can go while they wait.
/// Every member below `mutex` is touched with the mutex held.
private final class Line: @unchecked Sendable {
    typealias Work = @Sendable () -> Void

    let name: String
    private let bound: Int
    private let niceness: Int32
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let wake = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var waiting: [Work?] = []
    private var head = 0
    private var stopped = false

    init(name: String, bound: Int, niceness: Int32) {
        self.name = name
        self.bound = bound
        self.niceness = niceness
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(wake, nil)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        pthread_cond_destroy(wake)
        mutex.deallocate()
        wake.deallocate()
    }

    func startThread() {
        var thread = pthread_t()
        let started = pthread_create(&thread, nil, runLine, Unmanaged.passRetained(self).toOpaque())
        precondition(started == 0, "no thread for the \(name) pool")
        pthread_setname_np(thread, String(name.prefix(15)))
        pthread_detach(thread)
    }

    func push(_ work: @escaping Work, always: Bool) -> Bool {
        pthread_mutex_lock(mutex)
        let taken = always || waiting.count - head < bound
        if taken { waiting.append(work) }
        pthread_mutex_unlock(mutex)
        if taken { pthread_cond_signal(wake) }
        return taken
    }

    func stop() {
        pthread_mutex_lock(mutex)
        stopped = true
        pthread_mutex_unlock(mutex)
        pthread_cond_broadcast(wake)
    }

    func run() {
        // Of the calling thread alone: Linux has a niceness for each.
        if niceness != 0 { setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, niceness) }
        while let work = next() { work() }
    }

    /// The oldest piece of work; nil once the pool is gone and nothing waits.
    private func next() -> Work? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while head == waiting.count {
            if stopped { return nil }
            pthread_cond_wait(wake, mutex)
        }
        let work = waiting[head]
        waiting[head] = nil
        head += 1
        if head == waiting.count || head > 1024 {
            waiting.removeFirst(head)
            head = 0
        }
        return work
    }
}

private func runLine(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    Unmanaged<Line>.fromOpaque(context!).takeRetainedValue().run()
    return nil
}
