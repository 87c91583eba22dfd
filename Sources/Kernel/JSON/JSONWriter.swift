// SPDX-License-Identifier: Apache-2.0

/// Writes JSON straight to bytes, without a tree. Commas are its own affair; begin and end must match.
package struct JSONWriter: Sendable {
    /// Longer than `used`: room to write into without asking for each byte.
    private var storage: [UInt8]
    private var used = 0
    /// Whether the next key or element needs a comma before it.
    private var separate = false

    package init(capacity: Int = 256) {
        storage = [UInt8](repeating: 0, count: max(capacity, 64))
    }

    /// What was written so far (a copy; `finish` takes it without one).
    package var bytes: [UInt8] { Array(storage[0..<used]) }
    package var count: Int { used }

    package consuming func finish() -> [UInt8] {
        storage.removeLast(storage.count - used)
        return storage
    }

    /// Starts anew and keeps the memory.
    package mutating func clear() {
        used = 0
        separate = false
    }

    /// Makes room at once for what is known to come.
    package mutating func reserve(_ more: Int) { need(more) }

    // MARK: Structure

    package mutating func beginObject() { open(UInt8(ascii: "{")) }
    package mutating func endObject() { close(UInt8(ascii: "}")) }
    package mutating func beginArray() { open(UInt8(ascii: "[")) }
    package mutating func endArray() { close(UInt8(ascii: "]")) }

    /// The key of the next value.
    package mutating func key(_ key: String) {
        string(key)
        byte(UInt8(ascii: ":"))
        separate = false
    }

    package mutating func key(_ key: StaticString) {
        comma()
        quoted(UnsafeBufferPointer(start: key.utf8Start, count: key.utf8CodeUnitCount))
        byte(UInt8(ascii: ":"))
        separate = false
    }

    // MARK: Values

    package mutating func string(_ text: String) {
        comma()
        let direct: Void? = text.utf8.withContiguousStorageIfAvailable { quoted($0) }
        if direct == nil {
            var copy = text
            copy.withUTF8 { quoted($0) }
        }
    }

    package mutating func integer(_ value: some FixedWidthInteger) {
        comma()
        guard let magnitude = UInt64(exactly: value.magnitude) else { return copy(Array(String(value).utf8)) }
        digits(magnitude, negative: value < 0)
    }

    /// Not a number and infinity have no JSON form and become null.
    package mutating func double(_ value: Double) {
        guard value.isFinite else { return null() }
        comma()
        copy(value.description.utf8)
    }

    package mutating func bool(_ value: Bool) {
        comma()
        copy(value ? "true" : "false")
    }

    package mutating func null() {
        comma()
        copy("null")
    }

    /// Bytes that are a JSON value already.
    package mutating func raw(_ bytes: some Collection<UInt8>) {
        comma()
        copy(bytes)
    }

    package mutating func value(_ value: some JSONValue) { value.write(to: &self) }

    package mutating func value(_ value: JSON) {
        switch value {
        case .null: null()
        case .bool(let value): bool(value)
        case .integer(let value): integer(value)
        case .double(let value): double(value)
        case .string(let value): string(value)
        case .array(let elements):
            beginArray()
            for element in elements { self.value(element) }
            endArray()
        case .object(let object): self.value(object)
        }
    }

    package mutating func value(_ object: JSONObject) {
        beginObject()
        for (key, value) in object.entries {
            self.key(key)
            self.value(value)
        }
        endObject()
    }
}

// MARK: - Bytes

extension JSONWriter {
    @inline(__always)
    private mutating func need(_ more: Int) {
        if storage.count - used < more { grow(more) }
    }

    @inline(never)
    private mutating func grow(_ more: Int) {
        let size = max(used + more, storage.count * 2)
        // The rest is written before it is ever read, so it need not be cleared.
        storage = [UInt8](unsafeUninitializedCapacity: size) { target, filled in
            storage.withUnsafeBufferPointer { target.baseAddress!.update(from: $0.baseAddress!, count: used) }
            filled = size
        }
    }

    @inline(__always)
    private mutating func byte(_ byte: UInt8) {
        need(1)
        storage[used] = byte
        used += 1
    }

    @inline(__always)
    private mutating func comma() {
        if separate { byte(UInt8(ascii: ",")) }
        separate = true
    }

    private mutating func open(_ mark: UInt8) {
        comma()
        byte(mark)
        separate = false
    }

    private mutating func close(_ mark: UInt8) {
        byte(mark)
        separate = true
    }

