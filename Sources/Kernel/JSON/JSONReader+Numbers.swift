// SPDX-License-Identifier: Apache-2.0

// Numbers of the reader.
extension JSONReader {
    mutating func number() throws(JSONError) -> JSON {
        let start = at
        let negative = base[at] == UInt8(ascii: "-")
        if negative { at += 1 }
        guard at < count, isDigit(base[at]) else {
            if negative, at < count, base[at] == UInt8(ascii: "I") {
                throw JSONError("NaN and Infinity are not allowed", at: start)
            }
            throw JSONError("a digit was expected", at: at)
        }
        let first = at
        var whole: UInt64 = 0
        while at < count, isDigit(base[at]) {
            whole = whole &* 10 &+ UInt64(base[at] &- 48)
            at += 1
        }
        let digits = at - first
        guard digits == 1 || base[first] != UInt8(ascii: "0") else {
            throw JSONError("a number must not start with a zero", at: first)
        }
        if at < count, base[at] == UInt8(ascii: ".") || base[at] | 0x20 == UInt8(ascii: "e") {
            return try fraction(start, negative, whole, digits: digits)
        }
        // 18 digits always fit; 19 may not, and more never do.
        if digits > 18 {
            let bound = UInt64(Int64.max) + (negative ? 1 : 0)
            guard digits == 19, whole <= bound else { throw JSONError("number out of range", at: start) }
        }
        return .integer(negative ? Int64(truncatingIfNeeded: 0 &- whole) : Int64(whole))
    }

    private mutating func fraction(
        _ start: Int, _ negative: Bool, _ whole: UInt64, digits: Int
    ) throws(JSONError) -> JSON {
        var mantissa = whole
        var digits = digits
        var power = 0
        if base[at] == UInt8(ascii: ".") {
            at += 1
            let first = at
            while at < count, isDigit(base[at]) {
                mantissa = mantissa &* 10 &+ UInt64(base[at] &- 48)
                at += 1
            }
            guard at > first else { throw JSONError("a digit was expected", at: at) }
            digits += at - first
            power = first - at
        }
        if at < count, base[at] | 0x20 == UInt8(ascii: "e") { power += try exponent() }
        // Up to 2^53 and 10^22 both are exact as doubles, so one rounding gives the nearest (Clinger's fast path).
        if digits <= 19, mantissa <= 1 << 53, (-22...22).contains(power) {
            let exact = Double(mantissa)
            let value = power < 0 ? exact / JSONReader.powers[-power] : exact * JSONReader.powers[power]
            return .double(negative ? -value : value)
        }
        let text = String(decoding: UnsafeBufferPointer(start: base + start, count: at - start), as: UTF8.self)
        guard let value = Double(text), value.isFinite else { throw JSONError("number out of range", at: start) }
        return .double(value)
    }

    private mutating func exponent() throws(JSONError) -> Int {
        at += 1
        var negative = false
        if at < count, base[at] == UInt8(ascii: "+") || base[at] == UInt8(ascii: "-") {
            negative = base[at] == UInt8(ascii: "-")
            at += 1
        }
        guard at < count, isDigit(base[at]) else { throw JSONError("a digit was expected", at: at) }
        var value = 0
        while at < count, isDigit(base[at]) {
            value = min(value * 10 + Int(base[at] &- 48), 1_000_000)
            at += 1
        }
        return negative ? -value : value
    }

    @inline(__always)
    private func isDigit(_ byte: UInt8) -> Bool { byte &- 48 <= 9 }

    private static let powers: [Double] = [
        1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19,
        1e20, 1e21, 1e22,
    ]
}
