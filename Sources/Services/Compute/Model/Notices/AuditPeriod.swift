// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// The stretches of time that usage is told for: `month`, or `day@6` for days that begin at six.
package struct AuditPeriod: Sendable, Hashable {
    package enum Unit: String, Sendable, CaseIterable { case hour, day, month, year }

    package let unit: Unit
    package let offset: Int

    package static let month = AuditPeriod(.month)

    private init(_ unit: Unit) {
        self.unit = unit
        offset = 0
    }

    /// Nil for what upstream's `instance_usage_audit_period` does not take.
    package init?(_ text: String) {
        let parts = text.split(separator: "@", maxSplits: 1, omittingEmptySubsequences: false)
        guard let unit = parts.first.flatMap({ Unit(rawValue: String($0)) }) else { return nil }
        self.unit = unit
        guard parts.count == 2 else {
            offset = 0
            return
        }
        guard !parts[1].isEmpty, parts[1].utf8.allSatisfy({ (48...57).contains($0) }), let offset = Int(parts[1])
        else { return nil }
        self.offset = offset
    }

    private static let second: Int64 = 1_000_000

    /// The last one that was over at a moment.
    package func last(before moment: Timestamp) -> (begin: Timestamp, end: Timestamp) {
        switch unit {
        case .hour: steps(of: 3600, at: min(offset, 59) * 60, before: moment)
        case .day: steps(of: 86_400, at: min(offset, 23) * 3600, before: moment)
        case .month: months(1, first: 0, day: max(1, min(offset, 28)), before: moment)
        case .year: months(12, first: max(1, min(offset, 12)) - 1, day: 1, before: moment)
        }
    }

    private func steps(of length: Int64, at start: Int, before moment: Timestamp) -> (Timestamp, Timestamp) {
        let (length, start) = (length * Self.second, Int64(start) * Self.second)
        // What ends at this very moment is not over yet.
        let end = (moment.microseconds - 1 - start) / length * length + start
        return (Timestamp(microseconds: end - length), Timestamp(microseconds: end))
    }

    /// - Parameters:
    ///   - count: how many months it has.
    ///   - first: the month of a year that it begins in, from 0.
    private func months(_ count: Int, first: Int, day: Int, before moment: Timestamp) -> (Timestamp, Timestamp) {
        let days = Int((moment.microseconds - 1) / (86_400 * Self.second))
        let (year, month, today) = Timestamp.date(days: days)
        var end = year * 12 + month - 1
        if today < day { end -= 1 }
        end -= ((end - first) % count + count) % count
        return (Self.moment(end - count, day), Self.moment(end, day))
    }

    /// - Parameter month: counted from the year 0.
    private static func moment(_ month: Int, _ day: Int) -> Timestamp {
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : String(number) }
        return Timestamp("\(month / 12)-\(two(month % 12 + 1))-\(two(day)) 00:00:00") ?? Timestamp(microseconds: 0)
    }
}
