// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Documents generated from the code: they cannot say anything else than what it does.
enum Reference {
    static func policy(_ words: [String]) throws(Fault) {
        if words.first == "matrix" { return try matrix(try Flags(Array(words.dropFirst()), known: ["service"])) }
        guard words == ["sample"] else {
            throw .badRequest("apus policy: say apus policy sample, or apus policy matrix [--service TYPE]")
        }
        for index in Cloud.indexes {
            Terminal.say("# \(index.title) (\(index.name))\n")
            Terminal.say(Policy.sample(index.rules))
        }
    }

    /// Who may do what by default, as a table with tabs between its columns.
    private static func matrix(_ flags: Flags) throws(Fault) {
        let type = try flags.choice("service", ["all"] + Cloud.indexes.map(\.type))
        for index in Cloud.indexes where type == "all" || index.type == type {
            do throws(PolicyMistakes) {
                let policy = try Policy(index.rules)
                Terminal.say(PolicyMatrix(index, under: policy, personas: PolicyPersonas.all).text)
            } catch {
                throw .internalError("the rules of \(index.type): \(error)")
            }
        }
    }

    static func api(_ words: [String]) throws(Fault) {
        guard words == ["reference"] else { throw .badRequest("apus api: say apus api reference") }
        Terminal.say("# API reference\n\nGenerated from the route tables by `apus api reference`.")
        for index in Cloud.indexes {
            Terminal.say("\n## \(index.title) (\(index.name)), port \(index.port), also under `\(index.mount)`\n")
            Terminal.say("| call | what it does | rule | status |\n| --- | --- | --- | --- |")
            for route in index.routes { Terminal.say(line(route, index)) }
        }
    }

    private static func line(_ route: Route, _ index: ServiceIndex) -> String {
        let path = route.path.hasPrefix("//") ? String(route.path.dropFirst()) : index.base + route.path
        let call = "`\(route.method) \(path)`" + (route.action.map { " `\($0)`" } ?? "")
        let versions = (route.since.map { " (since \($0))" } ?? "") + (route.until.map { " (until \($0))" } ?? "")
        let rule = route.isOpen ? "open" : "`\(index.ruleName(route.ruleName))`"
        let statuses = route.status.all.map(String.init).joined(separator: ", ")
        return "| \(call) | \(route.summary)\(versions) | \(rule) | \(statuses) |"
    }
}
