// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc

/// The kernel's table of connections in a network namespace, as far as it is told to forget (uapi/linux/netfilter/
/// nfnetlink_conntrack.h). Its methods block.
package enum ConnectionTracking {
    /// Forgets the connections with the mark: what belongs to one begins a new one with its next packet.
    package static func forget(mark: UInt32, in namespace: NetworkNamespace) throws(Fault) {
        try DedicatedThread.perform { () throws(Fault) in
            try namespace.enter()
            try ask(message(mark))
        }
    }

    private static func ask(_ message: [UInt8]) throws(Fault) {
        // NETLINK_NETFILTER
        let file = socket(AF_NETLINK, Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 12)
        guard file >= 0 else { throw SystemError.fault("Cannot speak with the kernel's connection tracking") }
        defer { close(file) }
        guard send(file, message, message.count, 0) == message.count else {
            throw SystemError.fault("Cannot ask the kernel to forget connections")
        }
        var answer = [UInt8](repeating: 0, count: 4096)
        let count = recv(file, &answer, answer.count, 0)
        // A header of 16 bytes, then the negative error number, nothing when all is well.
        guard count >= 20 else { throw SystemError.fault("The kernel did not answer about connections") }
        let code = answer.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: 16, as: Int32.self) }
        // Of nothing there is nothing to forget.
        guard code == 0 || code == -ENOENT else {
            throw SystemError.fault("The kernel does not forget connections", -code)
        }
    }

    /// IPCTNL_MSG_CT_DELETE of NFNL_SUBSYS_CTNETLINK without an address: all that the mark and its mask let through.
    private static func message(_ mark: UInt32) -> [UInt8] {
        func bytes<T: FixedWidthInteger>(_ number: T) -> [UInt8] { withUnsafeBytes(of: number) { Array($0) } }
        func attribute(_ kind: UInt16, _ value: UInt32) -> [UInt8] {
            bytes(UInt16(8)) + bytes(kind) + bytes(value.bigEndian)
        }
        // The family (any), the version, no resource; CTA_MARK and CTA_MARK_MASK.
        let body: [UInt8] = [0, 0, 0, 0] + attribute(8, mark) + attribute(21, .max)
        // NLM_F_REQUEST and NLM_F_ACK, a sequence number, the kernel.
        return bytes(UInt32(16 + body.count)) + bytes(UInt16(0x0102)) + bytes(UInt16(5)) + bytes(UInt32(1))
            + bytes(UInt32(0)) + body
    }
}
