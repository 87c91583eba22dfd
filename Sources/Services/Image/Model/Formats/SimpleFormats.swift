// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Formats that one look at a header tells.
enum SimpleFormats {
    static func qed(_ head: [UInt8]) -> RecognisedFormat? {
        head.holds("QED\0") ? RecognisedFormat("qed", size: 0, danger: "The format qed is not allowed") : nil
    }

    static func luks(_ head: [UInt8], size: Int) -> RecognisedFormat? {
        guard head.starts(with: [0x4C, 0x55, 0x4B, 0x53, 0xBA, 0xBE]) else { return nil }
        guard head.count >= 592, let version = head.big(6, 2), let payload = head.big(104, 4) else {
            return RecognisedFormat("luks", size: 0, danger: "The luks header is cut off")
        }
        let inside = UInt64(max(0, size - Int(payload) * 512))
        return RecognisedFormat(
            "luks", size: inside, danger: version == 1 ? nil : "LUKS version \(version) is not supported")
    }

    /// ISO 9660 and UDF: a volume descriptor after 32 KiB that are the boot loader's.
    static func iso(_ bytes: any ImageBytes) throws(Fault) -> RecognisedFormat? {
        guard bytes.size >= 34 * 1024 else { return nil }
        let sector = try bytes.read(at: 32 * 1024, count: 2048)
        guard sector.holds("CD001", at: 1) || sector.holds("NSR02", at: 1) || sector.holds("NSR03", at: 1) else {
            return nil
        }
        guard sector.first == 1, let blocks = sector.little(80, 4), let blockSize = sector.little(128, 2) else {
            return RecognisedFormat("iso", size: 0)
        }
        return RecognisedFormat("iso", size: blocks * blockSize)
    }
}

/// Connectix's and Microsoft's older format, with its footer repeated at the beginning. A differencing disk names the
/// file of its parent.
enum VHDFormat {
    private static let differencing: UInt64 = 4
    /// What QEMU takes, in sectors (block/vpc.c).
    private static let mostSectors: UInt64 = 0xFF00_0000

    static func recognise(_ head: [UInt8]) -> RecognisedFormat? {
        guard head.holds("conectix") else { return nil }
        return RecognisedFormat("vhd", size: head.big(40, 8) ?? 0, danger: danger(head))
    }

    private static func danger(_ head: [UInt8]) -> String? {
        guard head.count >= 512, let size = head.big(40, 8), let kind = head.big(60, 4) else {
            return "The vhd footer is cut off"
        }
        if kind == differencing { return "Image has a backing file" }
        guard kind == 2 || kind == 3 else { return "Unknown kind of vhd" }
        return size / 512 <= mostSectors ? nil : "The size of the disk is not possible"
    }
}

/// VirtualBox's format. A differencing image names its parent by an identifier.
enum VDIFormat {
    private static let parents = 0x1A8..<0x1C8

    static func recognise(_ head: [UInt8]) -> RecognisedFormat? {
        guard head.little(0x40, 4) == 0xBEDA_107F else { return nil }
        return RecognisedFormat("vdi", size: head.little(0x170, 8) ?? 0, danger: danger(head))
    }

    private static func danger(_ head: [UInt8]) -> String? {
        guard head.count >= 512, let kind = head.little(0x4C, 4), let block = head.little(0x178, 4),
            let blocks = head.little(0x180, 4), let size = head.little(0x170, 8)
        else { return "The vdi header is cut off" }
        // 1 grows, 2 does not; 3 undoes and 4 differs from another file.
        guard kind == 1 || kind == 2 else { return kind == 4 ? "Image has a backing file" : "Unknown kind of vdi" }
        guard head[parents].allSatisfy({ $0 == 0 }) else { return "Image has a backing file" }
        guard block == 1 << 20 else { return "The vdi block size is not supported" }
        return size >> 20 <= blocks ? nil : "The size of the disk is not possible"
    }
}

/// A partition table, GPT or the older MBR, which begin alike.
enum PartitionTable {
    static func recognise(_ head: [UInt8], size: Int) -> RecognisedFormat? {
        guard head.little(510, 2) == 0xAA55 else { return nil }
        // The boot sector of a FAT file system has the same signature.
        if head[0x10] == 2, head[0x15] == 0xF8 { return nil }
        return RecognisedFormat("gpt", size: UInt64(size), danger: danger(head), check: "mbr")
    }

    private static func danger(_ head: [UInt8]) -> String? {
        var used: [Int] = []
        var isGPT = false
        for number in 0..<4 {
            let entry = Array(head[(446 + 16 * number)..<(462 + 16 * number)])
            guard entry[0] == 0 || entry[0] == 0x80 else { return "MBR PTE \(number) has invalid boot flag" }
            if entry[4] != 0 { used.append(number) }
            guard entry[4] == 0xEE else { continue }
            isGPT = true
            guard Array(entry[1...3]) == [0, 2, 0] else { return "GPT MBR has invalid start CHS" }
            guard entry.little(8, 4) == 1 else { return "GPT MBR has invalid start LBA" }
        }
        if isGPT, used != [0] { return "GPT MBR defines invalid extra partitions" }
        return used.isEmpty ? "GPT MBR has no partitions defined" : nil
    }
}
