// SPDX-License-Identifier: Apache-2.0

/// A file of sections and options as oslo.config reads it: `#` and `;` start a comment line, `=` or `:` parts name from
/// value, an indented line goes on with the value above, quotes around a whole value fall away.
package struct INI: Sendable {
    package struct Entry: Sendable, Equatable {
        package let section: String
        package let name: String
        package let value: String
        package let line: Int
    }

    package struct Mistake: Error, Sendable, Equatable {
        package let line: Int
        package let reason: String
    }

    /// What stands before the first section belongs to this one.
    package static let defaultSection = "DEFAULT"

    package private(set) var entries: [Entry] = []
    /// Each section header with its line, also of sections without options.
    package private(set) var sections: [(name: String, line: Int)] = []
    package private(set) var mistakes: [Mistake] = []

    package init(_ text: String) {
        var section = INI.defaultSection
        var number = 0
        var open: (name: String, lines: [Substring], line: Int)?

        func close(_ entries: inout [Entry]) {
            guard let last = open else { return }
            // Blank lines that merely end the entry are no part of it.
            let lines = last.lines.reversed().drop { $0.isEmpty }.reversed()
            let value = INI.unquoted(lines.joined(separator: "\n"))
            entries.append(Entry(section: section, name: last.name, value: value, line: last.line))
            open = nil
        }

        for raw in text.split(omittingEmptySubsequences: false, whereSeparator: { $0 == "\n" || $0 == "\r\n" }) {
            number += 1
            let line = INI.trimmed(raw)
            if line.isEmpty {
                close(&entries)
                continue
            }
            if line.first == "#" || line.first == ";" { continue }
            if raw.first == " " || raw.first == "\t" {
                if open != nil {
                    open!.lines.append(line)
                } else {
                    mistakes.append(
                        Mistake(line: number, reason: "an indented line has no option above it to go on with"))
                }
                continue
            }
            close(&entries)
            if line.first == "[" {
                guard line.last == "]", line.count > 2 else {
                    mistakes.append(Mistake(line: number, reason: "a section is written '[name]', not '\(line)'"))
                    continue
                }
                section = String(INI.trimmed(line.dropFirst().dropLast()))
                sections.append((section, number))
                continue
            }
            guard let mark = line.firstIndex(where: { $0 == "=" || $0 == ":" }), mark != line.startIndex else {
                mistakes.append(Mistake(line: number, reason: "an option is written 'name = value', not '\(line)'"))
                continue
            }
            let name = INI.trimmed(line[..<mark])
            open = (String(name), [INI.trimmed(line[line.index(after: mark)...])], number)
        }
        close(&entries)
    }

    static func trimmed(_ text: Substring) -> Substring {
        var text = text
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return text.drop { $0.isWhitespace }
    }

    private static func unquoted(_ value: String) -> String {
        guard value.count >= 2, let first = value.first, first == value.last, first == "\"" || first == "'" else {
            return value
        }
        return String(value.dropFirst().dropLast())
    }
}
