// SPDX-License-Identifier: Apache-2.0
package import Base
package import Config

/// `[log]`, and `[DEFAULT] debug` as every service upstream has it.
package struct LogOptions: Options {
    package static let section = "log"
    package enum Style: String, Sendable, CaseIterable { case json, plain }

    /// Nil: the file that the caller has for it.
    package let file: String?
    package let level: Log.Level
    package let style: Style

    package init(_ read: inout OptionReader) {
        file = read.string(
            "file", help: "Where the log goes; - is standard error. Unset means log/apus.log in the cloud's folder.")
        let named = read.choice(
            "level", of: Log.Level.allCases.map(\.name), default: Log.Level.info.name,
            help: "What is said at least. Read again at SIGHUP.")
        style = read.choice("format", default: Style.json, help: "One JSON object per line, or text for people.")
        read.section(INI.defaultSection)
        let debug = read.bool("debug", default: false, help: "Short for [log] level = debug.")
        level = debug ? .debug : Log.Level(name: named) ?? .info
    }

    package func log(standard path: String, clock: any WallClock) -> Log {
        let sink = file == "-" ? Log.Sink.stderr : .file(file ?? path)
        return Log(sink: sink, level: level, clock: clock, format: style == .plain ? .plain : .lines)
    }
}
