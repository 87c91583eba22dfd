// SPDX-License-Identifier: Apache-2.0
internal import Glibc
internal import Image
internal import Kernel

/// LHA archives of one file, headers of levels 0 to 2: stored (-lh0-) or packed with a sliding window and Huffman's
/// codes (-lh4- to -lh7-, after Okumura's ar002).
struct LHA {
    private let method: [UInt8]
    private let packed: Int
    private let size: Int
    private let checksum: Int
    private let start: Int

    /// Reads the only header. What follows the packed bytes must be the archive's end.
    init(_ input: UnsafeMutablePointer<FILE>) throws(Fault) {
        fseek(input, 0, SEEK_END)
        let length = ftell(input)
        guard let entry = try LHA.entry(input, at: 0, of: length) else { throw .badArchive("it has no file") }
        guard try LHA.entry(input, at: entry.start + entry.packed, of: length) == nil else {
            throw .badRequest("Archive contains more than one file.")
        }
        self = entry
    }

    private init(_ head: [UInt8], packed: Int, start: Int, checksum: Int) {
        method = Array(head[2..<7])
        size = head.number(11, 4)
        self.packed = packed
        self.start = start
        self.checksum = checksum
    }

    /// Nil at the end, which is a zero or nothing.
    private static func entry(_ input: UnsafeMutablePointer<FILE>, at offset: Int, of length: Int) throws(Fault) -> LHA?
    {
        guard offset < length else { return nil }
        let head = try read(input, at: offset, count: min(length - offset, 4096))
        guard head[0] != 0 else { return nil }
        guard head.count >= 24, Array(head[2..<5]) == Array("-lh".utf8), head[6] == UInt8(ascii: "-") else {
            throw .badArchive("a header is broken")
        }
        let packed = head.number(7, 4)
        var entry: LHA
        switch head[20] {
        case 0, 1:
            let end = Int(head[0]) + 2
            let name = 22 + Int(head[21])
            guard head.count >= end, name + 2 <= end else { throw .badArchive("a header is broken") }
            entry = LHA(head, packed: packed, start: offset + end, checksum: head.number(name, 2))
            if head[20] == 1 { entry = try entry.pastExtensions(input, head, end) }
        case 2:
            entry = LHA(head, packed: packed, start: offset + head.number(0, 2), checksum: head.number(21, 2))
        default: throw .badArchive("its headers are of a level that is not known here")
        }
        guard entry.start > offset, entry.packed >= 0, entry.packed <= length - entry.start else {
            throw .badArchive("it ends early")
        }
        return entry
    }

    /// At level 1 further headers stand before the packed bytes and are counted with them.
    private func pastExtensions(
        _ input: UnsafeMutablePointer<FILE>, _ head: [UInt8], _ end: Int
    ) throws(Fault) -> LHA {
        var (next, at, left) = (head.number(end - 2, 2), start, packed)
        while next != 0 {
            guard next > 2, next <= left else { throw .badArchive("a header is broken") }
            at += next
            left -= next
            next = try LHA.read(input, at: at - 2, count: 2).number(0, 2)
        }
        return LHA(head, packed: left, start: at, checksum: checksum)
    }

    private static func read(_ input: UnsafeMutablePointer<FILE>, at offset: Int, count: Int) throws(Fault) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        guard fseek(input, offset, SEEK_SET) == 0, fread(&bytes, 1, count, input) == count else {
            throw .badArchive("it ends early")
        }
        return bytes
    }

    // MARK: - Unpacking

    func unpack(_ input: UnsafeMutablePointer<FILE>, to output: UnsafeMutablePointer<FILE>, limit: Int) throws(Fault) {
        guard size <= limit else { throw .tooMuchUnpacked(limit) }
        fseek(input, start, SEEK_SET)
        var window = LHAWindow(output)
        switch String(decoding: method, as: UTF8.self) {
        case "-lh0-": try store(input, &window)
        case "-lh4-", "-lh5-": try decode(input, &window, distances: 14, width: 4)
        case "-lh6-": try decode(input, &window, distances: 16, width: 5)
        case "-lh7-": try decode(input, &window, distances: 17, width: 5)
        default: throw .badArchive("it is packed in a way that is not known here")
        }
        try window.flush()
        guard Int(window.checksum) == checksum else { throw .badArchive("it is damaged") }
    }

    private func store(_ input: UnsafeMutablePointer<FILE>, _ window: inout LHAWindow) throws(Fault) {
        guard packed == size else { throw .badArchive("it is damaged") }
        for _ in 0..<size {
            let byte = getc(input)
            guard byte >= 0 else { throw .badArchive("it ends early") }
            try window.put(UInt8(byte))
        }
    }

    /// Blocks, each with its own codes: one for bytes and lengths, one for distances.
    private func decode(
        _ input: UnsafeMutablePointer<FILE>, _ window: inout LHAWindow, distances: Int, width: Int
    ) throws(Fault) {
        var bits = LHABits(input, packed)
        var left = 0
        var (symbols, places) = (LHACode.one(0), LHACode.one(0))
        while window.count < size {
            if left == 0 {
                left = try bits.take(16)
                guard left > 0 else { throw .badArchive("it is damaged") }
                let lengths = try bits.lengths(most: 19, width: 5, gap: 3)
                symbols = try bits.symbols(by: lengths)
                places = try bits.lengths(most: distances, width: width, gap: -1)
            }
            left -= 1
            let symbol = try bits.next(symbols)
            guard symbol >= 256 else {
                try window.put(UInt8(symbol))
                continue
            }
            let place = try bits.next(places)
            let distance = place < 2 ? place : 1 << (place - 1) + (try bits.take(place - 1))
            try window.copy(from: distance + 1, count: min(symbol - 253, size - window.count))
        }
    }
}

