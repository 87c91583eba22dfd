// SPDX-License-Identifier: Apache-2.0

/// A moment in UTC, in whole microseconds since 1970. Stored as an integer, written in the forms that OpenStack uses.
package struct Timestamp: Sendable, Hashable, Comparable, Codable {
    package let microseconds: Int64

    package init(microseconds: Int64) { self.microseconds = microseconds }
    package init(seconds: Int64) { microseconds = seconds * 1_000_000 }

    package var seconds: Int64 { microseconds.flooredQuotient(1_000_000) }

    package init(from decoder: any Decoder) throws {
        microseconds = try decoder.singleValueContainer().decode(Int64.self)
    }
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(microseconds)
    }

    package static func < (left: Timestamp, right: Timestamp) -> Bool { left.microseconds < right.microseconds }
    package static func + (left: Timestamp, right: Duration) -> Timestamp {
        Timestamp(microseconds: left.microseconds + right.microseconds)
    }
    package static func - (left: Timestamp, right: Duration) -> Timestamp {
        Timestamp(microseconds: left.microseconds - right.microseconds)
    }
    package static func - (left: Timestamp, right: Timestamp) -> Duration {
        .microseconds(left.microseconds - right.microseconds)
    }
}

// MARK: - Text

extension Timestamp {
    /// `2026-11-20T10:00:00Z` (Nova, Neutron, Glance).
    package var iso8601: String { text(fraction: false, suffix: "Z") }
    /// `2026-11-20T10:00:00.000000Z` (Keystone).
    package var iso8601Micro: String { text(fraction: true, suffix: "Z") }
    /// `2026-11-20T10:00:00.000000` (Nova's older APIs, Cinder).
    package var iso8601Naive: String { text(fraction: true, suffix: "") }

    /// Reads ISO 8601 dates with an optional time, fraction and zone (`Z` or `+hh:mm`); nil when it is none.
    package init?(_ text: some StringProtocol) {
        var scan = Scanner(Array(text.utf8))
        guard let year = scan.number(4), scan.skip("-"), let month = scan.number(2), scan.skip("-"),
            let day = scan.number(2), (1...12).contains(month), (1...31).contains(day)
        else { return nil }
        var micros: Int64 = 0
        var offset = 0
        if scan.skip("T") || scan.skip(" ") {
            guard let hour = scan.number(2), scan.skip(":"), let minute = scan.number(2), hour < 24, minute < 60 else {
                return nil
            }
            var second = 0
            if scan.skip(":") {
                guard let value = scan.number(2), value < 61 else { return nil }
                second = value
            }
            micros = Int64(hour * 3600 + minute * 60 + second) * 1_000_000
            if scan.skip(".") {
                guard let fraction = scan.fraction() else { return nil }
                micros += fraction
            }
            guard let zone = scan.zone() else { return nil }
            offset = zone
        }
        guard scan.atEnd else { return nil }
        let days = Timestamp.days(year: year, month: month, day: day)
        microseconds = (Int64(days) * 86_400 - Int64(offset)) * 1_000_000 + micros
    }

    private func text(fraction: Bool, suffix: String) -> String {
        let days = seconds.flooredQuotient(86_400)
        let second = Int(seconds - days * 86_400)
        let (year, month, day) = Timestamp.date(days: Int(days))
        return String(unsafeUninitializedCapacity: 32) { out in
            var at = 0
            func put(_ value: Int, _ width: Int) {
                var rest = value
                for place in (0..<width).reversed() {
                    out[at + place] = UInt8(48 + rest % 10)
                    rest /= 10
                }
                at += width
            }
            func put(_ mark: Unicode.Scalar) {
                out[at] = UInt8(mark.value)
                at += 1
            }
            put(year, 4); put("-"); put(month, 2); put("-"); put(day, 2); put("T")
            put(second / 3600, 2); put(":"); put(second / 60 % 60, 2); put(":"); put(second % 60, 2)
            if fraction {
                put("."); put(Int(microseconds - seconds * 1_000_000), 6)
            }
            for byte in suffix.utf8 {
                out[at] = byte
                at += 1
            }
            return at
        }
    }

    /// Days since 1970 of a proleptic Gregorian date (Howard Hinnant, "chrono-compatible low-level date algorithms").
    package static func days(year: Int, month: Int, day: Int) -> Int {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    package static func date(days: Int) -> (year: Int, month: Int, day: Int) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthPart = (5 * dayOfYear + 2) / 153
        let month = monthPart < 10 ? monthPart + 3 : monthPart - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * monthPart + 2) / 5 + 1)
    }
}

private struct Scanner {
    let bytes: [UInt8]
    var at = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }
    var atEnd: Bool { at == bytes.count }

    mutating func skip(_ mark: Unicode.Scalar) -> Bool {
        guard at < bytes.count, bytes[at] == UInt8(mark.value) else { return false }
        at += 1
        return true
    }

    mutating func number(_ width: Int) -> Int? {
        guard at + width <= bytes.count else { return nil }
        var value = 0
        for byte in bytes[at..<at + width] {
            guard (48...57).contains(byte) else { return nil }
            value = value * 10 + Int(byte - 48)
        }
        at += width
        return value
    }

    mutating func fraction() -> Int64? {
        var value: Int64 = 0
        var digits = 0
        while at < bytes.count, (48...57).contains(bytes[at]) {
            if digits < 6 { value = value * 10 + Int64(bytes[at] - 48) }
            digits += 1
            at += 1
        }
        guard digits > 0 else { return nil }
        for _ in digits..<max(6, digits) { value *= 10 }
        return value
    }

    /// Seconds east of UTC; no zone means UTC.
    mutating func zone() -> Int? {
        if atEnd || skip("Z") { return 0 }
        let sign: Int
        if skip("+") { sign = 1 } else if skip("-") { sign = -1 } else { return nil }
        guard let hour = number(2) else { return nil }
        _ = skip(":")
        return sign * (hour * 3600 + (number(2) ?? 0) * 60)
    }
}

extension Int64 {
    fileprivate func flooredQuotient(_ divisor: Int64) -> Int64 {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? quotient - 1 : quotient
    }
}

extension Duration {
    package var microseconds: Int64 {
        components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000
    }
    package var milliseconds: Int64 { microseconds / 1000 }
    /// Seconds with their fraction, for metrics and messages.
    package var asSeconds: Double { Double(microseconds) / 1_000_000 }
}
