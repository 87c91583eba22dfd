// SPDX-License-Identifier: Apache-2.0
import Image
import Kernel
import Simulation
import Testing

/// Small files in the formats that are told apart.
enum Specimen {
    static func qcow2(
        version: UInt32 = 3, backing: UInt64 = 0, features: UInt64 = 0, size: UInt64 = 1 << 30,
        clusterBits: UInt32 = 16,
        entries: UInt32? = nil, snapshots: UInt32 = 0, length: UInt32 = 104, extensions: [UInt8] = []
    ) -> [UInt8] {
        var bytes: [UInt8] = [0x51, 0x46, 0x49, 0xFB] + big(version) + big(backing) + big(UInt32(0))
        bytes += big(clusterBits) + big(size) + big(UInt32(0)) + big(entries ?? UInt32(clamping: size >> 29 + 1))
        bytes = pad(bytes, 60) + big(snapshots)
        bytes = pad(bytes, 72) + (version == 2 ? [] : big(features))
        if version != 2 { bytes = pad(bytes, 96) + big(UInt32(4)) + big(length) }
        return pad((version == 2 ? bytes : pad(bytes, 104)) + extensions, 512)
    }

    /// A tar file of members by name.
    static func ova(_ members: [(name: String, bytes: [UInt8])], sum: Int = 0) -> [UInt8] {
        var archive: [UInt8] = []
        for (name, bytes) in members {
            var header = pad(Array(name.utf8), 124) + Array(String(bytes.count, radix: 8).utf8)
            header = pad(header, 148) + Array(repeating: 0x20, count: 8) + [0x30]
            header = pad(pad(header, 257) + Array("ustar".utf8), 512)
            let total = header.reduce(sum) { $0 + Int($1) }
            header.replaceSubrange(148..<156, with: pad(Array(String(total, radix: 8).utf8), 8))
            archive += header + pad(bytes, (bytes.count + 511) / 512 * 512)
        }
        return archive + pad([], 1024)
    }

    static func ovf(_ disk: String = "disk.vmdk") -> [UInt8] {
        Array("<Envelope><References><File ovf:href=\"\(disk)\"/></References></Envelope>".utf8)
    }

    static func vdi(size: UInt64 = 7 << 20, kind: UInt32 = 1, parent: UInt8 = 0, blocks: UInt32 = 7) -> [UInt8] {
        var bytes: [UInt8] = pad([], 0x40) + [0x7F, 0x10, 0xDA, 0xBE]
        bytes = pad(pad(bytes, 0x4C) + little(kind), 0x170) + little(size)
        bytes = pad(bytes + little(UInt32(1 << 20)), 0x180) + little(blocks)
        return pad(pad(bytes, 0x1B8) + [parent], 512)
    }

    static func vhd(size: UInt64 = 5 << 20, kind: UInt32 = 3) -> [UInt8] {
        pad(pad(pad(Array("conectix".utf8), 40) + big(size), 60) + big(kind), 512)
    }

    static func iso(blocks: UInt32 = 100) -> [UInt8] {
        let header = pad([1] + Array("CD001".utf8), 80) + little(blocks)
        return pad([], 32_768) + pad(pad(header, 128) + [0, 8], 2048)
    }

    static func mbr(type: UInt8 = 0x83) -> [UInt8] {
        var sector = pad([], 512)
        sector[450] = type
        if type == 0xEE {
            sector[448] = 2
            sector[454] = 1
        }
        sector[510] = 0x55
        sector[511] = 0xAA
        return sector
    }

    static func luks(version: UInt8 = 1) -> [UInt8] {
        pad([0x4C, 0x55, 0x4B, 0x53, 0xBA, 0xBE, 0, version], 1024)
    }

    static func vmdk(
        kind: String = "monolithicSparse", extent: String = "RW 2048 SPARSE \"disk.vmdk\"", sectors: UInt64 = 2048
    ) -> [UInt8] {
        var header = Array("KDMV".utf8) + little(UInt32(1)) + little(UInt32(3)) + little(sectors)
        header += little(UInt64(128)) + little(UInt64(1)) + little(UInt64(2)) + little(UInt32(512))
        let text = "# Disk DescriptorFile\nversion=1\ncreateType=\"\(kind)\"\n\(extent)\nddb.adapterType = \"ide\"\n"
        return pad(header, 512) + pad(Array(text.utf8), 1024)
    }