/// What was unpacked last, and where it goes.
private struct LHAWindow {
    private static let size = 1 << 17
    private let output: UnsafeMutablePointer<FILE>
    /// Before the first byte there are blanks, which may be copied.
    private var bytes = [UInt8](repeating: 0x20, count: LHAWindow.size)
    private var written = 0
    private(set) var count = 0
    private(set) var checksum: UInt16 = 0

    init(_ output: UnsafeMutablePointer<FILE>) { self.output = output }

    mutating func put(_ byte: UInt8) throws(Fault) {
        bytes[count & (Self.size - 1)] = byte
        count += 1
        checksum = checksum >> 8 ^ Self.table[Int((checksum ^ UInt16(byte)) & 0xff)]
        if count - written == Self.size / 2 { try flush() }
    }

    mutating func copy(from distance: Int, count: Int) throws(Fault) {
        for _ in 0..<count { try put(bytes[(self.count - distance) & (Self.size - 1)]) }
    }

    mutating func flush() throws(Fault) {
        let start = written & (Self.size - 1)
        let length = count - written
        guard fwrite(Array(bytes[start..<start + length]), 1, length, output) == length else { throw .imageStoreFull }
        written = count
    }

    /// CRC-16 with the polynomial 0xA001.
    private static let table: [UInt16] = (0..<256).map { (number: UInt16) in
        (0..<8).reduce(number) { rest, _ in rest & 1 == 1 ? rest >> 1 ^ 0xa001 : rest >> 1 }
    }
}

/// A canonical code: how many symbols have each length, and the symbols in their order.
private struct LHACode {
    static let longest = 16
    var counts = [Int](repeating: 0, count: LHACode.longest + 1)
    var symbols: [Int] = []

    /// A code of one symbol, which takes no bits.
    static func one(_ symbol: Int) -> LHACode {
        var code = LHACode()
        code.symbols = [symbol]
        return code
    }

    init() {}

    /// The lengths must use up all bits' patterns and no more.
    init(_ lengths: [Int]) throws(Fault) {
        var room = 1 << LHACode.longest
        for length in lengths where length > 0 {
            guard length <= LHACode.longest else { throw .badArchive("it is damaged") }
            counts[length] += 1
            room -= 1 << (LHACode.longest - length)
        }
        guard room == 0 else { throw .badArchive("it is damaged") }
        for length in 1...LHACode.longest {
            symbols += lengths.indices.filter { lengths[$0] == length }
        }
    }

    var isOne: Bool { symbols.count == 1 }
}

/// The packed bytes as bits, the highest first.
private struct LHABits {
    private let input: UnsafeMutablePointer<FILE>
    private var left: Int
    private var buffer = 0
    private var held = 0

    init(_ input: UnsafeMutablePointer<FILE>, _ count: Int) {
        self.input = input
        left = count
    }

    mutating func take(_ count: Int) throws(Fault) -> Int {
        while held < count {
            let byte = left > 0 ? getc(input) : -1
            guard byte >= 0 else { throw .badArchive("it ends early") }
            left -= 1
            buffer = (buffer << 8 | Int(byte)) & 0xffff_ffff
            held += 8
        }
        held -= count
        return buffer >> held & (1 << count - 1)
    }

    mutating func next(_ code: LHACode) throws(Fault) -> Int {
        if code.isOne { return code.symbols[0] }
        var (word, first, index) = (0, 0, 0)
        for length in 1...LHACode.longest {
            word |= try take(1)
            let count = code.counts[length]
            if word - first < count { return code.symbols[index + word - first] }
            index += count
            first = (first + count) << 1
            word <<= 1
        }
        throw .badArchive("it is damaged")
    }

    /// A short alphabet: three bits a length, seven going on in ones. After `gap` of them some are left out.
    mutating func lengths(most: Int, width: Int, gap: Int) throws(Fault) -> LHACode {
        let count = try take(width)
        guard count > 0 else { return try single(width, below: most) }
        guard count <= most else { throw .badArchive("it is damaged") }
        var lengths: [Int] = []
        while lengths.count < count {
            var length = try take(3)
            if length == 7 {
                while try take(1) == 1 {
                    length += 1
                    guard length <= LHACode.longest else { throw .badArchive("it is damaged") }
                }
            }
            lengths.append(length)
            if lengths.count == gap { lengths += [Int](repeating: 0, count: try take(2)) }
        }
        return try LHACode(lengths)
    }

    /// The code of bytes and lengths of copies, itself written in a code.
    mutating func symbols(by code: LHACode) throws(Fault) -> LHACode {
        let count = try take(9)
        guard count > 0 else { return try single(9, below: 510) }
        var lengths: [Int] = []
        while lengths.count < count {
            switch try next(code) {
            case 0: lengths.append(0)
            case 1: lengths += [Int](repeating: 0, count: try take(4) + 3)
            case 2: lengths += [Int](repeating: 0, count: try take(9) + 20)
            case let length: lengths.append(length - 2)
            }
        }
        guard lengths.count <= 510 else { throw .badArchive("it is damaged") }
        return try LHACode(lengths)
    }

    private mutating func single(_ width: Int, below most: Int) throws(Fault) -> LHACode {
        let symbol = try take(width)
        guard symbol < most else { throw .badArchive("it is damaged") }
        return .one(symbol)
    }
}
