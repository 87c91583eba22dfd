// SPDX-License-Identifier: Apache-2.0

/// One pass over the bytes, straight to the tree. Strings are scanned eight bytes at a time and validated as UTF-8.
struct JSONReader {
    let base: UnsafePointer<UInt8>
    let count: Int
    let limits: JSONLimits
    var at = 0
    var depth = 0
    /// Where strings with escapes are put together.
    var scratch: [UInt8] = []
    /// Set by each string: tells most keys apart without comparing them.
    var fingerprint: UInt32 = 0
    private var elements = JSONStack<JSON>()
    private var members = JSONStack<(key: String, value: JSON)>()
    private var fingerprints = JSONStack<UInt32>()

    init(_ bytes: UnsafeRawBufferPointer, limits: JSONLimits) {
        base = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self) ?? UnsafePointer(bitPattern: 8)!
        count = bytes.count
        self.limits = limits
    }

    /// To be called once: what the reader holds in memory ends with it.
    mutating func document() throws(JSONError) -> JSON {
        defer {
            elements.destroy()
            members.destroy()
            fingerprints.destroy()
        }
        guard count <= limits.bytes else {
            throw JSONError(
                message: "The document is larger than the \(limits.bytes) bytes that are accepted.",
                offset: limits.bytes)
        }
        guard !(count >= 3 && base[0] == 0xEF && base[1] == 0xBB && base[2] == 0xBF) else {
            throw JSONError("a byte order mark is not allowed", at: 0)
        }
        skipSpace()
        let value = try value()
        skipSpace()
        guard at == count else { throw JSONError("something follows the end of the document", at: at) }
        return value
    }

    private mutating func value() throws(JSONError) -> JSON {
        guard at < count else { throw JSONError("the document ends where a value was expected", at: at) }
        switch base[at] {
        case UInt8(ascii: "\""):
            at += 1
            return .string(try string())
        case UInt8(ascii: "{"): return try object()
        case UInt8(ascii: "["): return try array()
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
        case UInt8(ascii: "N"), UInt8(ascii: "I"): throw JSONError("NaN and Infinity are not allowed", at: at)
        default: throw JSONError("a value was expected", at: at)
        }
    }

    @inline(__always)
    private mutating func skipSpace() {
        while at < count {
            let byte = base[at]
            guard byte <= 0x20, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 else { return }
            at += 1
        }
    }

    private mutating func word(_ word: StaticString, _ value: JSON) throws(JSONError) -> JSON {
        let length = word.utf8CodeUnitCount
        for place in 0..<length {
            guard at + place < count, base[at + place] == word.utf8Start[place] else {
                throw JSONError("a value was expected", at: at)
            }
        }
        at += length
        return value
    }
}

// MARK: - Arrays and objects

extension JSONReader {
    private mutating func enter() throws(JSONError) {
        depth += 1
        guard depth <= limits.depth else {
            throw JSONError("values are nested deeper than \(limits.depth) levels", at: at)
        }
        at += 1
        skipSpace()
    }

    @inline(__always)
    private mutating func take(_ byte: UInt8) -> Bool {
        guard at < count, base[at] == byte else { return false }
        at += 1
        return true
    }

    private mutating func array() throws(JSONError) -> JSON {
        try enter()
        let mark = elements.count
        if !take(UInt8(ascii: "]")) {
            while true {
                elements.push(try value())
                skipSpace()
                if take(UInt8(ascii: ",")) {
                    skipSpace()
                    continue
                }
                guard take(UInt8(ascii: "]")) else { throw expected("a comma or ']' was expected") }
                break
            }
        }
        depth -= 1
        return .array(elements.take(from: mark))
    }

    private mutating func object() throws(JSONError) -> JSON {
        let start = at
        try enter()
        let mark = members.count
        if !take(UInt8(ascii: "}")) {
            while true {
                guard take(UInt8(ascii: "\"")) else { throw expected("a member name in double quotes was expected") }
                let key = try string()
                fingerprints.push(fingerprint)
                skipSpace()
                guard take(UInt8(ascii: ":")) else { throw expected("a colon was expected") }
                skipSpace()
                members.push((key, try value()))
                skipSpace()
                if take(UInt8(ascii: ",")) {
                    skipSpace()
                    continue
                }
                guard take(UInt8(ascii: "}")) else { throw expected("a comma or '}' was expected") }
                break
            }
        }
        depth -= 1
        return .object(try close(mark, start))
    }

    private mutating func close(_ mark: Int, _ start: Int) throws(JSONError) -> JSONObject {
        let twice = firstTwice(mark)
        fingerprints.drop(to: mark)
        if let twice {
            guard limits.duplicateKeys == .keepLast else {
                throw JSONError("the member '\(twice)' comes twice in the object that starts", at: start)
            }
            return JSONObject(members.take(from: mark).map { ($0.key, $0.value) })
        }
        return JSONObject(distinct: members.take(from: mark))
    }

    /// The first key from `mark` on that came before; nil is the rule.
    private func firstTwice(_ mark: Int) -> String? {
        let count = members.count
        guard count - mark <= JSONObject.linearMax else {
            var seen = Set<String>(minimumCapacity: count - mark)
            for place in mark..<count where !seen.insert(members[place].key).inserted { return members[place].key }
            return nil
        }
        // One bit per key seen, so that most keys need no comparing at all. A fingerprint of 0 says nothing.
        var filter: UInt64 = 0
        for place in mark..<count {
            let own = fingerprints[place]
            let bit: UInt64 = own == 0 ? .max : 1 << UInt64(own & 63)
            if filter & bit != 0 {
                for earlier in mark..<place {
                    let other = fingerprints[earlier]
                    guard own == other || own == 0 || other == 0 else { continue }
                    if members[earlier].key == members[place].key { return members[place].key }
                }
            }
            filter |= bit
        }
        return nil
    }

    private func expected(_ what: String) -> JSONError {
        at < count ? JSONError(what, at: at) : JSONError("the document ends where \(what)", at: at)
    }
}