    static func vhdx(size: UInt64 = 9 << 20, flags: UInt32 = 0) -> [UInt8] {
        let region: [UInt8] = [
            0x06, 0xA2, 0x7C, 0x8B, 0x90, 0x47, 0x9A, 0x4B, 0xB8, 0xFE, 0x57, 0x5F, 0x05, 0x0F, 0x88, 0x6E,
        ]
        let item: [UInt8] = [
            0x24, 0x42, 0xA5, 0x2F, 0x1B, 0xCD, 0x76, 0x48, 0xB2, 0x11, 0x5D, 0xBE, 0xD8, 0x3B, 0xF4, 0xB8,
        ]
        let parameters: [UInt8] = [
            0x37, 0x67, 0xA1, 0xCA, 0x36, 0xFA, 0x43, 0x4D, 0xB3, 0xB6, 0x33, 0xF0, 0xAA, 0x44, 0xE7, 0x6B,
        ]
        let table = Array("regi".utf8) + little(UInt32(0)) + little(UInt32(1)) + little(UInt32(0))
        let metadata = Array("metadata".utf8) + [0, 0, 2, 0]
        var bytes = pad(Array("vhdxfile".utf8), 192 * 1024)
        bytes += pad(
            table + region + little(UInt64(256 * 1024)) + little(UInt32(1 << 20)) + little(UInt32(1)), 64 * 1024)
        let first = pad(item + little(UInt32(65_536)) + little(UInt32(8)), 32)
        bytes += pad(pad(metadata, 32) + first + parameters + little(UInt32(65_544)) + little(UInt32(8)), 65_536)
        return bytes + pad(little(size) + little(UInt32(1 << 20)) + little(flags), 512)
    }

    /// The first bytes over the beginning of the others.
    static func over(_ first: [UInt8], _ others: [UInt8]) -> [UInt8] { first + Array(others[first.count...]) }

    static func pad(_ bytes: [UInt8], _ count: Int) -> [UInt8] {
        bytes + [UInt8](repeating: 0, count: max(0, count - bytes.count))
    }
    static func big(_ value: some FixedWidthInteger) -> [UInt8] { withUnsafeBytes(of: value.bigEndian) { Array($0) } }
    static func little(_ value: some FixedWidthInteger) -> [UInt8] {
        withUnsafeBytes(of: value.littleEndian) { Array($0) }
    }
}

struct InspectionTests {
    private typealias Good = (format: String, bytes: [UInt8], size: Int)

    private static let good: [Good] = [
        ("qcow2", Specimen.qcow2(), 1 << 30), ("qcow2", Specimen.qcow2(version: 2), 1 << 30),
        ("vdi", Specimen.vdi(), 7 << 20), ("vhd", Specimen.vhd(), 5 << 20), ("vhdx", Specimen.vhdx(), 9 << 20),
        ("vmdk", Specimen.vmdk(), 1 << 20), ("vmdk", Specimen.vmdk(kind: "streamOptimized"), 1 << 20),
        ("iso", Specimen.iso(), 204_800), ("raw", [1, 2, 3], 3), ("raw", Specimen.mbr(), 512),
        ("raw", Specimen.mbr(type: 0xEE), 512), ("raw", Specimen.qcow2(), 512), ("raw", Specimen.luks(), 1024),
    ]

    @Test("Each format is told from its bytes, with the size of its disk", arguments: good.indices)
    func accepted(number: Int) throws {
        let (format, bytes, size) = Self.good[number]
        #expect(try Inspection(bytes).virtualSize(declared: format) == size)
    }

    @Test("What cannot be told is taken on trust", arguments: ["ami", "aki", "ari", "ploop"])
    func trusted(format: String) throws {
        #expect(try Inspection([1, 2, 3]).virtualSize(declared: format) == nil)
        #expect(throws: Fault.self) { try Inspection(Specimen.qcow2()).virtualSize(declared: format) }
    }

    private typealias Bad = (format: String, bytes: [UInt8], reason: String)

