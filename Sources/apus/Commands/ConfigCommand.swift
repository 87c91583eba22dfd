// SPDX-License-Identifier: Apache-2.0
import Kernel

/// `apus config`: every option with its default, and whether a configuration would be taken.
enum ConfigCommand {
    static func run(_ words: [String]) throws(Fault) {
        switch words.first {
        case "sample" where words.count == 1: Terminal.say(Configuration.sample(Cloud.options))
        case "check": try check(try Flags(Array(words.dropFirst()), known: ["config", "data"]))
        default:
            throw .badRequest(
                "apus config: say apus config sample, or apus config check [--config FILE] [--data DIR]")
        }
    }

    private static func check(_ flags: Flags) throws(Fault) {
        let settings = try UpSettings(flags, data: flags["data"] ?? "/var/lib/apus")
        for warning in try settings.policies(.silent).warnings { Terminal.complain("policy: \(warning)") }
        let read = settings.files.isEmpty ? "no file" : settings.files.joined(separator: ", ")
        Terminal.say("the configuration is valid (\(read), the environment)")
    }
}
