// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A format that bytes turned out to be in.
package struct RecognisedFormat: Sendable, Equatable {
    package let name: String
    /// The size of the disk inside.
    package let virtualSize: Int
    /// Why nobody should open it; nil when nothing is wrong.
    package let danger: String?
    /// The check that failed, by the name operators know it by.
    let check: String?
    /// Which kind of the format, where that matters.
    let kind: String?

    init(_ name: String, size: UInt64, danger: String? = nil, check: String? = nil, kind: String? = nil) {
        self.name = name
        self.check = check
        self.kind = kind
        let isPossible = size < 1 << 62
        virtualSize = isPossible ? Int(size) : 0
        self.danger = danger ?? (isPossible ? nil : "The size of the disk is not possible")
    }
}

/// What bytes are, told from the bytes alone: every known format is looked for, so that two in one file are found too.
package struct Inspection: Sendable {
    /// Formats whose bytes can be told; any other declared format is taken on trust when nothing is recognised.
    static let known: Set<String> = ["raw", "qcow2", "vhd", "vhdx", "vmdk", "vdi", "qed", "iso", "gpt", "luks"]

    package let found: [RecognisedFormat]
    private let size: Int

    package init(_ bytes: any ImageBytes) throws(Fault) {
        let head = try bytes.read(at: 0, count: 592)
        var found: [RecognisedFormat] = []
        if let format = try QCOW2Format.recognise(head, bytes) { found.append(format) }
        if let format = SimpleFormats.qed(head) { found.append(format) }
        if let format = VHDFormat.recognise(head) { found.append(format) }
        if let format = VDIFormat.recognise(head) { found.append(format) }
        if let format = SimpleFormats.luks(head, size: bytes.size) { found.append(format) }
        if let format = PartitionTable.recognise(head, size: bytes.size) { found.append(format) }
        if let format = try SimpleFormats.iso(bytes) { found.append(format) }
        if let format = try VHDXFormat.recognise(head, bytes) { found.append(format) }
        if let format = try VMDKFormat.recognise(head, bytes) { found.append(format) }
        self.found = found
        size = bytes.size
    }

    /// Judges bytes by what an image is said to be; gives the virtual size where one is known. Containers other than
    /// `bare` and `ova` wrap the bytes in something of their own, which is taken on trust.
    package static func virtualSize(
        of bytes: any ImageBytes, disk: String?, container: String?, _ formats: ImageFormats = ImageFormats()
    ) throws(Fault) -> Int? {
        if container == "ova" { try OVAFormat.check(bytes) }
        guard container == "bare", let disk else { return nil }
        let inspection = try Inspection(bytes)
        // Operators who let mismatches pass have no size of them; what is dangerous in its own format stays out.
        guard formats.mustMatch || inspection.matches(disk) else {
            if let danger = inspection.found.first(where: { $0.name == disk })?.danger { throw .unsafeImage(danger) }
            return nil
        }
        return try inspection.virtualSize(declared: disk, formats)
    }

    /// The virtual size when the bytes may pass as the declared format; 415 when they are another one, several at
    /// once, or dangerous to open.
    package func virtualSize(
        declared: String, _ formats: ImageFormats = ImageFormats()
    ) throws(Fault) -> Int? {
        let format = try single(declared)
        if let danger = format.danger, !isLetPass(format, declared, formats) { throw .unsafeImage(danger) }
        if format.name == declared { return format.virtualSize == 0 ? nil : format.virtualSize }
        // What is declared raw is used as it is, whatever is in it.
        if declared == "raw" { return size == 0 ? nil : size }
        return nil
    }

    private func matches(_ declared: String) -> Bool {
        do throws(Fault) { return try !single(declared).name.isEmpty } catch { return false }
    }

    /// Kernels and ramdisks may begin with what looks like a broken partition table.
    private func isLetPass(_ format: RecognisedFormat, _ declared: String, _ formats: ImageFormats) -> Bool {
        guard let check = format.check else { return false }
        return formats.nonfatal.contains(check) || check == "mbr" && ["aki", "ari"].contains(declared)
    }

    /// The only format there is.
    package func single(_ declared: String) throws(Fault) -> RecognisedFormat {
        var candidates = found
        // A CD image that also boots from a disk has both tables.
        if candidates.count == 2, Set(candidates.map(\.name)) == ["iso", "gpt"] {
            candidates.removeAll { $0.name == "gpt" }
        }
        guard candidates.count < 2 else {
            throw .badImage("Multiple formats detected: \(candidates.map(\.name).joined(separator: ", "))")
        }
        let format = candidates.first ?? RecognisedFormat("raw", size: UInt64(size))
        let isUntold = format.name == "raw" && !Inspection.known.contains(declared)
        guard format.name == declared || declared == "raw" || isUntold else {
            throw .badImage("Image disk_format \(declared) does not match stream data \(format.name)")
        }
        return format
    }
}

extension Fault {
    fileprivate static func badImage(_ message: String) -> Fault { .unsupportedMedia(message) }

    /// Opening the bytes might open something else, or never end.
    static func unsafeImage(_ danger: String) -> Fault { .unsupportedMedia("Image failed safety checks: \(danger)") }
}

extension [UInt8] {
    /// A number of so many bytes; nil when they are not all there.
    func big(_ offset: Int, _ count: Int) -> UInt64? {
        guard offset >= 0, count <= 8, offset <= self.count - count else { return nil }
        return self[offset..<offset + count].reduce(0) { $0 << 8 | UInt64($1) }
    }

    func little(_ offset: Int, _ count: Int) -> UInt64? {
        guard offset >= 0, count <= 8, offset <= self.count - count else { return nil }
        return self[offset..<offset + count].reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }

    func holds(_ text: StaticString, at offset: Int = 0) -> Bool {
        let end = offset + text.utf8CodeUnitCount
        return end <= count && text.withUTF8Buffer { self[offset..<end].elementsEqual($0) }
    }
}
