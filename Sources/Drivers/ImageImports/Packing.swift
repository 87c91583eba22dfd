// SPDX-License-Identifier: Apache-2.0
internal import CZlib
internal import Glibc
internal import Image
internal import Kernel

/// How a file is compressed, by its first bytes; unpacked in portions of constant size.
enum Packing: Sendable {
    case gzip
    case zip
    case lha

    private static let portion = 256 * 1024

    init?(of path: String) {
        guard let file = fopen(path, "rb") else { return nil }
        defer { fclose(file) }
        var head = [UInt8](repeating: 0, count: 5)
        guard fread(&head, 1, 5, file) == 5 else { return nil }
        if head[..<3] == [0x1f, 0x8b, 0x08] {
            self = .gzip
        } else if head[..<4] == [0x50, 0x4b, 0x03, 0x04] {
            self = .zip
        } else if head[2...] == [0x2d, 0x6c, 0x68] {
            self = .lha
        } else {
            return nil
        }
    }

    /// Blocks. What comes out is a whole file that is on the disk, or nothing that counts.
    func unpack(_ path: String, to target: String, limit: Int) throws(Fault) {
        guard let input = fopen(path, "rb") else { throw .unavailable("\(path) cannot be read.") }
        defer { fclose(input) }
        guard let output = fopen(target, "wbx") else { throw .unavailable("\(target) cannot be written.") }
        defer { fclose(output) }
        fchmod(fileno(output), 0o600)
        switch self {
        case .gzip: try Packing.inflate(input, to: output, window: 15 + 16, inMembers: true, limit: limit)
        case .zip: try Packing.unzip(input, to: output, limit: limit)
        case .lha: try LHA(input).unpack(input, to: output, limit: limit)
        }
        guard fflush(output) == 0, fsync(fileno(output)) == 0 else { throw .imageStoreFull }
    }

    // MARK: zip

    /// The only file of an archive, by the directory at its end (APPNOTE 4.3).
    private static func unzip(_ input: UnsafeMutablePointer<FILE>, to output: UnsafeMutablePointer<FILE>, limit: Int)
        throws(Fault)
    {
        fseek(input, 0, SEEK_END)
        let size = ftell(input)
        let tail = try read(input, at: max(0, size - 65_557), count: min(size, 65_557))
        guard let end = tail.lastStart(of: [0x50, 0x4b, 0x05, 0x06]), tail.count - end >= 22 else {
            throw .badArchive("it has no directory")
        }
        guard tail.number(end + 10, 2) == 1 else {
            throw .badRequest("Archive contains more than one file.")
        }
        let directory = tail.number(end + 16, 4)
        guard directory != 0xffff_ffff else { throw .badArchive("its directory is larger than 32 bits tell") }
        let entry = try read(input, at: directory, count: 46)
        guard entry.number(0, 4) == 0x0201_4b50 else { throw .badArchive("its directory is broken") }
        guard entry.number(8, 2) & 1 == 0 else { throw .badArchive("it is encrypted") }
        let start = entry.number(42, 4)
        let local = try read(input, at: start, count: 30)
        guard local.number(0, 4) == 0x0403_4b50 else { throw .badArchive("its file is not where it should be") }
        fseek(input, start + 30 + local.number(26, 2) + local.number(28, 2), SEEK_SET)
        switch entry.number(10, 2) {
        case 0: try copy(input, entry.number(20, 4), to: output, limit: limit)
        case 8: try inflate(input, to: output, window: -15, inMembers: false, limit: limit)
        default: throw .badArchive("it is packed in a way that is not known here")
        }
    }

    private static func read(
        _ input: UnsafeMutablePointer<FILE>, at offset: Int, count: Int
    ) throws(Fault) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        guard fseek(input, offset, SEEK_SET) == 0, fread(&bytes, 1, count, input) == count else {
            throw .badArchive("it ends early")
        }
        return bytes
    }

    private static func copy(
        _ input: UnsafeMutablePointer<FILE>, _ count: Int, to output: UnsafeMutablePointer<FILE>, limit: Int
    ) throws(Fault) {
        guard count <= limit else { throw .tooMuchUnpacked(limit) }
        var left = count
        var bytes = [UInt8](repeating: 0, count: portion)
        while left > 0 {
            let got = fread(&bytes, 1, min(left, portion), input)
            guard got > 0 else { throw .badArchive("it ends early") }
            guard fwrite(bytes, 1, got, output) == got else { throw .imageStoreFull }
            left -= got
        }
    }

    // MARK: deflate

    private static func inflate(
        _ input: UnsafeMutablePointer<FILE>, to output: UnsafeMutablePointer<FILE>, window: Int32, inMembers: Bool,
        limit: Int
    ) throws(Fault) {
        let packed = UnsafeMutablePointer<UInt8>.allocate(capacity: portion)
        let plain = UnsafeMutablePointer<UInt8>.allocate(capacity: portion)
        defer {
            packed.deallocate()
            plain.deallocate()
        }
        var stream = z_stream()
        guard czlib_inflate_begin(&stream, window) == Z_OK else { throw .unavailable("zlib has no memory.") }
        defer { inflateEnd(&stream) }
        var written = 0
        var isOver = false
        while !isOver {
            if stream.avail_in == 0 {
                stream.avail_in = UInt32(fread(packed, 1, portion, input))
                stream.next_in = packed
                guard stream.avail_in > 0 else { throw .badArchive("it ends early") }
            }
            stream.avail_out = UInt32(portion)
            stream.next_out = plain
            let result = CZlib.inflate(&stream, Z_NO_FLUSH)
            guard result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR else {
                throw .badArchive("it is damaged")
            }
            let count = portion - Int(stream.avail_out)
            written += count
            guard written <= limit else { throw .tooMuchUnpacked(limit) }
            guard fwrite(plain, 1, count, output) == count else { throw .imageStoreFull }
            if result == Z_STREAM_END { isOver = !(inMembers && begins(&stream, packed, input)) }
        }
    }

    /// Whether another member of a gzip file follows; what else follows is padding.
    private static func begins(
        _ stream: inout z_stream, _ packed: UnsafeMutablePointer<UInt8>, _ input: UnsafeMutablePointer<FILE>
    ) -> Bool {
        if stream.avail_in == 0 {
            stream.avail_in = UInt32(fread(packed, 1, portion, input))
            stream.next_in = packed
        }
        guard stream.avail_in > 0, stream.next_in.pointee == 0x1f else { return false }
        return inflateReset(&stream) == Z_OK
    }
}

extension [UInt8] {
    /// A number whose smallest byte comes first.
    func number(_ offset: Int, _ count: Int) -> Int {
        guard offset + count <= self.count else { return 0 }
        return self[offset..<offset + count].reversed().reduce(0) { $0 << 8 | Int($1) }
    }

    fileprivate func lastStart(of mark: [UInt8]) -> Int? {
        guard count >= mark.count else { return nil }
        return stride(from: count - mark.count, through: 0, by: -1).first {
            self[$0] == mark[0] && Array(self[$0..<$0 + mark.count]) == mark
        }
    }
}

extension Fault {
    static func badArchive(_ why: String) -> Fault {
        .badRequest("The image cannot be decompressed: \(why).")
    }
    static func tooMuchUnpacked(_ limit: Int) -> Fault {
        .tooLarge("The decompressed image is too large: at most \(limit) bytes are allowed.")
    }
}
