// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc

/// A thread of its own, for work that changes the thread it runs on (setns, unshare) or that waits for ever.
/// Threads of Swift's pools must never do either: the change would follow the thread to somebody else's task.
package enum DedicatedThread {
    /// Runs the body on a thread that ends with it, and waits for the answer. Meant for bodies of a few milliseconds,
    /// or for callers that may block.
    package static func perform<T: Sendable>(
        _ body: @Sendable @escaping () throws(Fault) -> T
    ) throws(Fault) -> T {
        let slot = Slot<T>()
        let thread = try create {
            do throws(Fault) { slot.result = .success(try body()) } catch { slot.result = .failure(error) }
        }
        pthread_join(thread, nil)
        switch slot.result {
        case .success(let value): return value
        case .failure(let fault): throw fault
        case nil: preconditionFailure("a joined thread has its result")
        }
    }

    /// Starts the body on a thread of its own and forgets it.
    package static func start(_ body: @Sendable @escaping () -> Void) throws(Fault) {
        pthread_detach(try create(body))
    }

    /// Lets a moment pass while something outside gets ready; only for a thread that may block.
    package static func pause(_ time: Duration) { usleep(useconds_t(max(0, time.microseconds))) }

    private static func create(_ body: @Sendable @escaping () -> Void) throws(Fault) -> pthread_t {
        let job = Unmanaged.passRetained(Job(body))
        var thread = pthread_t()
        let problem = pthread_create(
            &thread, nil,
            { raw in
                Unmanaged<Job>.fromOpaque(raw!).takeRetainedValue().body()
                return nil
            }, job.toOpaque())
        guard problem == 0 else {
            job.release()
            throw .unavailable("Cannot start a thread: \(SystemError.text(problem))")
        }
        return thread
    }

    private final class Job {
        let body: @Sendable () -> Void
        init(_ body: @Sendable @escaping () -> Void) { self.body = body }
    }

    /// Written by the thread before it ends, read after the join that orders the two.
    private final class Slot<T: Sendable>: @unchecked Sendable {
        var result: Result<T, Fault>?
    }
}

/// What the operating system said, as text and as a fault.
package enum SystemError {
    package static func text(_ code: Int32) -> String { String(cString: strerror(code)) }

    /// The fault for a call that failed just now; reads `errno`, so ask at once.
    package static func fault(_ what: String) -> Fault { fault(what, errno) }
    package static func fault(_ what: String, _ code: Int32) -> Fault { .internalError("\(what): \(text(code))") }
}
