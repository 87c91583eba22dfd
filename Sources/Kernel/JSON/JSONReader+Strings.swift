// SPDX-License-Identifier: Apache-2.0

// Strings of the reader.
extension JSONReader {
    /// Reads from behind the opening quote to behind the closing one.
    mutating func string() throws(JSONError) -> String {
        let start = at
        var high: UInt64 = 0
        skipPlain(&high)
        guard at < count else { throw unterminated(start) }
        guard base[at] == UInt8(ascii: "\"") else { return try stringWithEscapes(start) }
        let bytes = UnsafeBufferPointer(start: base + start, count: at - start)
        at += 1
        if high & Scan.tops == 0 {
            fingerprint = Scan.fingerprint(bytes)
        } else {
            // Texts may be equal though their bytes are not (composed and decomposed letters): no shortcut then.
            fingerprint = 0
            if let bad = UTF8Check.firstInvalid(bytes) {
                throw JSONError("the text is not valid UTF-8", at: start + bad)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Moves to the next quote, backslash or control character; gathers the top bits of what was passed.
    @inline(__always)
    private mutating func skipPlain(_ high: inout UInt64) {
        while at + 8 <= count {
            let word = UnsafeRawPointer(base + at).loadUnaligned(as: UInt64.self)
            let stops = Scan.stops(word)
            guard stops == 0 else {
                let bits = stops.littleEndian.trailingZeroBitCount & ~7
                high |= word.littleEndian & (1 << UInt64(bits) &- 1)
                at += bits >> 3
                return
            }
            high |= word
            at += 8
        }
        while at < count {
            let byte = base[at]
            guard byte >= 0x20, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") else { return }
            high |= UInt64(byte)
            at += 1
        }
    }

    private mutating func stringWithEscapes(_ start: Int) throws(JSONError) -> String {
        scratch.removeAll(keepingCapacity: true)
        var run = start
        var high: UInt64 = 0
        while true {
            scratch.append(contentsOf: UnsafeBufferPointer(start: base + run, count: at - run))
            guard at < count else { throw unterminated(start) }
            let byte = base[at]
            if byte == UInt8(ascii: "\"") { break }
            guard byte == UInt8(ascii: "\\") else {
                throw JSONError("a control character in a string must be escaped", at: at)
            }
            try escape()
            run = at
            skipPlain(&high)
        }
        at += 1
        fingerprint = scratch.withUnsafeBufferPointer { bytes in
            bytes.allSatisfy { $0 < 0x80 } ? Scan.fingerprint(bytes) : 0
        }
        guard scratch.withUnsafeBufferPointer(UTF8Check.firstInvalid) == nil else {
            throw JSONError("the text is not valid UTF-8 in the string that starts", at: start - 1)
        }
        return String(decoding: scratch, as: UTF8.self)
    }

    private mutating func escape() throws(JSONError) {
        guard at + 1 < count else { throw unterminated(at) }
        let letter = base[at + 1]
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): scratch.append(letter)
        case UInt8(ascii: "b"): scratch.append(0x08)
        case UInt8(ascii: "f"): scratch.append(0x0C)
        case UInt8(ascii: "n"): scratch.append(0x0A)
        case UInt8(ascii: "r"): scratch.append(0x0D)
        case UInt8(ascii: "t"): scratch.append(0x09)
        case UInt8(ascii: "u"):
            try unicodeEscape()
            return
        default: throw JSONError("an unknown escape is in a string", at: at)
        }
        at += 2
    }

    /// `\uXXXX`, or two of them that make a surrogate pair. Half a pair has no meaning and is refused.
    private mutating func unicodeEscape() throws(JSONError) {
        let start = at
        var code = try codeUnit()
        if code & 0xFC00 == 0xD800 {
            guard at + 1 < count, base[at] == UInt8(ascii: "\\"), base[at + 1] == UInt8(ascii: "u") else {
                throw JSONError("half of a surrogate pair stands alone", at: start)
            }
            let low = try codeUnit()
            guard low & 0xFC00 == 0xDC00 else { throw JSONError("half of a surrogate pair stands alone", at: start) }
            code = 0x10000 + (code & 0x3FF) << 10 + (low & 0x3FF)
        }
        guard let scalar = Unicode.Scalar(code) else {
            throw JSONError("half of a surrogate pair stands alone", at: start)
        }
        scratch.append(contentsOf: UTF8.encode(scalar)!)
    }

    private mutating func codeUnit() throws(JSONError) -> UInt32 {
        guard at + 6 <= count else { throw JSONError("four hexadecimal digits must follow '\\u'", at: at) }
        var code: UInt32 = 0
        for place in at + 2..<at + 6 {
            let digit = base[place]
            switch digit {
            case 48...57: code = code << 4 | UInt32(digit - 48)
            case 65...70: code = code << 4 | UInt32(digit - 55)
            case 97...102: code = code << 4 | UInt32(digit - 87)
            default: throw JSONError("four hexadecimal digits must follow '\\u'", at: at)
            }
        }
        at += 6
        return code
    }

    private func unterminated(_ start: Int) -> JSONError {
        JSONError("the document ends inside the string that starts", at: max(0, start - 1))
    }
}

/// Eight bytes at a time: which of them end a run that can be copied as it is.
enum Scan {
    private static let ones: UInt64 = 0x0101_0101_0101_0101
    static let tops: UInt64 = 0x8080_8080_8080_8080

