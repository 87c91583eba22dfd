// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// VMware's format, of which only the kinds that keep everything in one file are let through: the others name files
/// of the machine that opens them.
enum VMDKFormat {
    private static let descriptorOffset = 512
    private static let descriptorMax = (1 << 20) - 1
    private static let atEnd = UInt64.max

    /// The parts of a sparse extent's header that matter.
    private struct Header: Equatable {
        let version: UInt64
        let sectors: UInt64
        let descriptorSector: UInt64
        let descriptorCount: UInt64
        let directory: UInt64

        init?(_ bytes: [UInt8], at offset: Int = 0) {
            guard bytes.holds("KDMV", at: offset), let version = bytes.little(offset + 4, 4),
                let sectors = bytes.little(offset + 12, 8), let sector = bytes.little(offset + 28, 8),
                let count = bytes.little(offset + 36, 8), let directory = bytes.little(offset + 56, 8)
            else { return nil }
            self.version = version
            self.sectors = sectors
            descriptorSector = sector
            descriptorCount = count
            self.directory = directory
        }
    }

    static func recognise(_ head: [UInt8], _ bytes: any ImageBytes) throws(Fault) -> RecognisedFormat? {
        guard head.holds("KDMV") else { return try text(head, bytes) }
        guard let header = Header(head) else { return cutOff }
        var kind: String?
        let danger = try danger(header, bytes, &kind)
        let (size, isTooLarge) = header.sectors.multipliedReportingOverflow(by: 512)
        return RecognisedFormat("vmdk", size: isTooLarge ? .max : size, danger: danger, kind: kind)
    }

    private static var cutOff: RecognisedFormat {
        RecognisedFormat("vmdk", size: 0, danger: "The vmdk header is cut off")
    }

    /// A descriptor by itself names the files that hold the disk.
    private static func text(_ head: [UInt8], _ bytes: any ImageBytes) throws(Fault) -> RecognisedFormat? {
        let first = head.prefix(512)
        guard !first.isEmpty, first.allSatisfy({ (32...126).contains($0) || (9...13).contains($0) }) else { return nil }
        let whole = try bytes.read(at: 0, count: descriptorMax)
        guard kind(words(whole) ?? "") != nil else { return nil }
        return RecognisedFormat("vmdk", size: 0, danger: "Unsupported subformat: a descriptor without its data")
    }

    private static func danger(
        _ header: Header, _ bytes: any ImageBytes, _ kind: inout String?
    ) throws(Fault) -> String? {
        guard (1...3).contains(header.version) else { return "Unsupported format version \(header.version)" }
        guard header.descriptorSector == UInt64(descriptorOffset / 512) else { return "Wrong descriptor location" }
        let size = Int(min(header.descriptorCount, UInt64(descriptorMax / 512))) * 512
        let raw = try bytes.read(at: descriptorOffset, count: size)
        guard raw.count == size, size > 0 else { return "No descriptor found" }
        guard let text = words(raw) else { return "Invalid VMDK descriptor data" }
        kind = self.kind(text).map(String.init)
        if let danger = descriptorDanger(text) { return danger }
        return header.directory == atEnd ? try footerDanger(header, bytes) : nil
    }

    /// The text up to its padding, in small letters; nil when it is no ASCII.
    private static func words(_ raw: [UInt8]) -> String? {
        let text = raw.prefix { $0 != 0 }
        guard text.allSatisfy({ $0 < 128 }) else { return nil }
        return String(decoding: text, as: UTF8.self).lowercased()
    }

    private static func kind(_ text: String) -> Substring? {
        let mark = "createtype=\""
        guard let start = text.firstRange(of: mark)?.upperBound else { return nil }
        let kind = text[start...].prefix(64).prefix { $0 != "\"" }
        return kind.count < 64 ? kind : nil
    }

    /// Each line must be one that is understood; extents must not be paths.
    private static func descriptorDanger(_ text: String) -> String? {
        guard let kind = kind(text), kind == "monolithicsparse" || kind == "streamoptimized" else {
            return "Unsupported subformat"
        }
        var hasExtent = false
        for line in text.split(whereSeparator: \.isNewline).map({ String($0).trimmed }) {
            if line.isEmpty || line.hasPrefix("#") || line.hasPrefix("ddb") { continue }
            if let equals = line.firstIndex(of: "="), !line[..<equals].contains(" ") { continue }
            let access = line.prefix { $0 != " " }
            guard ["rw", "rdonly", "noaccess"].contains(access) else { return "Invalid VMDK descriptor data" }
            if line.contains("/") { return "Invalid extent filenames found" }
            hasExtent = true
        }
        return hasExtent ? nil : "No extents found"
    }

    /// A footer takes the header's place, so it must say the same.
    private static func footerDanger(_ header: Header, _ bytes: any ImageBytes) throws(Fault) -> String? {
        let end = try bytes.read(at: max(0, bytes.size - 1536), count: 1536)
        guard end.count == 1536, let footer = Header(end, at: 512) else {
            return "Header and footer signature do not match"
        }
        if footer.version != header.version { return "Header and footer versions do not match" }
        guard footer.descriptorSector == header.descriptorSector, footer.descriptorCount == header.descriptorCount
        else {
            return "Footer specifies a different descriptor than header"
        }
        if footer.directory == atEnd { return "Footer indicates another footer" }
        guard isMarker(end[0..<512], type: 3) else { return "Footer marker is invalid" }
        let last = end[1024..<1536]
        guard isMarker(last, type: 0), last.prefix(8).allSatisfy({ $0 == 0 }) else {
            return "End-of-stream marker is invalid"
        }
        return nil
    }

    private static func isMarker(_ sector: ArraySlice<UInt8>, type: UInt64) -> Bool {
        let bytes = Array(sector)
        return bytes.little(8, 4) == 0 && bytes.little(12, 4) == type && bytes[16...].allSatisfy { $0 == 0 }
    }
}
