// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// QEMU's copy-on-write format, versions 2 and 3 (docs/interop/qcow2.txt in QEMU). Its header may name other files that
/// QEMU would open: those are refused, and so are tables that QEMU itself would not take.
enum QCOW2Format {
    private static let magic: [UInt8] = [0x51, 0x46, 0x49, 0xFB]
    private static let externalData: UInt64 = 0x4441_5441
    /// QEMU's own bounds (block/qcow2.h).
    private static let mostL1Entries: UInt64 = 4 << 20
    private static let mostSnapshots: UInt64 = 65_536

    static func recognise(_ head: [UInt8], _ bytes: any ImageBytes) throws(Fault) -> RecognisedFormat? {
        guard head.starts(with: magic) else { return nil }
        var danger = danger(head)
        if danger == nil { danger = try extensions(head, bytes) }
        return RecognisedFormat("qcow2", size: head.big(24, 8) ?? 0, danger: danger)
    }

    private static func danger(_ head: [UInt8]) -> String? {
        guard let version = head.big(4, 4), let backing = head.big(8, 8), head.count >= 72 else {
            return "The qcow2 header is cut off"
        }
        guard version == 2 || version == 3 else { return "Unsupported qcow2 version" }
        if backing != 0 { return "Image has a backing file" }
        if let danger = tables(head) { return danger }
        if version == 2 { return nil }
        guard let features = head.big(72, 8), let refcounts = head.big(96, 4), head.count >= 104 else {
            return "The qcow2 header is cut off"
        }
        if features & 0b100 != 0 { return "Image has data_file set" }
        // Known: dirty, corrupt, external data file, compression type, extended L2 entries.
        if features >> 5 != 0 { return "Unknown QCOW2 features found" }
        return refcounts <= 6 ? nil : "The qcow2 reference counts are too wide"
    }

    /// The first table must cover the disk, and no more entries than QEMU reads.
    private static func tables(_ head: [UInt8]) -> String? {
        guard let clusterBits = head.big(20, 4), let size = head.big(24, 8), let encryption = head.big(32, 4),
            let entries = head.big(36, 4), let snapshots = head.big(60, 4)
        else { return "The qcow2 header is cut off" }
        guard (9...21).contains(clusterBits) else { return "The qcow2 cluster size is not possible" }
        guard encryption <= 2 else { return "Unknown qcow2 encryption" }
        guard snapshots <= mostSnapshots else { return "Too many qcow2 snapshots" }
        guard size < 1 << 62 else { return nil }
        let covered = UInt64(1) << (2 * clusterBits - 3)
        let needed = size / covered + (size % covered == 0 ? 0 : 1)
        guard needed <= mostL1Entries, entries <= mostL1Entries else { return "The size of the disk is not possible" }
        return entries >= needed ? nil : "The qcow2 table is too small for the size of the disk"
    }

    /// Extensions of the header end with type 0, or where the header's cluster does.
    private static func extensions(_ head: [UInt8], _ bytes: any ImageBytes) throws(Fault) -> String? {
        let isOld = head.big(4, 4) == 2
        guard let length = isOld ? 72 : head.big(100, 4), isOld || (104...4096).contains(length) && length % 8 == 0
        else {
            return "The qcow2 header length is not possible"
        }
        let cluster = try bytes.read(at: 0, count: 1 << min(16, Int(head.big(20, 4) ?? 9)))
        var at = Int(length)
        while let type = cluster.big(at, 4), let count = cluster.big(at + 4, 4), type != 0 {
            if type == externalData { return "Image has data_file set" }
            guard count <= UInt64(cluster.count) else { return "The qcow2 header extensions are not valid" }
            at += 8 + (Int(count) + 7) / 8 * 8
        }
        return nil
    }
}