    /// The top bit of each byte that is a quote, a backslash or below 0x20. Exact for the lowest such byte; higher ones
    /// may be marked wrongly, which no caller looks at.
    @inline(__always)
    static func stops(_ word: UInt64) -> UInt64 {
        let quote = word ^ (ones &* 0x22)
        let slash = word ^ (ones &* 0x5C)
        let control = (word &- (ones &* 0x20)) & ~word
        return (((quote &- ones) & ~quote) | ((slash &- ones) & ~slash) | control) & tops
    }

    /// A few bits out of the length and both ends, never 0: equal for equal texts, different for most others.
    @inline(__always)
    static func fingerprint(_ bytes: UnsafeBufferPointer<UInt8>) -> UInt32 {
        let length = bytes.count
        var mixed = UInt64(length)
        if length >= 8 {
            let raw = UnsafeRawPointer(bytes.baseAddress!)
            let last = raw.loadUnaligned(fromByteOffset: length - 8, as: UInt64.self)
            mixed ^= raw.loadUnaligned(as: UInt64.self) ^ (last << 31 | last >> 33)
        } else {
            for byte in bytes { mixed = mixed << 8 ^ UInt64(byte) }
        }
        return UInt32(truncatingIfNeeded: mixed &* 0x9E37_79B9_7F4A_7C15 >> 32) | 1 << 31
    }
}

/// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
enum UTF8Check {
    /// Where the first sequence that is none starts.
    static func firstInvalid(_ bytes: UnsafeBufferPointer<UInt8>) -> Int? {
        var at = 0
        let count = bytes.count
        while at < count {
            let lead = bytes[at]
            if lead < 0x80 {
                at += 1
                continue
            }
            let (length, second) = form(lead)
            guard length > 0, at + length <= count, second.contains(bytes[at + 1]) else { return at }
            for place in at + 2..<max(at + 2, at + length) where bytes[place] & 0xC0 != 0x80 { return at }
            at += length
        }
        return nil
    }

    /// How long the sequence is that a byte leads, 0 if none, and what may come second.
    private static func form(_ lead: UInt8) -> (length: Int, second: ClosedRange<UInt8>) {
        switch lead {
        case 0xC2...0xDF: (2, 0x80...0xBF)
        case 0xE0: (3, 0xA0...0xBF)
        case 0xED: (3, 0x80...0x9F)
        case 0xE1...0xEF: (3, 0x80...0xBF)
        case 0xF0: (4, 0x90...0xBF)
        case 0xF1...0xF3: (4, 0x80...0xBF)
        case 0xF4: (4, 0x80...0x8F)
        default: (0, 0x80...0xBF)
        }
    }
}
