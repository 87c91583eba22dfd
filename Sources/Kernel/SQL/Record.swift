// SPDX-License-Identifier: Apache-2.0

/// A row as a Swift value. Properties are columns in snake case (`userID` is `user_id`); enums are stored by their raw
/// value, `Timestamp` as microseconds, `Bool` as 0 or 1, and whatever has members of its own as JSON text.
package protocol Record: Codable, Sendable {
    static var table: String { get }
}

/// How property names become column names.
package enum ColumnName {
    /// `userID` to `user_id`, `ipv6RAMode` to `ipv6_ra_mode`, `subnetIDs` to `subnet_ids`: a run of capitals is a word.
    package static func of(_ property: String) -> String {
        let letters = Array(property.utf8)
        var column: [UInt8] = []
        column.reserveCapacity(letters.count + 4)
        for (at, letter) in letters.enumerated() {
            guard isCapital(letter) else {
                column.append(letter)
                continue
            }
            if at > 0, startsWord(letters, at) { column.append(UInt8(ascii: "_")) }
            column.append(letter | 0x20)
        }
        return String(decoding: column, as: UTF8.self)
    }

    private static func startsWord(_ letters: [UInt8], _ at: Int) -> Bool {
        let before = letters[at - 1]
        if before == UInt8(ascii: "_") { return false }
        if !isCapital(before) { return true }
        guard at + 1 < letters.count, isSmall(letters[at + 1]) else { return false }
        // `IPv4` and `IPv6` are words of their own making.
        if letters[at...].starts(with: "Pv".utf8), before == UInt8(ascii: "I") { return false }
        // The plural of an initialism (`IDs`, `IPsByHost`) is no new word.
        let pluralEnds = at + 2 == letters.count || isCapital(letters[at + 2])
        return !(letters[at + 1] == UInt8(ascii: "s") && pluralEnds)
    }

    private static func isCapital(_ letter: UInt8) -> Bool { (65...90).contains(letter) }
    private static func isSmall(_ letter: UInt8) -> Bool { (97...122).contains(letter) }
}
