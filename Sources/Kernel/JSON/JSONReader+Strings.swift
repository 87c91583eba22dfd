// SPDX-License-Identifier: Apache-2.0

// Strings of the reader.
extension JSONReader {
    /// Reads from behind the opening quote to behind the closing one.
    mutating func string() throws(JSONError) -> String {
        let start = at
        skipPlain()
        guard at < count else { throw unterminated(start) }
        guard base[at] == UInt8(ascii: "\"") else { return try stringWithEscapes(start) }
        let bytes = UnsafeBufferPointer(start: base + start, count: at - start)
        at += 1
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw JSONError("the text is not valid UTF-8", at: start + UTF8Check.firstInvalid(bytes))
        }
        return text
    }

    /// Moves to the next quote, backslash or control character.
    private mutating func skipPlain() {
        while at + 8 <= count {
            let word = UnsafeRawPointer(base + at).loadUnaligned(as: UInt64.self)
            let stops = Scan.stops(word)
            guard stops == 0 else {
                at += UInt64(littleEndian: stops).trailingZeroBitCount >> 3
                return
            }
            at += 8
        }
        while at < count {
            let byte = base[at]
            guard byte >= 0x20, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") else { return }
            at += 1
        }
    }

    private mutating func stringWithEscapes(_ start: Int) throws(JSONError) -> String {
        scratch.removeAll(keepingCapacity: true)
        var run = start
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
            skipPlain()
        }
        at += 1
        guard let text = String(validating: scratch, as: UTF8.self) else {
            throw JSONError("the text is not valid UTF-8 in the string that starts", at: start)
        }
        return text
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
    private static let tops: UInt64 = 0x8080_8080_8080_8080

    /// The top bit of each byte that is a quote, a backslash or below 0x20. Exact for the lowest such byte; higher ones
    /// may be marked wrongly, which no caller looks at.
    @inline(__always)
    static func stops(_ word: UInt64) -> UInt64 {
        let quote = word ^ (ones &* 0x22)
        let slash = word ^ (ones &* 0x5C)
        let control = (word &- (ones &* 0x20)) & ~word
        return (((quote &- ones) & ~quote) | ((slash &- ones) & ~slash) | control) & tops
    }
}

/// Finds the place to name in an error; the deciding is the standard library's.
enum UTF8Check {
    static func firstInvalid(_ bytes: UnsafeBufferPointer<UInt8>) -> Int {
        var decoder = UTF8.ForwardParser()
        var rest = bytes.makeIterator()
        var place = 0
        while true {
            switch decoder.parseScalar(from: &rest) {
            case .valid(let scalar): place += scalar.count
            default: return place
            }
        }
    }
}