    private static let bad: [Bad] = [
        ("qcow2", [1, 2, 3], "does not match stream data raw"),
        ("vmdk", Specimen.qcow2(), "disk_format vmdk does not match stream data qcow2"),
        ("qcow2", Specimen.qcow2(backing: 512), "backing file"), ("raw", Specimen.qcow2(backing: 512), "backing file"),
        ("qcow2", Specimen.qcow2(features: 4), "data_file"), ("qcow2", Specimen.qcow2(features: 32), "Unknown"),
        ("qcow2", Specimen.qcow2(version: 1), "version"), ("qcow2", Specimen.qcow2(size: .max), "not possible"),
        ("qcow2", Array(Specimen.qcow2().prefix(40)), "cut off"),
        ("qcow2", Specimen.qcow2(clusterBits: 31), "cluster size"), ("qcow2", Specimen.qcow2(entries: 1), "too small"),
        ("qcow2", Specimen.qcow2(size: 1 << 60, entries: .max), "not possible"),
        ("qcow2", Specimen.qcow2(snapshots: .max), "snapshots"), ("qcow2", Specimen.qcow2(length: 96), "header length"),
        ("qcow2", Specimen.qcow2(extensions: Specimen.big(0x4441_5441 as UInt32) + [0, 0, 0, 1, 0x61]), "data_file"),
        ("qcow2", Specimen.qcow2(extensions: [0, 0, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF]), "extensions"),
        ("vhd", Specimen.vhd(kind: 4), "backing file"), ("vhd", Specimen.vhd(kind: 9), "kind of vhd"),
        ("vhd", Specimen.vhd(size: 1 << 50), "not possible"), ("vdi", Specimen.vdi(kind: 4), "backing file"),
        ("vdi", Specimen.vdi(parent: 1), "backing file"), ("vdi", Specimen.vdi(blocks: 6), "not possible"),
        ("vhdx", Specimen.vhdx(flags: 2), "backing file"), ("vhdx", Specimen.vhdx(size: 1 << 50), "not possible"),
        ("raw", Array("QED\0".utf8), "qed"), ("raw", Specimen.luks(version: 2), "LUKS version 2"),
        ("vmdk", Specimen.vmdk(kind: "monolithicFlat"), "subformat"),
        ("vmdk", Specimen.vmdk(extent: "RW 2048 FLAT \"/etc/passwd\" 0"), "extent filenames"),
        ("vmdk", Specimen.vmdk(extent: "include x"), "descriptor data"),
        ("vmdk", Specimen.vmdk(extent: ""), "No extents"),
        ("vmdk", Array("createType=\"monolithicFlat\"\nRW 1 FLAT \"/etc/passwd\" 0\n".utf8), "subformat"),
        ("vmdk", Specimen.vmdk(sectors: .max), "not possible"),
        ("raw", Specimen.mbr(type: 0), "no partitions"),
        ("vhdx", Array(Specimen.vhdx().prefix(200_000)), "vhdx tables"),
        ("iso", Specimen.over(Specimen.qcow2(), Specimen.iso()), "Multiple formats detected: qcow2, iso"),
    ]

    @Test("Wrong and dangerous bytes are refused with the reason", arguments: bad.indices)
    func refused(number: Int) {
        let (format, bytes, reason) = Self.bad[number]
        let fault = #expect(throws: Fault.self) { try Inspection(bytes).virtualSize(declared: format) }
        #expect(fault?.status == 415)
        #expect(fault?.message.contains(reason) == true, "\(fault?.message ?? "accepted")")
    }

    @Test("An ova is a descriptor and the disks it names")
    func ova() throws {
        let good = Specimen.ova([("a.ovf", Specimen.ovf()), ("disk.vmdk", Specimen.vmdk())])
        #expect(try Inspection.virtualSize(of: good, disk: "vmdk", container: "ova") == nil)
    }

    private typealias BadPackage = (bytes: [UInt8], reason: String)

