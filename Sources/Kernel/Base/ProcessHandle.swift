// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc

/// A process held by a descriptor instead of a number, so that a reused number is never mistaken for it:
/// open the handle, look at what it is, then signal it.
package final class ProcessHandle: Sendable {
    package let pid: Int32
    /// Becomes readable when the process has ended.
    package let descriptor: Int32

    /// Nil when there is no such process.
    package init?(_ pid: Int32) {
        guard pid > 1 else { return nil }
        let descriptor = pidfd_open(pid, 0)
        guard descriptor >= 0 else { return nil }
        self.pid = pid
        self.descriptor = descriptor
    }

    deinit { close(descriptor) }

    package var hasEnded: Bool { waitForEnd(.zero) }

    /// Blocks until the process has ended or the time is over; true when it has ended.
    package func waitForEnd(_ limit: Duration) -> Bool {
        let watch = Stopwatch()
        while true {
            var poller = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
            let left = max(0, (limit - watch.elapsed).milliseconds)
            let count = poll(&poller, 1, Int32(min(left, 3_600_000)))
            if count > 0 { return true }
            if count == 0 || errno != EINTR { return false }
        }
    }

    @discardableResult
    package func signal(_ number: Int32) -> Bool { pidfd_send_signal(descriptor, number, nil, 0) == 0 }

    /// Asks the process to end, insists after the grace, and returns when it is gone. Blocks.
    package func end(grace: Duration) {
        guard signal(SIGTERM) else { return }
        if waitForEnd(grace) { return }
        signal(SIGKILL)
        _ = waitForEnd(.seconds(5))
    }

    /// The arguments it was started with; empty for a process that has ended or a kernel thread.
    package var arguments: [String] { ProcessTable.arguments(pid) }
    package var parent: Int32? { ProcessTable.parent(pid) }
    /// Identifies the network namespace it is in.
    package var networkNamespace: UInt64? { NetworkNamespace.identity(path: "/proc/\(pid)/ns/net") }
}

/// The processes of this machine, as /proc shows them.
package enum ProcessTable {
    package static func all() -> [Int32] { FileSystem.list("/proc").compactMap { Int32($0) } }

    package static func arguments(_ pid: Int32) -> [String] {
        guard let bytes = FileSystem.read("/proc/\(pid)/cmdline") else { return [] }
        return bytes.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
    }

    /// The short name the kernel keeps (15 characters at most).
    package static func name(_ pid: Int32) -> String? {
        FileSystem.text("/proc/\(pid)/comm").map { String($0.prefix { $0 != "\n" }) }
    }

    package static func parent(_ pid: Int32) -> Int32? {
        // The name in parentheses may hold anything, so the fields are counted from its end.
        guard let text = FileSystem.text("/proc/\(pid)/stat"), let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        return fields.count > 1 ? Int32(fields[1]) : nil
    }

    /// The number in a pid file.
    package static func pid(file: String) -> Int32? {
        FileSystem.text(file).flatMap { Int32($0.prefix { $0.isNumber }) }
    }
}
