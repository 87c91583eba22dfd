// SPDX-License-Identifier: Apache-2.0

// What can be configured, told by the declarations themselves.
extension Configuration {
    /// All options of the given types, each once, with the defaults of this machine's build.
    package static func describe(_ known: [any Options.Type]) -> [OptionDescription] {
        var all: [OptionDescription] = []
        for type in known {
            var reader = OptionReader(section: type.section) { _, _, _ in nil }
            _ = type.init(&reader)
            all += reader.descriptions.filter { new in
                !all.contains { $0.section == new.section && $0.name == new.name }
            }
        }
        return all
    }

    /// A file that holds every option at its default, commented out, with its sentence.
    package static func sample(_ known: [any Options.Type]) -> String {
        let all = describe(known)
        var sections: [String] = []
        for option in all where !sections.contains(option.section) { sections.append(option.section) }
        // As upstream's samples have it, the section without a header's need comes first.
        sections.sort { left, right in left == INI.defaultSection && right != INI.defaultSection }
        return sections.map { section in
            let options = all.filter { $0.section == section }.map(entry)
            return (["[\(section)]\n"] + options).joined(separator: "\n")
        }.joined(separator: "\n")
    }

    private static func entry(_ option: OptionDescription) -> String {
        let about = "\(option.help) (\(option.type); \(option.environment))"
        let lines = wrap(about, at: 100).map { "# \($0)" }
        let value = option.standard ?? "<none>"
        return (lines + ["#\(option.name) = \(value)"]).joined(separator: "\n") + "\n"
    }

    private static func wrap(_ text: String, at width: Int) -> [String] {
        var lines: [String] = [""]
        for word in text.split(separator: " ") {
            let last = lines[lines.count - 1]
            if last.isEmpty {
                lines[lines.count - 1] = String(word)
            } else if last.count + word.count < width {
                lines[lines.count - 1] = "\(last) \(word)"
            } else {
                lines.append(String(word))
            }
        }
        return lines
    }
}
