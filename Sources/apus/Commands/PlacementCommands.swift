// SPDX-License-Identifier: Apache-2.0
import Kernel

/// `apus explain server ID`: why a server is where it is, or nowhere.
enum ExplainCommand {
    static func run(_ words: [String]) async throws(Fault) {
        guard words.count >= 2, words[0] == "server" else {
            throw .badRequest("apus: say what to explain: apus explain server ID [--data DIR]")
        }
        let session = try await CloudSession(try Flags(Array(words.dropFirst(2)), known: CloudSession.flags))
        let id = words[1]
        let server = try await session.call("GET", "/servers/\(id)")["server"] ?? .null
        let told = try await session.call("GET", "/servers/\(id)/placement-explain")["placement_explanation"] ?? .null
        Terminal.say("server   \(server["name"]?.string ?? "") (\(id)), \(server["status"]?.string ?? "")")
        Terminal.say("asked    " + amounts(told["resources"]))
        Terminal.say(
            "decided  \(told["decided_at"]?.string ?? ""), \(told["hosts_considered"]?.integer ?? 0) hosts considered")
        Terminal.say("host     \(told["host"]?.string ?? "none")")
        removed(told)
        ranks(told)
        if let others = told["alternates"]?.array?.compactMap(\.string), !others.isEmpty {
            Terminal.say("else     " + others.joined(separator: ", "))
        }
        if let fault = server["fault"]?["message"]?.string { Terminal.say("fault    " + fault) }
        if let remedy = told["remedy"]?.string, !remedy.isEmpty { Terminal.say("remedy   " + remedy) }
    }

    static func amounts(_ resources: JSON?) -> String {
        (resources?.object ?? JSONObject()).map { "\($0.key) \($0.value.text())" }.sorted().joined(separator: ", ")
    }

    /// What each step left out, and who came nearest.
    static func removed(_ told: JSON) {
        for step in told["removed"]?.array ?? [] {
            let names = (step["examples"]?.array ?? []).compactMap(\.string).joined(separator: ", ")
            Terminal.say(
                "removed  \(step["hosts"]?.integer ?? 0) by \(step["filter"]?.string ?? ""): "
                    + (step["reason"]?.string ?? "") + (names.isEmpty ? "" : " (\(names))"))
        }
        for miss in told["nearest_misses"]?.array ?? [] {
            Terminal.say(
                "nearly   \(miss["host"]?.string ?? ""): \(miss["step"]?.string ?? ""): \(miss["reason"]?.string ?? "")"
            )
        }
    }

    private static func ranks(_ told: JSON) {
        for rank in told["best_hosts"]?.array ?? [] {
            let scores = (rank["scores"]?.object ?? JSONObject()).map { "\($0.key) \(rounded($0.value))" }
            Terminal.say(
                "weighed  \(rank["host"]?.string ?? ""): \(rounded(rank["weight"] ?? 0))"
                    + (scores.isEmpty ? "" : " (\(scores.sorted().joined(separator: ", ")))"))
        }
    }

    private static func rounded(_ value: JSON) -> String {
        let hundredths = ((value.double ?? Double(value.integer ?? 0)) * 100).rounded()
        return "\(hundredths / 100)"
    }
}

/// `apus capacity`: would so many servers fit, where, how many more, and what runs out first.
enum CapacityCommand {
    private static let known = ["data", "flavor", "count", "image", "az", "host", "project", "hint"]

