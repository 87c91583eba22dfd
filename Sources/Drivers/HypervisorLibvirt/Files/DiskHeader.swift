// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import Kernel

/// What an image's own header says, read without any tool: QEMU follows references in images to other files, so an
/// image from a user must be looked at before QEMU sees it.
enum DiskHeader: Hashable {
    case qcow2(virtualSize: Int64, hasBacking: Bool, hasDataFile: Bool)
    /// `createType` of the embedded descriptor; a capacity of 0 makes QEMU take the descriptor for the whole image.
    case vmdk(createType: String, capacity: UInt64)
    case other

    init(_ bytes: [UInt8]) {
        func number(_ at: Int, _ width: Int) -> UInt64 {
            bytes[at..<at + width].reduce(0) { $0 << 8 | UInt64($1) }
        }
        if bytes.starts(with: [0x51, 0x46, 0x49, 0xFB]), bytes.count >= 32 {
            // Version 2 has no feature bits; bit 2 of the incompatible ones is "external data file".
            let features = number(4, 4) >= 3 && bytes.count >= 80 ? number(72, 8) : 0
            self = .qcow2(
                virtualSize: Int64(clamping: number(24, 8)), hasBacking: number(8, 8) != 0,
                hasDataFile: features & 4 != 0)
        } else if bytes.starts(with: Array("KDMV".utf8)), bytes.count >= 512 {
            let capacity = bytes[12..<20].reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            let text = String(decoding: bytes[512...], as: UTF8.self)
            let type = text.split(separator: "createType=\"").dropFirst().first?.prefix { $0 != "\"" }
            self = .vmdk(createType: type.map { String($0) } ?? "", capacity: capacity)
        } else {
            self = .other
        }
    }

    /// Reads as much as the decisions need.
    static func read(_ path: String) throws(Fault) -> DiskHeader { DiskHeader(try head(path)) }

    /// The file that a qcow2 disk of ours stands on.
    static func backingFile(of path: String) -> String? {
        guard let bytes = try? head(path), case .qcow2(_, hasBacking: true, _) = DiskHeader(bytes) else { return nil }
        let offset = bytes[8..<16].reduce(0) { $0 << 8 | Int($1) }
        let length = bytes[16..<20].reduce(0) { $0 << 8 | Int($1) }
        guard offset >= 0, length < 1024, offset <= bytes.count - length else { return nil }
        return String(decoding: bytes[offset..<offset + length], as: UTF8.self)
    }

    /// VMDK's descriptor and qcow2's backing file name lie within the first 64 KiB.
    private static func head(_ path: String) throws(Fault) -> [UInt8] {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else { throw SystemError.fault("Cannot open \(path)") }
        defer { close(file) }
        return [UInt8](unsafeUninitializedCapacity: 65_536) { buffer, filled in
            filled = max(0, pread(file, buffer.baseAddress, buffer.count, 0))
        }
    }

    /// Refuses what could reach another file of the host.
    func refuseReferences(image: String) throws(Fault) {
        switch self {
        case .qcow2(_, hasBacking: false, hasDataFile: false), .other: return
        case .qcow2: throw .badRequest("Image \(image) is unacceptable: it refers to another file.")
        case .vmdk(let type, let capacity):
            guard capacity > 0, type == "monolithicSparse" || type == "streamOptimized" else {
                throw .badRequest("Image \(image) is unacceptable: VMDK type '\(type)' is not allowed.")
            }
        }
    }
}
