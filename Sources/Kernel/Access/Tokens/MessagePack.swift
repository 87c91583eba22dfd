// SPDX-License-Identifier: Apache-2.0

/// Writes the part of MessagePack that token payloads need, each value in its shortest form as msgpack-python does.
struct MessagePackWriter {
    private(set) var bytes: [UInt8] = []

    mutating func array(_ count: Int) {
        switch count {
        case ..<16: bytes.append(0x90 | UInt8(count))
        case ..<65_536: head(0xDC, count, 2)
        default: head(0xDD, count, 4)
        }
    }

    mutating func bool(_ value: Bool) { bytes.append(value ? 0xC3 : 0xC2) }
    mutating func null() { bytes.append(0xC0) }

    /// Payloads hold no negative numbers.
    mutating func integer(_ value: Int) {
        precondition(value >= 0, "token payloads hold no negative numbers")
        switch value {
        case ..<128: bytes.append(UInt8(value))
        case ..<256: head(0xCC, value, 1)
        case ..<65_536: head(0xCD, value, 2)
        case ..<4_294_967_296: head(0xCE, value, 4)
        default: head(0xCF, value, 8)
        }
    }

    mutating func double(_ value: Double) {
        bytes.append(0xCB)
        let pattern = value.bitPattern
        for shift in stride(from: 56, through: 0, by: -8) { bytes.append(UInt8(truncatingIfNeeded: pattern >> shift)) }
    }

    mutating func binary(_ value: [UInt8]) {
        switch value.count {
        case ..<256: head(0xC4, value.count, 1)
        case ..<65_536: head(0xC5, value.count, 2)
        default: head(0xC6, value.count, 4)
        }
        bytes += value
    }

    mutating func text(_ value: String) {
        let count = value.utf8.count
        switch count {
        case ..<32: bytes.append(0xA0 | UInt8(count))
        case ..<256: head(0xD9, count, 1)
        case ..<65_536: head(0xDA, count, 2)
        default: head(0xDB, count, 4)
        }
        bytes += value.utf8
    }

    private mutating func head(_ tag: UInt8, _ value: Int, _ width: Int) {
        bytes.append(tag)
        for place in (0..<width).reversed() { bytes.append(UInt8(truncatingIfNeeded: value >> (8 * place))) }
    }
}

/// Walks over MessagePack bytes. Every read says nil rather than go past the end or misread a type.
struct MessagePackReader {
    private let bytes: [UInt8]
    private var at = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var atEnd: Bool { at == bytes.count }

    mutating func array() -> Int? {
        guard let tag = next() else { return nil }
        switch tag {
        case 0x90...0x9F: return Int(tag & 15)
        case 0xDC: return number(2)
        case 0xDD: return number(4)
        default: return nil
        }
    }

    mutating func bool() -> Bool? {
        switch next() {
        case 0xC2: false
        case 0xC3: true
        default: nil
        }
    }

    /// Takes a null if one is next.
    mutating func null() -> Bool {
        guard at < bytes.count, bytes[at] == 0xC0 else { return false }
        at += 1
        return true
    }

    mutating func integer() -> Int? {
        guard let tag = next() else { return nil }
        switch tag {
        case 0x00...0x7F: return Int(tag)
        case 0xCC: return number(1)
        case 0xCD: return number(2)
        case 0xCE: return number(4)
        case 0xCF: return number(8)
        default: return nil
        }
    }

    /// A float, or an integer in its place.
    mutating func double() -> Double? {
        guard at < bytes.count else { return nil }
        guard bytes[at] == 0xCB || bytes[at] == 0xCA else { return integer().map(Double.init) }
        let isWide = bytes[at] == 0xCB
        at += 1
        guard let raw = raw(isWide ? 8 : 4) else { return nil }
        let pattern = raw.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        return isWide ? Double(bitPattern: pattern) : Double(Float(bitPattern: UInt32(pattern)))
    }

    /// Text or binary: older msgpack wrote both with the same tags.
    mutating func string() -> (bytes: [UInt8], isText: Bool)? {
        guard let tag = next() else { return nil }
        let count: Int?
        switch tag {
        case 0xA0...0xBF: count = Int(tag & 31)
        case 0xC4, 0xD9: count = number(1)
        case 0xC5, 0xDA: count = number(2)
        case 0xC6, 0xDB: count = number(4)
        default: return nil
        }
        guard let count, let found = raw(count) else { return nil }
        return (Array(found), tag < 0xC4 || tag > 0xC6)
    }

    private mutating func next() -> UInt8? {
        guard at < bytes.count else { return nil }
        defer { at += 1 }
        return bytes[at]
    }

    private mutating func raw(_ count: Int) -> ArraySlice<UInt8>? {
        guard count >= 0, count <= bytes.count - at else { return nil }
        defer { at += count }
        return bytes[at..<at + count]
    }

    private mutating func number(_ width: Int) -> Int? {
        guard let raw = raw(width) else { return nil }
        return Int(exactly: raw.reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
    }
}
