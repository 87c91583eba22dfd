// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// QEMU's copy-on-write format (docs/interop/qcow2.txt in QEMU).
enum QCOW2Format {
    private static let magic: [UInt8] = [0x51, 0x46, 0x49, 0xFB]

    static func recognise(_ head: [UInt8]) -> RecognisedFormat? {
        guard head.starts(with: magic) else { return nil }
        return RecognisedFormat("qcow2", size: head.big(24, 8) ?? 0, danger: danger(head))
    }

    private static func danger(_ head: [UInt8]) -> String? {
        guard let version = head.big(4, 4), let backing = head.big(8, 8), head.count >= 72 else {
            return "The qcow2 header is cut off"
        }
        guard version == 2 || version == 3 else { return "Unsupported qcow2 version" }
        if backing != 0 { return "Image has a backing file" }
        if version == 2 { return nil }
        guard let features = head.big(72, 8), head.count >= 104 else { return "The qcow2 header is cut off" }
        if features & 0b100 != 0 { return "Image has data_file set" }
        // Known: dirty, corrupt, external data file, compression type.
        return features >> 4 == 0 ? nil : "Unknown QCOW2 features found"
    }
}

/// Formats that one look at a header tells.
enum SimpleFormats {
    static func qed(_ head: [UInt8]) -> RecognisedFormat? {
        head.holds("QED\0") ? RecognisedFormat("qed", size: 0, danger: "The format qed is not allowed") : nil
    }

    static func vhd(_ head: [UInt8]) -> RecognisedFormat? {
        guard head.holds("conectix") else { return nil }
        return RecognisedFormat(
            "vhd", size: head.big(40, 8) ?? 0, danger: head.count < 512 ? "The vhd footer is cut off" : nil)
    }

    static func vdi(_ head: [UInt8]) -> RecognisedFormat? {
        guard head.little(0x40, 4) == 0xBEDA_107F else { return nil }
        return RecognisedFormat(
            "vdi", size: head.little(0x170, 8) ?? 0, danger: head.count < 512 ? "The vdi header is cut off" : nil)
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

/// A partition table, GPT or the older MBR, which begin alike.
enum PartitionTable {
    static func recognise(_ head: [UInt8], size: Int) -> RecognisedFormat? {
        guard head.little(510, 2) == 0xAA55 else { return nil }
        // The boot sector of a FAT file system has the same signature.
        if head[0x10] == 2, head[0x15] == 0xF8 { return nil }
        return RecognisedFormat("gpt", size: UInt64(size), danger: danger(head))
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
