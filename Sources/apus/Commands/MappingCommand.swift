// SPDX-License-Identifier: Apache-2.0
import Identity
import IdentityLDAP
import Kernel

/// `apus identity mapping_populate` and `mapping_purge`: the ids of directories' users and groups, made beforehand or
/// forgotten. Both may run beside the cloud.
enum MappingCommand {
    private static let place = ["data", "config"]
    private static let selection = ["domain-name", "public-id", "local-id", "type"]

    static func populate(_ words: [String]) async throws(Fault) {
        let flags = try Flags(words, known: place + ["domain-name"])
        guard let name = flags["domain-name"] else {
            throw .badRequest("apus identity mapping_populate needs --data DIR and --domain-name NAME")
        }
        let (upkeep, database) = try open(flags)
        let made = try await upkeep.populate(domainName: name)
        Terminal.say("\(made.users) users and \(made.groups) groups of \(name) have ids")
        await database.close()
    }

    static func purge(_ words: [String]) async throws(Fault) {
        let flags = try Flags(words.filter { $0 != "--all" }, known: place + selection)
        let isAll = words.contains("--all")
        let isSelected = selection.contains { flags[$0] != nil }
        guard isAll || isSelected else { throw .badRequest("At least one option must be provided") }
        guard !isAll || !isSelected else { throw .badRequest("--all option cannot be mixed with other options") }
        var chosen = MappingUpkeep.Selection()
        chosen.domainName = flags["domain-name"]
        chosen.publicID = flags["public-id"]
        chosen.localID = flags["local-id"]
        chosen.type = flags["type"]
        let (upkeep, database) = try open(flags)
        Terminal.say("\(try await upkeep.purge(chosen)) ids forgotten")
        await database.close()
    }

    private static func open(_ flags: Flags) throws(Fault) -> (MappingUpkeep, Database) {
        let settings = try UpSettings(flags)
        guard FileSystem.exists(settings.databasePath) else {
            throw .notFound("there is no cloud in \(settings.data): apus up makes one")
        }
        let (clock, ids) = (MachineClock(), RandomIdentifiers())
        let log = Log(sink: .stderr, level: .warning, clock: clock)
        let database = try Database.sqlite(path: settings.databasePath, log: log)
        let options = settings.configuration[IdentityOptions.self]
        let identity = try IdentityService(
            database: database, clock: clock, ids: ids, log: log,
            pool: BlockingPool(name: "passwords", threads: 1, queue: 1), keyDirectory: settings.data + "/keys/fernet",
            options: options, domainFiles: Rooms.domainFiles(options.domains),
            directories: LDAPOpener(
                settings.configuration[LDAPOptions.self], chance: ids, clock: clock, log: log))
        return (MappingUpkeep(identity), database)
    }
}
