// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Microsoft's newer format (MS-VHDX): tables that point to tables, of which only the disk's size is looked up.
enum VHDXFormat {
    private static let regionTable = 192 * 1024
    private static let mostEntries: UInt64 = 2047
    /// 8B7CA206-4790-4B9A-B8FE-575F050F886E as it stands in the file.
    private static let metadataRegion: [UInt8] = [
        0x06, 0xA2, 0x7C, 0x8B, 0x90, 0x47, 0x9A, 0x4B, 0xB8, 0xFE, 0x57, 0x5F, 0x05, 0x0F, 0x88, 0x6E,
    ]
    /// 2FA54224-CD1B-4876-B211-5DBED83BF4B8.
    private static let virtualDiskSize: [UInt8] = [
        0x24, 0x42, 0xA5, 0x2F, 0x1B, 0xCD, 0x76, 0x48, 0xB2, 0x11, 0x5D, 0xBE, 0xD8, 0x3B, 0xF4, 0xB8,
    ]

    /// CAA16737-FA36-4D43-B3B6-33F0AA44E76B.
    private static let fileParameters: [UInt8] = [
        0x37, 0x67, 0xA1, 0xCA, 0x36, 0xFA, 0x43, 0x4D, 0xB3, 0xB6, 0x33, 0xF0, 0xAA, 0x44, 0xE7, 0x6B,
    ]
    /// 64 TiB (MS-VHDX section 2.6.2.2).
    private static let largest: UInt64 = 64 << 40

    /// What of the tables matters.
    private struct Facts {
        let size: UInt64
        let hasParent: Bool
    }

    static func recognise(_ head: [UInt8], _ bytes: any ImageBytes) throws(Fault) -> RecognisedFormat? {
        guard head.holds("vhdxfile") else { return nil }
        guard let facts = try facts(bytes) else {
            return RecognisedFormat("vhdx", size: 0, danger: "The vhdx tables are not valid")
        }
        if facts.hasParent { return RecognisedFormat("vhdx", size: 0, danger: "Image has a backing file") }
        return RecognisedFormat(
            "vhdx", size: facts.size, danger: facts.size <= largest ? nil : "The size of the disk is not possible")
    }

    private static func facts(_ bytes: any ImageBytes) throws(Fault) -> Facts? {
        let table = try bytes.read(at: regionTable, count: 64 * 1024)
        guard table.holds("regi"), let count = table.little(8, 4), count <= mostEntries,
            let entry = find(metadataRegion, in: table, from: 16, count: count),
            let start = table.little(entry + 16, 8), start < 1 << 62
        else { return nil }
        let metadata = try bytes.read(at: Int(start), count: 64 * 1024)
        guard metadata.holds("metadata"), let items = metadata.little(10, 2), items <= mostEntries,
            let item = find(virtualDiskSize, in: metadata, from: 32, count: items),
            let offset = metadata.little(item + 16, 4),
            let size = try bytes.read(at: Int(start) + Int(offset), count: 8).little(0, 8),
            let parameters = find(fileParameters, in: metadata, from: 32, count: items),
            let place = metadata.little(parameters + 16, 4),
            let flags = try bytes.read(at: Int(start) + Int(place) + 4, count: 4).little(0, 4)
        else { return nil }
        return Facts(size: size, hasParent: flags & 0b10 != 0)
    }

    /// The offset of the 32-byte entry that begins with an id.
    private static func find(_ id: [UInt8], in table: [UInt8], from start: Int, count: UInt64) -> Int? {
        for number in 0..<Int(count) {
            let at = start + number * 32
            guard at + 32 <= table.count else { return nil }
            if table[at..<at + 16].elementsEqual(id) { return at }
        }
        return nil
    }
}
