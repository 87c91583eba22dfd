// SPDX-License-Identifier: Apache-2.0

/// The options of one part of the program as a value: each read states name, default and a sentence, which is all that
/// loading, checking and the sample file need.
package protocol Options: Sendable {
    /// Where reading begins; `OptionReader.section` goes on elsewhere.
    static var section: String { get }
    init(_ read: inout OptionReader)
}

/// What was declared about one option.
package struct OptionDescription: Sendable {
    package let section: String
    package let name: String
    /// "whole number (1 to 65535)"
    package let type: String
    /// As it would stand in the file; nil when there is none.
    package let standard: String?
    package let help: String
    package let aliases: [String]
    package let environment: String
}

/// Hands out the values of a section, and notes what was asked for and what did not fit.
package struct OptionReader: Sendable {
    /// A text that was given for an option, and where.
    struct Given: Sendable {
        let text: String
        let origin: String
    }

    private var section: String
    private let find: @Sendable (_ section: String, _ name: String, _ environment: String) -> Given?
    private(set) var descriptions: [OptionDescription] = []
    private(set) var mistakes: [String] = []

    init(
        section: String,
        find: @escaping @Sendable (_ section: String, _ name: String, _ environment: String) -> Given?
    ) {
        self.section = section
        self.find = find
    }

    /// What is read from here on stands in that section: upstream spreads what one part is told over several.
    package mutating func section(_ name: String) { section = name }

    // MARK: Reading

    package mutating func string(
        _ name: String, default standard: String, help: String, env: String? = nil, aliases: [String] = []
    ) -> String {
        read(name, "text", standard, help, env, aliases) { .value($0) } ?? standard
    }

    /// An option without a default: nil when it is not set or empty.
    package mutating func string(_ name: String, help: String, env: String? = nil, aliases: [String] = []) -> String? {
        read(name, "text", nil, help, env, aliases) { .value($0) }.flatMap { $0.isEmpty ? nil : $0 }
    }

    /// A text of a form of its own: `convert` answers nil for what does not fit, which is then called "no \(form)".
    package mutating func text<Value>(
        _ name: String, _ form: String, default standard: String? = nil, help: String, env: String? = nil,
        aliases: [String] = [], _ convert: (String) -> Value?
    ) -> Value? {
        let found: Value?? = read(name, form, standard, help, env, aliases) { text -> Outcome<Value?> in
            if text.isEmpty, standard == nil { return .value(nil) }
            guard let value = convert(text) else { return .mistake("is no \(form).") }
            return .value(value)
        }
        return found ?? standard.flatMap(convert)
    }

    package mutating func int(
        _ name: String, default standard: Int, in range: ClosedRange<Int> = Int.min...Int.max, help: String,
        env: String? = nil, aliases: [String] = []
    ) -> Int {
        let type = "whole number" + OptionReader.words(range)
        return read(name, type, "\(standard)", help, env, aliases) { text in
            guard let value = Int(text), range.contains(value) else { return .mistake("is no \(type).") }
            return .value(value)
        } ?? standard
    }

    package mutating func double(
        _ name: String, default standard: Double, atLeast minimum: Double? = nil, help: String, env: String? = nil,
        aliases: [String] = []
    ) -> Double {
        let type = "number" + (minimum.map { " (\($0) or more)" } ?? "")
        return read(name, type, "\(standard)", help, env, aliases) { text in
            guard let value = Double(text), value.isFinite, value >= minimum ?? value else {
                return .mistake("is no \(type).")
            }
            return .value(value)
        } ?? standard
    }

    package mutating func bool(
        _ name: String, default standard: Bool, help: String, env: String? = nil, aliases: [String] = []
    ) -> Bool {
        read(name, "true or false", standard ? "true" : "false", help, env, aliases) { text in
            switch text.lowercased() {
            case "true", "yes", "on", "1": .value(true)
            case "false", "no", "off", "0": .value(false)
            default: .mistake("is neither true nor false.")
            }
        } ?? standard
    }

    /// A number of seconds, or a number with a unit: `500ms`, `30s`, `5m`, `2h`, `7d`.
    package mutating func duration(
        _ name: String, default standard: Duration, atLeast minimum: Duration = .zero, help: String,
        env: String? = nil, aliases: [String] = []
    ) -> Duration {
        read(name, "duration", DurationText.write(standard), help, env, aliases) { text in
            guard let value = DurationText.read(text) else {
                return .mistake("is no duration such as 30, 500ms, 30s, 5m, 2h or 7d.")
            }
            return value >= minimum ? .value(value) : .mistake("is less than \(DurationText.write(minimum)).")
        } ?? standard
    }

    /// Parted by commas.
    package mutating func list(
        _ name: String, default standard: [String] = [], help: String, env: String? = nil, aliases: [String] = []
    ) -> [String] {
        read(name, "list", standard.joined(separator: ","), help, env, aliases) { text in
            .value(
                text.split { $0 == "," || $0 == "\n" }.map { String(INI.trimmed($0)) }.filter { !$0.isEmpty })
        } ?? standard
    }

    package mutating func choice(
        _ name: String, of choices: [String], default standard: String, help: String, env: String? = nil,
        aliases: [String] = []
    ) -> String {
        let type = "one of " + choices.joined(separator: ", ")
        return read(name, type, standard, help, env, aliases) { text in
            guard !choices.contains(text) else { return .value(text) }
            return .mistake("is not \(type)" + Suggestion.end(text, among: choices))
        } ?? standard
    }

    package mutating func choice<Choice: RawRepresentable<String> & CaseIterable>(
        _ name: String, default standard: Choice, help: String, env: String? = nil, aliases: [String] = []
    ) -> Choice {
        let chosen = choice(
            name, of: Choice.allCases.map(\.rawValue), default: standard.rawValue, help: help, env: env,
            aliases: aliases)
        return Choice(rawValue: chosen) ?? standard
    }

    /// A mistake that only several options together make: "cert_file needs key_file".
    package mutating func refuse(_ reason: String) { mistakes.append("[\(section)] \(reason)") }

    // MARK: Inside

    private enum Outcome<Value> {
        case value(Value)
        case mistake(String)
    }

    private mutating func read<Value>(
        _ name: String, _ type: String, _ standard: String?, _ help: String, _ env: String?, _ aliases: [String],
        _ convert: (String) -> Outcome<Value>
    ) -> Value? {
        let environment = env ?? OptionReader.environmentName(section, name)
        descriptions.append(
            OptionDescription(
                section: section, name: name, type: type, standard: standard, help: help, aliases: aliases,
                environment: environment))
        for candidate in [name] + aliases {
            guard let given = find(section, candidate, candidate == name ? environment : "") else { continue }
            switch convert(given.text) {
            case .value(let value): return value
            case .mistake(let reason):
                mistakes.append("\(given.origin): [\(section)] \(name) = '\(given.text)' \(reason)")
                return nil
            }
        }
        return nil
    }

    static func environmentName(_ section: String, _ name: String) -> String {
        "APUS_\(section)_\(name)".uppercased().replacing("-", with: "_").replacing(".", with: "_")
    }

    private static func words(_ range: ClosedRange<Int>) -> String {
        switch (range.lowerBound == .min, range.upperBound == .max) {
        case (true, true): ""
        case (false, true): " (\(range.lowerBound) or more)"
        case (true, false): " (\(range.upperBound) or less)"
        case (false, false): " (\(range.lowerBound) to \(range.upperBound))"
        }
    }
}

/// Durations as people write them.
enum DurationText {
    private static let units: [(name: String, milliseconds: Int64)] = [
        ("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000),
    ]

    static func read(_ text: String) -> Duration? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let unit = text.dropFirst(digits.count).drop { $0 == " " }
        guard let count = Int64(digits) else { return nil }
        guard let milliseconds = unit.isEmpty ? 1000 : units.first(where: { $0.name == unit })?.milliseconds else {
            return nil
        }
        let (product, overflow) = count.multipliedReportingOverflow(by: milliseconds)
        return overflow ? nil : .milliseconds(product)
    }

    /// In the largest unit that leaves no rest.
    static func write(_ duration: Duration) -> String {
        let parts = duration.components
        let milliseconds = parts.seconds * 1000 + parts.attoseconds / 1_000_000_000_000_000
        guard milliseconds != 0 else { return "0s" }
        let unit = units.last { milliseconds % $0.milliseconds == 0 } ?? units[0]
        return "\(milliseconds / unit.milliseconds)\(unit.name)"
    }
}
