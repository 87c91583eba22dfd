// SPDX-License-Identifier: Apache-2.0

/// All that is wrong with a configuration, so that one start shows every mistake.
package struct ConfigurationErrors: Error, Sendable, Equatable, CustomStringConvertible {
    package let mistakes: [String]

    package var description: String {
        mistakes.count == 1 ? mistakes[0] : (["\(mistakes.count) mistakes:"] + mistakes).joined(separator: "\n  ")
    }
}

/// A text of configuration and the name to call it by in messages.
package struct ConfigurationSource: Sendable {
    package let name: String
    package let text: String

    package init(name: String, text: String) {
        self.name = name
        self.text = text
    }
}

/// Every option of every room and driver, checked. Files count in order, the environment over files, flags over both.
package struct Configuration: Sendable {
    private let values: [ObjectIdentifier: any Options]

    /// The options of a type that was among `known`.
    package subscript<O: Options>(type: O.Type) -> O {
        guard let options = values[ObjectIdentifier(type)] as? O else {
            preconditionFailure("\(type) was not among the options that were loaded")
        }
        return options
    }

    /// Reads files, then the environment (`APUS_SECTION_OPTION`), then flags (`section.option`; `spelling` has what was
    /// really typed). Variables named in `ignoring` begin with `APUS_` and are no options.
    package static func load(
        files: [String] = [], environment: [String: String] = [:], flags: [String: String] = [:],
        spelling: [String: String] = [:], ignoring: Set<String> = [], known: [any Options.Type]
    ) throws(ConfigurationErrors) -> Configuration {
        var sources: [ConfigurationSource] = []
        var mistakes: [String] = []
        for path in files {
            switch ConfigurationSource.read(path) {
            case .success(let source): sources.append(source)
            case .failure(let error): mistakes += error.mistakes
            }
        }
        let environment = environment.filter { !ignoring.contains($0.key) }
        return try load(
            sources: sources, environment: environment, flags: flags, spelling: spelling, known: known,
            mistakes: mistakes)
    }

    package static func load(
        sources: [ConfigurationSource], environment: [String: String] = [:], flags: [String: String] = [:],
        spelling: [String: String] = [:], known: [any Options.Type], mistakes: [String] = []
    ) throws(ConfigurationErrors) -> Configuration {
        var loader = Loader(sources: sources, environment: environment, flags: flags, spelling: spelling)
        loader.mistakes = mistakes + loader.mistakes
        var values: [ObjectIdentifier: any Options] = [:]
        for type in known { values[ObjectIdentifier(type)] = loader.make(type) }
        loader.refuseUnknown()
        guard loader.mistakes.isEmpty else { throw ConfigurationErrors(mistakes: loader.mistakes) }
        return Configuration(values: values)
    }
}

/// Puts the sources over one another and keeps count of what was asked for.
private struct Loader {
    private var given: [String: [String: OptionReader.Given]] = [:]
    private var places: [(section: String, name: String, origin: String)] = []
    private var headers: [(section: String, origin: String)] = []
    private let environment: [String: String]
    private var described: [OptionDescription] = []
    private var sections: Set<String> = []
    /// Flags by section and name; they win over the environment, which wins over files.
    private var flagged: [String: [String: OptionReader.Given]] = [:]
    var mistakes: [String] = []

    init(
        sources: [ConfigurationSource], environment: [String: String], flags: [String: String],
        spelling: [String: String]
    ) {
        self.environment = environment
        for source in sources { add(source) }
        for (flag, value) in flags.sorted(by: { $0.key < $1.key }) {
            let parts = flag.split(separator: ".", maxSplits: 1).map(String.init)
            let (section, name) = parts.count == 2 ? (parts[0], parts[1]) : (INI.defaultSection, flag)
            let origin = "--\(spelling[flag] ?? flag)"
            flagged[section, default: [:]][name] = OptionReader.Given(text: value, origin: origin)
            places.append((section, name, origin))
        }
    }

    private mutating func add(_ source: ConfigurationSource) {
        let ini = INI(source.text)
        mistakes += ini.mistakes.map { "\(source.name):\($0.line): \($0.reason)." }
        headers += ini.sections.map { ($0.name, "\(source.name):\($0.line)") }
        var seen: [String: Int] = [:]
        for entry in ini.entries {
            let origin = "\(source.name):\(entry.line)"
            if let line = seen.updateValue(entry.line, forKey: "\(entry.section).\(entry.name)") {
                mistakes.append("\(origin): [\(entry.section)] \(entry.name) was set in line \(line) already.")
            }
            given[entry.section, default: [:]][entry.name] = OptionReader.Given(text: entry.value, origin: origin)
            places.append((entry.section, entry.name, origin))
        }
    }

    mutating func make(_ type: any Options.Type) -> any Options {
        let (files, flags, environment) = (given, flagged, environment)
        var reader = OptionReader(section: type.section) { section, name, variable in
            if let flag = flags[section]?[name] { return flag }
            if let text = environment[variable] { return OptionReader.Given(text: text, origin: variable) }
            return files[section]?[name]
        }
        let options = type.init(&reader)
        // Two parts may read the same option, and then find the same fault with it.
        mistakes += reader.mistakes.filter { !mistakes.contains($0) }
        described += reader.descriptions
        sections.formUnion(reader.descriptions.map(\.section))
        return options
    }

    mutating func refuseUnknown() {
        var names: [String: Set<String>] = [:]
        for option in described { names[option.section, default: []].formUnion([option.name] + option.aliases) }
        for (section, origin) in headers where !sections.contains(section) && section != INI.defaultSection {
            mistakes.append(
                "\(origin): there is no section [\(section)]\(Suggestion.end(section, among: sections.sorted()))")
        }
        for (section, name, origin) in places {
            guard let known = names[section] else {
                // A section of a file was reported at its header.
                if origin.hasPrefix("--") || section == INI.defaultSection {
                    mistakes.append("\(origin): there is no option '\(name)' in [\(section)].")
                }
                continue
            }
            guard !known.contains(name) else { continue }
            mistakes.append(
                "\(origin): there is no option '\(name)' in [\(section)]\(ending(name, section, names))")
        }
        // Scripts and tests have variables of their own with this prefix, so only what looks like an option is one.
        let variables = Set(described.map(\.environment))
        let prefixes = sections.map { OptionReader.environmentName($0, "") }
        for name in environment.keys.sorted() where name.hasPrefix("APUS_") && !variables.contains(name) {
            let near = Suggestion.nearest(name, among: variables.sorted())
            guard near != nil || prefixes.contains(where: name.hasPrefix) else { continue }
            mistakes.append("\(name): no option has this variable" + (near.map { "; did you mean '\($0)'?" } ?? "."))
        }
    }

    /// A near name in the section, or the same name in another one.
    private func ending(_ name: String, _ section: String, _ names: [String: Set<String>]) -> String {
        let others = names.filter { $0.value.contains(name) }.keys.sorted()
        guard others.isEmpty else { return "; it belongs in [\(others.joined(separator: "] or ["))]." }
        return Suggestion.end(name, among: (names[section] ?? []).sorted())
    }
}
