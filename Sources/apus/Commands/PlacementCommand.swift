// SPDX-License-Identifier: Apache-2.0
import Kernel
import Placement

/// `apus placement`: what placement-manage and placement-status do, with their output and exit statuses.
enum PlacementCommand {
    private static let usage = """
        apus placement: say
          apus placement db sync --data DIR
          apus placement db version --data DIR
          apus placement db stamp VERSION --data DIR
          apus placement db online_data_migrations [--max-count N] --data DIR
          apus placement upgrade check --data DIR
        (--config FILE names another configuration than DIR/apus.conf)
        """

    static func run(_ words: [String]) async throws(Fault) {
        let verb = words.prefix(2).joined(separator: " ")
        let rest = Array(words.dropFirst(2))
        switch verb {
        case "db sync": _ = try await database(try Flags(rest, known: ["data", "config"]), sync: true)
        case "db version": try await version(try Flags(rest, known: ["data", "config"]))
        case "db stamp": try await stamp(rest)
        case "db online_data_migrations": try await migrate(rest)
        case "upgrade check": try await check(try Flags(rest, known: ["data", "config"]))
        default: throw .badRequest(usage)
        }
    }

    /// The cloud's database, whether the cloud runs or not; brought up to date when asked to.
    private static func database(_ flags: Flags, sync: Bool = false) async throws(Fault) -> Database {
        let settings = try UpSettings(flags)
        if sync { try FileSystem.makeDirectory(settings.data, mode: 0o755) }
        guard sync || FileSystem.exists(settings.databasePath) else {
            throw .notFound("there is no database \(settings.databasePath); apus placement db sync makes one")
        }
        let database = try Database.sqlite(path: settings.databasePath)
        if sync { try await database.migrate(Cloud.migrations) }
        return database
    }

    private static func version(_ flags: Flags) async throws(Fault) {
        let known = Set(try await database(flags).migrationsApplied())
        let applied = PlacementService.index.migrations.map(\.name).filter(known.contains)
        Terminal.say(applied.last ?? "None")
    }

    private static func stamp(_ words: [String]) async throws(Fault) {
        guard let name = words.first, !name.hasPrefix("--") else { throw .badRequest(usage) }
        let flags = try Flags(Array(words.dropFirst()), known: ["data", "config"])
        let steps = PlacementService.index.migrations
        let last = name == "head" ? steps.indices.last : steps.firstIndex { $0.name == name }
        guard let last else {
            throw .badRequest(
                "there is no version '\(name)'; they are:\n" + steps.map { "  " + $0.name }.joined(separator: "\n"))
        }
        try await database(flags).stamp(Array(steps[...last]))
    }

    private static func migrate(_ words: [String]) async throws(Fault) {
        let flags = try Flags(words, known: ["data", "config", "max-count"])
        let asked = flags["max-count"]
        if let asked, Int(asked).map({ $0 < 1 }) ?? true {
            Terminal.say("Must supply a positive value for max_count")
            Terminal.exit(127)
        }
        let database = try await database(flags)
        if asked == nil { Terminal.say("Running batches of 50 until complete") }
        var totals: [(name: String, found: Int, done: Int)] = []
        var ran = 0
        repeat {
            ran = 0
            let most = asked.flatMap(Int.init) ?? 50
            for step in Upkeep.migrations where ran < most {
                let (found, done) = try await step.run(database, most - ran)
                if found > 0 { Terminal.say("\(found) rows matched query \(step.name), \(done) migrated") }
                if let at = totals.firstIndex(where: { $0.name == step.name }) {
                    totals[at].found += found
                    totals[at].done += done
                } else {
                    totals.append((step.name, found, done))
                }
                ran += done
            }
        } while ran > 0 && asked == nil
        Terminal.say(
            table(["Migration", "Total Found", "Completed"], totals.map { [$0.name, "\($0.found)", "\($0.done)"] }))
        if ran > 0 { Terminal.exit(1) }
    }

    private static func check(_ flags: Flags) async throws(Fault) {
        let settings = try UpSettings(flags)
        let database = try await database(flags)
        var results = try await Upkeep.checks(database)
        let isOld = FileSystem.exists(settings.data + "/policy.json")
        results.append(
            Upkeep.Result(
                "Policy File JSON to YAML Migration", isOld ? .failure : .success,
                isOld ? "Your policy file is JSON-formatted which is deprecated. Write it as policy.yaml." : nil))
        let lines = results.map { result in
            ["Check: \(result.check)", "Result: \(result.code.word)", "Details: \(result.details ?? "None")"]
        }
        let width = (lines.flatMap { $0 } + ["Upgrade Check Results"]).map(\.count).max() ?? 0
        let rule = "+" + String(repeating: "-", count: width + 2) + "+"
        Terminal.say(rule)
        for part in [["Upgrade Check Results"]] + lines {
            for line in part { Terminal.say("| " + line.padded(width) + " |") }
            Terminal.say(rule)
        }
        Terminal.exit(Int32(results.map(\.code.rawValue).max() ?? 0))
    }

    /// A table as operators know it: names centred, a line between and around.
    private static func table(_ titles: [String], _ rows: [[String]]) -> String {
        let widths = titles.indices.map { at in ([titles] + rows).map { $0[at].count }.max() ?? 0 }
        let rule = "+" + widths.map { String(repeating: "-", count: $0 + 2) }.joined(separator: "+") + "+"
        func line(_ cells: [String]) -> String {
            "|" + zip(cells, widths).map { " " + centred($0, $1) + " " }.joined(separator: "|") + "|"
        }
        return ([rule, line(titles), rule] + rows.map(line) + [rule]).joined(separator: "\n")
    }

    private static func centred(_ text: String, _ width: Int) -> String {
        let left = (width - text.count) / 2
        return (String(repeating: " ", count: left) + text).padded(width)
    }
}
