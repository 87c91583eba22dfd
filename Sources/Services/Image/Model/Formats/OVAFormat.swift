// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// The Open Virtualization Format's package: a tar file of a descriptor and the disks it names (DMTF DSP0243). Its
/// disks are judged like any other, and no name in it may lead out of it.
enum OVAFormat {
    private static let sector = 512
    private static let mostMembers = 1000
    private static let largestDescriptor = 1 << 20
    private static let kinds: Set<String> = [
        "ovf", "mf", "cert", "vmdk", "vhd", "vhdx", "vdi", "qcow2", "img", "raw", "iso",
    ]

    private struct Member {
        let name: String
        let offset: Int
        let size: Int
        var kind: String { name.split(separator: ".").last.map { $0.lowercased() } ?? "" }
    }

    /// Refuses with 415 what is no such package, or one that nobody should open.
    static func check(_ bytes: any ImageBytes) throws(Fault) {
        let members = try members(bytes)
        guard let descriptor = members.first, descriptor.kind == "ovf" else {
            throw .unsafeImage("The ova does not begin with an OVF descriptor")
        }
        guard descriptor.size <= largestDescriptor else { throw .unsafeImage("The OVF descriptor is too large") }
        let text = String(
            decoding: try bytes.read(at: descriptor.offset, count: descriptor.size), as: UTF8.self)
        guard text.contains("Envelope"), !text.contains("<!DOCTYPE"), !text.contains("<!ENTITY") else {
            throw .unsafeImage("The OVF descriptor is not valid")
        }
        let names = Set(members.map(\.name))
        for href in hrefs(text) where !names.contains(href) {
            throw .unsafeImage("The OVF descriptor names \(href.prefix(100)), which is not in the ova")
        }
        for member in members where !["ovf", "mf", "cert"].contains(member.kind) {
            let found = try Inspection(ByteWindow(bytes, from: member.offset, count: member.size)).found
            if let danger = found.compactMap(\.danger).first { throw .unsafeImage("\(member.name): \(danger)") }
        }
    }

    private static func members(_ bytes: any ImageBytes) throws(Fault) -> [Member] {
        var members: [Member] = []
        var at = 0
        while true {
            let header = try bytes.read(at: at, count: sector)
            guard header.count == sector else { throw .unsafeImage("The ova is cut off") }
            if header.allSatisfy({ $0 == 0 }) { return members }
            guard header.holds("ustar", at: 257), hasRightSum(header), let size = octal(header[124..<136]),
                members.count < mostMembers
            else { throw .unsafeImage("The ova is no valid tar file") }
            let name = String(decoding: header[0..<100].prefix { $0 != 0 }, as: UTF8.self)
            guard header[156] == 0 || header[156] == UInt8(ascii: "0"), header[345] == 0, isPlain(name) else {
                throw .unsafeImage("The ova holds something other than plain files")
            }
            guard size <= bytes.size - at - sector else { throw .unsafeImage("The ova is cut off") }
            let member = Member(name: name, offset: at + sector, size: size)
            guard kinds.contains(member.kind) || name.contains("disk") else {
                throw .unsafeImage("The ova holds an unknown kind of file: \(name)")
            }
            members.append(member)
            at += sector + (size + sector - 1) / sector * sector
        }
    }

    private static func isPlain(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "/") && $0 != 0x5C }
            && !name.hasPrefix(".")
    }

    /// Octal digits, after blanks, up to a blank or NUL.
    private static func octal(_ field: ArraySlice<UInt8>) -> Int? {
        let digits = field.drop { $0 == 0x20 }.prefix { $0 != 0 && $0 != 0x20 }
        guard !digits.isEmpty, digits.count <= 12, digits.allSatisfy({ (48...55).contains($0) }) else { return nil }
        return digits.reduce(0) { $0 << 3 | Int($1 - 48) }
    }

    private static func hasRightSum(_ header: [UInt8]) -> Bool {
        let sum = header.enumerated().reduce(0) { $0 + ((148..<156).contains($1.offset) ? 32 : Int($1.element)) }
        return octal(header[148..<156]) == sum
    }

    private static func hrefs(_ text: String) -> [String] {
        var found: [String] = []
        var rest = text[...]
        while let start = rest.firstRange(of: "href=\"")?.upperBound {
            let value = rest[start...].prefix { $0 != "\"" }
            found.append(String(value))
            rest = rest[value.endIndex...]
        }
        return found
    }
}

/// A part of bytes, read as if it were all.
private struct ByteWindow: ImageBytes {
    private let whole: any ImageBytes
    private let start: Int
    let size: Int

    init(_ whole: any ImageBytes, from start: Int, count: Int) {
        self.whole = whole
        self.start = start
        size = count
    }

    func read(at offset: Int, count: Int) throws(Fault) -> [UInt8] {
        guard offset >= 0, offset < size, count > 0 else { return [] }
        return try whole.read(at: start + offset, count: min(count, size - offset))
    }
}
