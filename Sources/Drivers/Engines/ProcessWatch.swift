// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import CLinux
internal import Glibc
internal import Synchronization

/// Tells when processes end, children or not: one thread sleeps on all their descriptors at once.
final class ProcessWatch: Sendable {
    private struct State {
        var watched: [String: ProcessHandle] = [:]
        var closed = false
    }

    /// The names under which ended processes were watched. Ends with `close` or when the reader is cancelled.
    let exits: AsyncStream<String>
    private let yield: AsyncStream<String>.Continuation
    private let state = Mutex(State())
    private let wake: Int32

    init() throws(Fault) {
        (exits, yield) = AsyncStream.makeStream()
        wake = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
        guard wake >= 0 else { throw SystemError.fault("Cannot make an event descriptor") }
        let watch = self
        try DedicatedThread.start { watch.run() }
    }

    deinit { Glibc.close(wake) }

    func watch(_ name: String, _ process: ProcessHandle) {
        state.withLock { $0.watched[name] = process }
        nudge()
    }

    func close() {
        state.withLock { $0.closed = true }
        nudge()
    }

    private func nudge() {
        var one: UInt64 = 1
        _ = write(wake, &one, 8)
    }

    private func run() {
        while let watched = state.withLock({ $0.closed ? nil : $0.watched }) {
            let entries = Array(watched)
            var polled = [pollfd(fd: wake, events: Int16(POLLIN), revents: 0)]
            polled += entries.map { pollfd(fd: $0.value.descriptor, events: Int16(POLLIN), revents: 0) }
            guard poll(&polled, nfds_t(polled.count), -1) > 0 else { continue }
            if polled[0].revents != 0 {
                var count: UInt64 = 0
                _ = read(wake, &count, 8)
            }
            for (at, entry) in entries.enumerated() where polled[at + 1].revents != 0 {
                let known = state.withLock { state in
                    guard state.watched[entry.key] === entry.value else { return false }
                    state.watched[entry.key] = nil
                    return true
                }
                if known { yield.yield(entry.key) }
            }
        }
        yield.finish()
    }
}