    static func run(_ words: [String]) async throws(Fault) {
        let flags = try Flags(words, known: known)
        guard let name = flags["flavor"] else {
            throw .badRequest(
                "apus: apus capacity --flavor F [--count N] [--image I] [--az ZONE] [--host HOST] [--project ID] "
                    + "[--hint NAME=VALUE[,NAME=VALUE]] [--data DIR]")
        }
        let session = try await CloudSession(flags)
        let flavors = try await session.call("GET", "/flavors/detail?is_public=None")["flavors"]?.array ?? []
        guard let flavor = flavors.first(where: { $0["id"]?.string == name || $0["name"]?.string == name }),
            let id = flavor["id"]
        else { throw .badRequest("apus: there is no flavor '\(name)'") }
        var asked: JSONObject = ["flavorRef": id]
        asked["count"] = .integer(Int64(try flags.integer("count", in: 1...10_000, default: 1)))
        for (flag, member) in [
            ("image", "imageRef"), ("az", "availability_zone"), ("host", "host"), ("project", "project_id"),
        ] {
            if let value = flags[flag] { asked[member] = .string(value) }
        }
        if let text = flags["hint"] { asked["hints"] = .object(hints(text)) }
        let told =
            try await session.call("POST", "/placement-capacity", ["capacity": .object(asked)])["capacity"] ?? .null
        say(told, flavor["name"]?.string ?? name)
        if told["fits"] != true { Terminal.exit(1) }
    }

    private static func hints(_ text: String) -> JSONObject {
        var hints = JSONObject()
        for pair in text.split(separator: ",") {
            let parts = pair.split(separator: "=", maxSplits: 1).map(String.init)
            if parts.count == 2 { hints[parts[0]] = .string(parts[1]) }
        }
        return hints
    }

    private static func say(_ told: JSON, _ flavor: String) {
        let (count, placed) = (told["count"]?.integer ?? 0, told["placed"]?.integer ?? 0)
        let more = told["more"]?.integer ?? 0
        if told["fits"] == true {
            let least = told["more_is_at_least"] == true ? "at least " : ""
            Terminal.say("\(count) of \(flavor) fit, and \(least)\(more) more")
        } else {
            Terminal.say("\(count) of \(flavor) do not fit: there is room for \(placed)")
        }
        Terminal.say("asked    " + ExplainCommand.amounts(told["resources"]) + " each")
        for share in told["hosts"]?.array ?? [] {
            Terminal.say("on       \(share["host"]?.string ?? ""): \(share["servers"]?.integer ?? 0)")
        }
        for item in told["runs_out"]?.array ?? [] {
            Terminal.say("runs out \(item["what"]?.string ?? "") on \(item["hosts"]?.integer ?? 0) hosts")
        }
        ExplainCommand.removed(told)
        if let remedy = told["remedy"]?.string, !remedy.isEmpty { Terminal.say("remedy   " + remedy) }
    }
}

/// `apus audit`: whether servers, guests, allocations and inventories agree; `--fix yes` makes them.
enum AuditCommand {
    static func run(_ words: [String]) async throws(Fault) {
        let isFix = words.contains("--fix")
        if isFix, words.contains("--dry-run") {
            throw .badRequest("apus: --fix mends and --dry-run does not; say one of them")
        }
        let rest = words.filter { $0 != "--fix" && $0 != "--dry-run" }
        let session = try await CloudSession(try Flags(rest, known: CloudSession.flags))
        let told = try await session.call(isFix ? "POST" : "GET", "/placement-audit")["placement_audit"] ?? .null
        for item in told["mended"]?.array ?? [] {
            Terminal.say("\(line(item))\n         \(item["remedy"]?.string ?? ""): \(item["outcome"]?.string ?? "")")
        }
        for item in told["drifts"]?.array ?? [] {
            let remedy = item["remedy"]?.string ?? ""
            Terminal.say(line(item) + "\n         " + (remedy.isEmpty ? "for you to decide" : "would " + remedy))
        }
        let count = told["count"]?.integer ?? 0
        Terminal.say(count == 0 ? "everything agrees" : "\(count) found")
        if count > 0, !isFix { Terminal.say("mend them with: apus audit --fix") }
        let failed = (told["mended"]?.array ?? []).contains { $0["outcome"] != "done" }
        if failed || (count > 0 && !isFix) { Terminal.exit(1) }
    }

    private static func line(_ item: JSON) -> String {
        "\(item["kind"]?.string ?? "")  \(item["subject"]?.string ?? "") on \(item["host"]?.string ?? "")\n"
            + "         \(item["detail"]?.string ?? "")"
    }
}