    private mutating func copy(_ bytes: some Collection<UInt8>) {
        let count = bytes.count
        need(count)
        storage.withUnsafeMutableBufferPointer { _ = $0[used...].update(fromContentsOf: bytes) }
        used += count
    }

    private mutating func copy(_ word: StaticString) {
        copy(UnsafeBufferPointer(start: word.utf8Start, count: word.utf8CodeUnitCount))
    }

    private mutating func digits(_ value: UInt64, negative: Bool) {
        need(24)
        var length = 1
        var bound: UInt64 = 10
        while length < 20, value >= bound {
            length += 1
            let (next, overflow) = bound.multipliedReportingOverflow(by: 10)
            if overflow { break }
            bound = next
        }
        if negative {
            storage[used] = UInt8(ascii: "-")
            used += 1
        }
        var rest = value
        for place in (used..<used + length).reversed() {
            storage[place] = UInt8(truncatingIfNeeded: 48 + rest % 10)
            rest /= 10
        }
        used += length
    }

    /// Runs without quotes, backslashes and control characters are copied eight bytes at a time.
    private mutating func quoted(_ text: UnsafeBufferPointer<UInt8>) {
        need(text.count * 6 + 10)
        storage.withUnsafeMutableBytes { out in
            let target = out.baseAddress! + used
            let source = UnsafeRawPointer(text.baseAddress ?? UnsafePointer(bitPattern: 8)!)
            let end = text.count
            target.storeBytes(of: UInt8(ascii: "\""), as: UInt8.self)
            var to = 1
            var from = 0
            while true {
                while from + 8 <= end {
                    let word = (source + from).loadUnaligned(as: UInt64.self)
                    guard Scan.stops(word) == 0 else { break }
                    (target + to).storeBytes(of: word, as: UInt64.self)
                    from += 8
                    to += 8
                }
                // The tail, or the word with something to escape in it.
                var left = min(8, end - from)
                guard left > 0 else { break }
                while left > 0 {
                    to += Escape.put(source.load(fromByteOffset: from, as: UInt8.self), to: target + to)
                    from += 1
                    left -= 1
                }
            }
            target.storeBytes(of: UInt8(ascii: "\""), toByteOffset: to, as: UInt8.self)
            used += to + 1
        }
    }
}

/// How single bytes are written inside a string.
enum Escape {
    /// For each byte below 0x60: 0 = as it is, 1 = as `\u00XX`, else the letter after the backslash.
    private static let letters: [UInt8] = {
        var letters = [UInt8](repeating: 1, count: 32) + [UInt8](repeating: 0, count: 64)
        for (byte, letter) in zip([0x08, 0x09, 0x0A, 0x0C, 0x0D, 0x22, 0x5C], "btnfr\"\\".utf8) {
            letters[byte] = letter
        }
        return letters
    }()
    private static let hex = Array("0123456789abcdef".utf8)

    @inline(__always)
    static func put(_ byte: UInt8, to target: UnsafeMutableRawPointer) -> Int {
        let letter = byte < 0x60 ? letters[Int(byte)] : 0
        if letter == 0 {
            target.storeBytes(of: byte, as: UInt8.self)
            return 1
        }
        target.storeBytes(of: UInt8(ascii: "\\"), as: UInt8.self)
        if letter != 1 {
            target.storeBytes(of: letter, toByteOffset: 1, as: UInt8.self)
            return 2
        }
        for (place, mark) in [UInt8(ascii: "u"), 48, 48, hex[Int(byte >> 4)], hex[Int(byte & 15)]].enumerated() {
            target.storeBytes(of: mark, toByteOffset: place + 1, as: UInt8.self)
        }
        return 6
    }
}

// MARK: - For people

extension JSONWriter {
    /// The value with line breaks and two spaces per level.
    mutating func pretty(_ value: JSON, level: Int = 0) {
        func line(_ level: Int) -> String { "\n" + String(repeating: "  ", count: level) }
        switch value {
        case .array(let elements) where !elements.isEmpty:
            copy("[")
            for (place, element) in elements.enumerated() {
                copy((place == 0 ? line(level + 1) : "," + line(level + 1)).utf8)
                separate = false
                pretty(element, level: level + 1)
            }
            copy((line(level) + "]").utf8)
        case .object(let object) where !object.isEmpty:
            copy("{")
            for (place, member) in object.enumerated() {
                copy((place == 0 ? line(level + 1) : "," + line(level + 1)).utf8)
                separate = false
                key(member.key)
                copy(" ")
                pretty(member.value, level: level + 1)
            }
            copy((line(level) + "}").utf8)
        default:
            self.value(value)
        }
    }
}
