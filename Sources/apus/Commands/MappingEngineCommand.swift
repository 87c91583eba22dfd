// SPDX-License-Identifier: Apache-2.0
import Identity
import Kernel

/// `apus identity mapping_engine`: what a mapping makes of an assertion, without a cloud.
enum MappingEngineCommand {
    static let flags = ["rules", "input", "prefix", "mapping-schema-version"]

    static func run(_ flags: Flags) throws(Fault) {
        guard let rules = flags["rules"], let input = flags["input"] else {
            throw .badRequest("apus identity mapping_engine needs --rules FILE and --input FILE")
        }
        let engine = try MappingEngine(
            text: try FederationFiles.read(rules), version: flags["mapping-schema-version"])
        let assertion = try assertion(
            String(decoding: try FederationFiles.read(input), as: UTF8.self), path: input, prefix: flags["prefix"])
        Terminal.say(try engine.process(assertion).json.text(pretty: true))
    }

    /// `name: value` on each line.
    private static func assertion(
        _ text: String, path: String, prefix: String?
    ) throws(Fault) -> [String: String] {
        var attributes: [String: String] = [:]
        for (number, raw) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let line = String(raw).trimmedOfSpace
            guard !line.isEmpty else { continue }
            let parts = line.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2 else {
                throw .badRequest(
                    "assertion file \(path) at line \(number + 1) expected 'key: value' but found '\(line)'")
            }
            let name = String(parts[0]).trimmedOfSpace
            if let prefix, !name.hasPrefix(prefix) { continue }
            attributes[name] = String(parts[1]).trimmedOfSpace
        }
        return attributes
    }
}
