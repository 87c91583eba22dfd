// SPDX-License-Identifier: Apache-2.0
import ImageImports
import Kernel
import Testing

/// LHA archives, written here bit by bit: programs that write them are hard to find.
struct LHATests {
    /// Bits, the highest of a byte first.
    private struct Bits {
        private(set) var bytes: [UInt8] = []
        private var count = 0

        mutating func put(_ value: Int, _ width: Int) {
            for at in stride(from: width - 1, through: 0, by: -1) {
                if count % 8 == 0 { bytes.append(0) }
                if value >> at & 1 == 1 { bytes[bytes.count - 1] |= 0x80 >> (count % 8) }
                count += 1
            }
        }
    }

    private struct Packed {
        let method: String
        let bytes: [UInt8]
        let plain: [UInt8]
    }

    /// Two blocks: bytes take nine bits, "copy three" one; the first copies from two back, the second from 17 and more.
    private static func packed(_ method: String, width: Int) -> Packed {
        var bits = Bits()
        var plain: [UInt8] = []
        for (block, place) in [(0, 1), (1, 5)] {
            bits.put(400, 16)
            bits.put(12, 5)
            for at in 0..<12 {
                bits.put(at == 3 || at == 11 ? 1 : 0, 3)
                if at == 2 { bits.put(0, 2) }
            }
            bits.put(257, 9)
            for _ in 0..<256 { bits.put(1, 1) }
            bits.put(0, 1)
            bits.put(0, width)
            bits.put(place, width)
            for number in 0..<400 {
                guard number < 100 else {
                    bits.put(0, 1)
                    let extra = block == 0 ? 0 : number % 16
                    if block == 1 { bits.put(extra, 4) }
                    let distance = (block == 0 ? 1 : 16 + extra) + 1
                    for _ in 0..<3 { plain.append(plain[plain.count - distance]) }
                    continue
                }
                let byte = UInt8(truncatingIfNeeded: number * 37 + block)
                bits.put(256 + Int(byte), 9)
                plain.append(byte)
            }
        }
        return Packed(method: method, bytes: bits.bytes, plain: plain)
    }

    private static func little(_ value: Int, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
    }

    private static func checksum(_ bytes: [UInt8]) -> Int {
        bytes.reduce(0) { sum, byte in
            (0..<8).reduce(sum ^ Int(byte)) { rest, _ in rest & 1 == 1 ? rest >> 1 ^ 0xa001 : rest >> 1 }
        }
    }

    private static func archive(_ file: Packed, level: UInt8, sum: Int? = nil, size: Int? = nil) -> [UInt8] {
        let extensions: [UInt8] = level == 1 ? [0x01] + Array("disk".utf8) + little(0, 2) : []
        var head = Array(file.method.utf8)
        head += little(file.bytes.count + extensions.count, 4) + little(size ?? file.plain.count, 4)
        head += little(0, 4) + [0x20, level]
        let crc = little(sum ?? checksum(file.plain), 2)
        if level == 2 {
            head += crc + [UInt8(ascii: "U")] + little(0, 2)
            return little(head.count + 2, 2) + head + file.bytes + [0]
        }
        head += [4] + Array("disk".utf8) + crc
        if level == 1 { head += [UInt8(ascii: "U")] + little(extensions.count, 2) }
        let check = head.reduce(0) { $0 &+ $1 }
        return [UInt8(head.count), check] + head + extensions + file.bytes + [0]
    }

    private static let stored = Packed(method: "-lh0-", bytes: Array(0..<200), plain: Array(0..<200))

    private static let files = [
        stored, packed("-lh4-", width: 4), packed("-lh5-", width: 4), packed("-lh6-", width: 5),
        packed("-lh7-", width: 5),
    ]

    private func unpack(_ archive: [UInt8], limit: Int = 1 << 20) async throws -> [UInt8]? {
        let folder = try FileSystem.makeTemporaryDirectory("lha")
        defer { FileSystem.remove(folder) }
        try FileSystem.write(archive, to: "\(folder)/packed")
        guard
            try await StagingWorkshop(folder: folder).decompress(
                "file://\(folder)/packed", into: "plain", limit: limit)
        else { return nil }
        return FileSystem.read("\(folder)/plain")
    }

    @Test("Archives of one file are unpacked, whichever way they are packed and headed", arguments: files.indices)
    func unpacked(index: Int) async throws {
        let file = Self.files[index]
        for level in 0...2 {
            #expect(try await unpack(Self.archive(file, level: UInt8(level))) == file.plain, "level \(level)")
        }
    }

    @Test("Archives that are damaged, cut off, too large or of several files are refused")
    func refused() async throws {
        let good = Self.archive(Self.files[2], level: 0)
        var damaged = good
        damaged[60] ^= 0x10
        let twice = good.dropLast() + good
        let unknown = Packed(method: "-lhx-", bytes: [1], plain: [1])
        for archive in [
            damaged, Array(good[..<80]), Array(twice), Self.archive(unknown, level: 0), Array(good[..<8]),
            Self.archive(Self.files[2], level: 0, sum: 1), Self.archive(Self.stored, level: 3),
            Self.archive(Self.files[2], level: 0, size: 1 << 19),
        ] {
            await #expect(throws: Fault.self) { try await unpack(archive) }
        }
        await #expect(throws: Fault.self) { try await unpack(good, limit: 100) }
    }

    @Test("Any bytes are either unpacked or refused")
    func anything() async throws {
        var seed: UInt64 = 42
        for _ in 0..<300 {
            var archive = Self.archive(Self.files[Int(seed % 5)], level: UInt8(seed >> 8 % 3))
            for _ in 0..<4 {
                seed = seed &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                let at = Int(seed >> 33) % archive.count
                if at > 6 || at < 2 { archive[at] = UInt8(truncatingIfNeeded: seed >> 20) }
            }
            _ = try? await unpack(archive)
        }
    }
}
