// SPDX-License-Identifier: Apache-2.0
package import Base
package import JSON

/// Says what happened, one record per line. A child made by `with` carries fields (the request's id) into every line;
/// all children share one sink. Asking for a level that is off costs a comparison: neither message nor fields are
/// built.
package final class Log: Sendable {
    package enum Level: Int, Sendable, Comparable, CaseIterable {
        case debug, info, warning, error, off

        package static func < (left: Level, right: Level) -> Bool { left.rawValue < right.rawValue }
        package var name: String {
            switch self {
            case .debug: "debug"
            case .info: "info"
            case .warning: "warning"
            case .error: "error"
            case .off: "off"
            }
        }

        package init?(name: String) {
            guard let level = Level.allCases.first(where: { $0.name == name.lowercased() }) else { return nil }
            self = level
        }
    }

    package enum Sink: Sendable {
        case stderr
        case file(String)
        /// Kept for a test to look at.
        case memory
    }

    package enum Format: Sendable {
        /// One JSON object per line.
        case lines
        /// For people.
        case plain
        /// `plain` when standard error is the sink and a terminal, `lines` elsewhere.
        case automatic
    }

    /// What is said at least; all children follow.
    package var level: Level { writer.level }
    private let clock: any WallClock
    private let style: LogStyle
    private let writer: LogWriter
    /// The fields of `with`, written once.
    private let carried: [UInt8]

    package init(
        sink: Sink = .stderr, level: Level = .info, clock: any WallClock = MachineClock(), format: Format = .automatic
    ) {
        self.clock = clock
        writer = LogWriter(sink, level)
        style = format == .plain || (format == .automatic && writer.isTerminal) ? .plain : .lines
        carried = []
    }

    private init(parent: Log, carried: [UInt8]) {
        clock = parent.clock
        style = parent.style
        writer = parent.writer
        self.carried = carried
    }

    /// Says nothing, to nobody.
    package static let silent = Log(sink: .memory, level: .off)

    // MARK: Speaking

    package typealias Fields = KeyValuePairs<String, any JSONValue>

    /// What a developer follows a request with.
    package func debug(_ message: @autoclosure () -> String, _ fields: @autoclosure () -> Fields = [:]) {
        if level <= .debug { record(.debug, message(), fields()) }
    }

    /// What an operator likes to know.
    package func info(_ message: @autoclosure () -> String, _ fields: @autoclosure () -> Fields = [:]) {
        if level <= .info { record(.info, message(), fields()) }
    }

    /// What will need attention.
    package func warning(_ message: @autoclosure () -> String, _ fields: @autoclosure () -> Fields = [:]) {
        if level <= .warning { record(.warning, message(), fields()) }
    }

    /// What went wrong; written out at once, together with all that was said before it.
    package func error(_ message: @autoclosure () -> String, _ fields: @autoclosure () -> Fields = [:]) {
        if level <= .error { record(.error, message(), fields()) }
    }

    /// A log that adds these fields to whatever is said through it.
    package func with(_ fields: Fields) -> Log {
        guard level < .off else { return self }
        let comma = style == .lines && !carried.isEmpty && !fields.isEmpty ? [UInt8(ascii: ",")] : []
        return Log(parent: self, carried: carried + comma + style.fields(fields))
    }

    /// Returns when all that was said is with the operating system.
    package func flush() { writer.flush() }

    /// Says more or less from now on. A log that was made to be silent stays so.
    package func setLevel(_ level: Level) { writer.setLevel(level) }

    /// Opens the file again, after log rotation moved it away.
    package func reopen() { writer.reopen() }

    /// What a memory sink holds, line by line.
    package var lines: [String] { writer.kept() }

    private func record(_ level: Level, _ message: String, _ fields: Fields) {
        writer.append(style.line(clock.now(), level, message, carried, fields), urgent: level == .error)
    }
}

/// How a line looks.
enum LogStyle: Sendable {
    case lines, plain

    func line(_ time: Timestamp, _ level: Log.Level, _ message: String, _ carried: [UInt8], _ fields: Log.Fields)
        -> [UInt8]
    {
        switch self {
        case .lines:
            var writer = JSONWriter(capacity: 512)
            writer.beginObject()
            writer.key("time")
            writer.string(time.iso8601Micro)
            writer.key("level")
            writer.string(level.name)
            writer.key("message")
            writer.string(message)
            if !carried.isEmpty { writer.raw(carried) }
            LogStyle.members(fields, &writer)
            writer.endObject()
            var line = writer.finish()
            line.append(UInt8(ascii: "\n"))
            return line
        case .plain:
            let name = level.name
            var line = Array(time.iso8601Micro.dropFirst(11).dropLast(4).utf8)
            line += " \(name)\(String(repeating: " ", count: max(1, 8 - name.utf8.count)))".utf8
            line += LogStyle.tame(message).utf8
            line += carried
            line += self.fields(fields)
            line.append(UInt8(ascii: "\n"))
            return line
        }
    }

    /// The members as they stand in the middle of a line, so that a child log can keep them ready.
    func fields(_ fields: Log.Fields) -> [UInt8] {
        guard !fields.isEmpty else { return [] }
        guard self == .plain else {
            var writer = JSONWriter()
            LogStyle.members(fields, &writer)
            return writer.finish()
        }
        var line: [UInt8] = []
        for (name, value) in fields {
            var writer = JSONWriter(capacity: 64)
            value.write(to: &writer)
            line += " \(name)=".utf8
            line += LogStyle.bare(writer.finish())
        }
        return line
    }

    private static func members(_ fields: Log.Fields, _ writer: inout JSONWriter) {
        for (name, value) in fields {
            writer.key(name)
            value.write(to: &writer)
        }
    }

    /// A text keeps its quotes only when it holds what would make it hard to tell apart.
    private static func bare(_ json: [UInt8]) -> ArraySlice<UInt8> {
        guard json.count > 2, json.first == UInt8(ascii: "\""), json.last == UInt8(ascii: "\"") else {
            return json[...]
        }
        let inner = json[1..<json.count - 1]
        let plain = inner.allSatisfy {
            $0 > 0x20 && $0 != UInt8(ascii: "\\") && $0 != UInt8(ascii: "=") && $0 != UInt8(ascii: "\"")
        }
        return plain ? inner : json[...]
    }

    /// One line stays one line: what a client sent must not be able to forge records or drive the terminal.
    private static func tame(_ message: String) -> String {
        guard message.utf8.contains(where: { $0 < 0x20 || $0 == 0x7F }) else { return message }
        return message.unicodeScalars.reduce(into: "") { tamed, scalar in
            if scalar.value < 0x20 || scalar.value == 0x7F {
                tamed += scalar == "\n" ? "\\n" : scalar == "\t" ? "\\t" : "\\x\(Hex.encode([UInt8(scalar.value)]))"
            } else {
                tamed.unicodeScalars.append(scalar)
            }
        }
    }
}
