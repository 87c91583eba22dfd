// SPDX-License-Identifier: Apache-2.0

/// Names that say nothing, and what to say instead.
enum NameRules {
    /// As a word of a type's name.
    static let words: [String: String] = [
        "Manager": "say what it does (Scheduler, Pool, Registrar) or give the work to the value itself",
        "Helper": "put the function beside the noun it helps, as an extension",
        "Helpers": "put each function beside the noun it helps, as an extension",
        "Util": "put the function beside the noun it is about, as an extension",
        "Utils": "put each function beside the noun it is about, as an extension",
        "Utility": "put the function beside the noun it is about, as an extension",
        "Common": "name what its users have in common",
        "Misc": "give each thing its own file and name",
        "Impl": "name the implementation by what is special in it (FileStore, FakeHypervisor)",
        "Info": "name what it tells (Description, Usage, Capacity)",
        "Data": "name what it holds (Row, Payload, Bytes, Record)",
    ]
    /// As the first word of a type's name.
    static let prefixes: [String: String] = [
        "Base": "there is no inheritance to prepare for: use a protocol, or name the noun",
        "Abstract": "there is no inheritance to prepare for: use a protocol, or name the noun",
    ]
    static let files = ["Util", "Utils", "Utilities", "Common", "Helper", "Helpers", "Misc", "Types"]

    static func types(_ source: SourceText) -> [Finding] {
        ["struct ", "class ", "enum ", "actor ", "protocol ", "typealias "].flatMap { keyword in
            source.places(of: keyword).compactMap { place in
                let name = source.name(at: place + keyword.utf8.count)
                guard name.first?.isUppercase == true, Allowed.names[name] == nil else { return nil }
                let parts = split(name)
                let bad = parts.lazy.compactMap { part in words[part].map { (part, $0) } }.first
                let first = parts.count > 1 ? prefixes[parts[0]].map { (parts[0], $0) } : nil
                guard let (word, advice) = bad ?? first else { return nil }
                return Finding(source, source.line(at: place), "'\(name)': '\(word)' says nothing; \(advice).")
            }
        }
    }

    static func fileNames(_ source: SourceText) -> [Finding] {
        let stem = String(source.fileName.dropLast(".swift".count))
        guard files.contains(stem) || files.contains(where: { split(stem).last == $0 && $0 != "Types" }) else {
            return []
        }
        return [Finding(source, 1, "a file is named after the noun or the topic it holds, not '\(stem)'.")]
    }

    /// `HTTPServerInfo` is HTTP, Server, Info; digits belong to the word before them.
    static func split(_ name: String) -> [String] {
        var parts: [String] = []
        let letters = Array(name)
        for (place, letter) in letters.enumerated() {
            let before = place > 0 ? letters[place - 1] : nil
            let after = place + 1 < letters.count ? letters[place + 1] : nil
            let starts = letter.isUppercase && (before?.isUppercase != true || after?.isLowercase == true)
            if parts.isEmpty || starts { parts.append(String(letter)) } else { parts[parts.count - 1].append(letter) }
        }
        return parts
    }
}
