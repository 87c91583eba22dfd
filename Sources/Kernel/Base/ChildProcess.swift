// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc
internal import Synchronization

/// A child that goes on beside us, in its own process group. A thread of its own waits for it, so it is always reaped.
package final class ChildProcess: Sendable {
    private struct State {
        var status: Int32?
        var waiters: [CheckedContinuation<Int32, Never>] = []
    }

    package let pid: Int32
    private let state = Mutex(State())

    init(pid: Int32) throws(Fault) {
        self.pid = pid
        let child = self
        try DedicatedThread.start {
            let status = Subprocess.reap(pid)
            let waiters = child.state.withLock { state in
                state.status = status
                return state.waiters
            }
            for waiter in waiters { waiter.resume(returning: status) }
        }
    }

    package var isRunning: Bool { state.withLock { $0.status == nil } }

    /// The exit status, or minus the number of the signal that ended it.
    @discardableResult
    package func wait() async -> Int32 {
        await withCheckedContinuation { continuation in
            let ended = state.withLock { state in
                if state.status == nil { state.waiters.append(continuation) }
                return state.status
            }
            if let ended { continuation.resume(returning: ended) }
        }
    }

    /// Signals the whole process group, unless the child has been reaped and the number may be somebody else's.
    package func signal(_ number: Int32) {
        state.withLock { state in
            if state.status == nil { kill(-pid, number) }
        }
    }

    /// Asks the group to end, insists after the grace, and returns when the child is gone.
    package func terminate(grace: Duration) async {
        signal(SIGTERM)
        await withDiscardingTaskGroup { group in
            group.addTask { [self] in
                do { try await Task.sleep(for: grace) } catch { return }
                signal(SIGKILL)
            }
            await wait()
            group.cancelAll()
        }
    }
}