    private static let badPackages: [BadPackage] = [
        (Specimen.vmdk(), "no valid tar"), ([], "cut off"),
        (Specimen.ova([("disk.vmdk", Specimen.vmdk())]), "begin with an OVF"),
        (Specimen.ova([("a.ovf", Specimen.ovf())]), "disk.vmdk, which is not in the ova"),
        (Specimen.ova([("a.ovf", Specimen.ovf("../x"))]), "not in the ova"),
        (Specimen.ova([("a.ovf", Specimen.ovf()), ("/etc/disk.vmdk", [])]), "other than plain files"),
        (Specimen.ova([("a.ovf", Specimen.ovf()), ("x.sh", [])]), "unknown kind"),
        (Specimen.ova([("a.ovf", Specimen.ovf())], sum: 1), "no valid tar"),
        (Specimen.ova([("a.ovf", Array("<!DOCTYPE a><Envelope/>".utf8))]), "descriptor is not valid"),
        (
            Specimen.ova([
                ("a.ovf", Specimen.ovf()), ("disk.vmdk", Specimen.vmdk(extent: "RW 1 FLAT \"/etc/passwd\" 0")),
            ]), "disk.vmdk: Invalid extent"
        ),
        (Specimen.ova([("a.ovf", Specimen.ovf()), ("disk.vmdk", Specimen.qcow2(backing: 9))]), "backing file"),
        (Array(Specimen.ova([("a.ovf", Specimen.ovf())]).prefix(700)), "cut off"),
    ]

    @Test("A package that is none, or leads out of itself, is refused", arguments: badPackages.indices)
    func packageRefused(number: Int) {
        let (bytes, reason) = Self.badPackages[number]
        let fault = #expect(throws: Fault.self) {
            try Inspection.virtualSize(of: bytes, disk: "vmdk", container: "ova")
        }
        #expect(fault?.status == 415)
        #expect(fault?.message.contains(reason) == true, "\(fault?.message ?? "accepted")")
    }

    @Test("A CD image with a boot sector is a CD image")
    func hybrid() throws {
        let bytes = Specimen.over(Specimen.mbr(), Specimen.iso())
        #expect(try Inspection(bytes).virtualSize(declared: "iso") == 204_800)
    }

    @Test("Refused bytes leave a queued image that takes better ones")
    func upload() async throws {
        let cloud = try await ImageCloud()
        let id = await cloud.make(["disk_format": "qcow2", "container_format": "bare"])
        let refused = await cloud.upload(id, Specimen.qcow2(backing: 512))
        #expect(refused.status == 415)
        #expect(refused.message == "Image failed safety checks: Image has a backing file")
        #expect(await cloud.show(id)["status"].string == "queued")
        #expect(cloud.store.locations.isEmpty)
        #expect(await cloud.upload(id, Specimen.qcow2()).status == 204)
        #expect(await cloud.show(id)["virtual_size"].integer == 1 << 30)
    }

    @Test("Mangled headers never do more than be refused", arguments: UInt64(1)...8)
    func fuzz(seed: UInt64) {
        var random = Seeded(state: seed)
        let specimens = [
            Specimen.qcow2(), Specimen.vdi(), Specimen.vhd(), Specimen.vhdx(), Specimen.vmdk(), Specimen.iso(),
            Specimen.mbr(), Specimen.luks(),
        ]
        let formats = ["raw", "qcow2", "vmdk", "vdi", "vhd", "vhdx", "iso"]
        for round in 0..<400 {
            var bytes = specimens[round % specimens.count]
            for _ in 0..<random.next(below: 12) {
                let near = random.next(below: 3) == 0 ? bytes.count : min(bytes.count, 600)
                bytes[random.next(below: near)] = random.next(below: 2) == 0 ? 0xFF : UInt8(random.next(below: 256))
            }
            if random.next(below: 4) == 0 { bytes.removeLast(random.next(below: bytes.count)) }
            for format in formats {
                do throws(Fault) {
                    let size = try Inspection(bytes).virtualSize(declared: format)
                    #expect(size ?? 1 > 0)
                } catch {
                    #expect(error.status == 415, "seed \(seed) round \(round): \(error)")
                }
            }
        }
    }
}

/// SplitMix64: the same numbers for the same seed.
private struct Seeded {
    var state: UInt64

    mutating func next(below bound: Int) -> Int {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return Int((word ^ (word >> 31)) % UInt64(bound))
    }
}
