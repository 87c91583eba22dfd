// SPDX-License-Identifier: Apache-2.0
import Glibc
import Identity
import Kernel

/// What a verb of `apus identity` works on: the settings of a data directory, its keys, and its database when asked.
struct IdentityTask: Sendable {
    let flags: Flags
    let settings: UpSettings
    let ids = RandomIdentifiers()
    let clock = MachineClock()

    init(_ flags: Flags) throws(Fault) {
        self.flags = flags
        settings = try UpSettings(flags, data: flags["data"] ?? "/var/lib/apus")
    }

    var options: IdentityOptions { settings.configuration[IdentityOptions.self] }
    var places: KeyPlaces { KeyPlaces(directory: settings.data + "/keys/fernet", options.tokens) }

    /// The database, in the form that this program needs; made when it is missing.
    func database() async throws(Fault) -> Database {
        try FileSystem.makeDirectory(settings.data)
        let database = try Database.sqlite(path: settings.databasePath, clock: clock)
        try await database.migrate(Cloud.migrations)
        return database
    }

    func administration() async throws(Fault) -> IdentityAdministration {
        let keys = try IdentityKeys(places, ids: ids)
        return IdentityAdministration(database: try await database(), keys: keys, options: options, clock: clock)
    }

    /// For what needs neither keys nor, without one, a database.
    func administration(on database: Database?) -> IdentityAdministration {
        IdentityAdministration(database: database, keys: nil, options: options, clock: clock)
    }

    /// A cloud that runs on the directory is told that something has changed.
    func tellCloud() {
        guard let text = FileSystem.text(settings.data + "/apus.lock")?.trimmedOfSpace, let pid = Int32(text), pid > 1,
            isHeld(settings.data + "/apus.lock")
        else { return }
        kill(pid, SIGHUP)
    }

    /// The number in the file is a running cloud's only while the file is locked.
    private func isHeld(_ path: String) -> Bool {
        let file = open(path, O_RDWR | O_CLOEXEC)
        guard file >= 0 else { return false }
        defer { close(file) }
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else { return true }
        flock(file, LOCK_UN)
        return false
    }

    /// `DD-MM-YYYY`; now without one.
    func date(_ name: String) throws(Fault) -> Timestamp {
        guard let text = flags[name] else { return clock.now() }
        let parts = text.split(separator: "-").map(String.init)
        guard parts.count == 3, let time = Timestamp("\(parts[2])-\(parts[1])-\(parts[0])") else {
            throw .badRequest("apus identity: '\(text)' is no date; it should be DD-MM-YYYY")
        }
        return time
    }

    // MARK: The database's form

    /// The changes of Identity's tables that were made to the database, the last one last.
    func applied() async throws(Fault) -> [String] {
        guard FileSystem.exists(settings.databasePath) else { return [] }
        let database = try Database.sqlite(path: settings.databasePath, clock: clock)
        let known = Set(try await database.migrationsApplied())
        return IdentityService.index.migrations.map(\.name).filter(known.contains)
    }

    func syncDatabase() async throws(Fault) {
        let known = IdentityService.index.migrations.map(\.name)
        let missing = Set(known).subtracting(try await applied())
        if flags["check"] != nil {
            guard missing.isEmpty else {
                Terminal.say("the database lacks \(missing.count) changes; apus identity db_sync makes them")
                Terminal.exit(2)
            }
            return Terminal.say("the database is as this program needs it")
        }
        // A release only adds to what is there, so there is nothing to take apart afterwards, and no data to move.
        if flags["migrate"] != nil || flags["contract"] != nil {
            return Terminal.say("nothing to do: the database changes in one step (--expand)")
        }
        await (try await database()).close()
        Terminal.say("\(missing.count) changes made")
    }
}

/// `apus identity bootstrap`.
struct BootstrapVerb {
    private let task: IdentityTask

    init(_ task: IdentityTask) { self.task = task }

    /// The environment's word counts before the flag's, as `keystone-manage` has it.
    private func word(_ name: String) -> String? {
        let variable = "OS_" + name.uppercased().replacing("-", with: "_")
        return Environment.variable(variable).flatMap { $0.isEmpty ? nil : $0 } ?? task.flags[name]
    }

    func run() async throws(Fault) {
        guard let password = word("bootstrap-password") else {
            throw .badRequest("Either --bootstrap-password argument or OS_BOOTSTRAP_PASSWORD must be set.")
        }
        let urls = [
            "admin": word("bootstrap-admin-url"), "public": word("bootstrap-public-url"),
            "internal": word("bootstrap-internal-url"),
        ].compactMapValues(\.self)
        let names = Bootstrap.Names(
            user: word("bootstrap-username") ?? "admin", project: word("bootstrap-project-name") ?? "admin",
            role: word("bootstrap-role-name") ?? "admin", service: word("bootstrap-service-name") ?? "keystone",
            locksRoles: task.flags["no-immutable-roles"] == nil, resetsPassword: true)
        let service = IdentityService(
            database: try await task.database(), clock: task.clock, ids: task.ids, log: .silent,
            pool: BlockingPool(name: "passwords", threads: 1, queue: 1),
            keys: try IdentityKeys(task.places, ids: task.ids), options: task.options)
        try await Bootstrap.run(
            service, password: password, services: urls.isEmpty ? [] : [IdentityService.index],
            region: word("bootstrap-region-id") ?? "RegionOne", names: names, ids: task.ids, clock: task.clock,
            address: { _, interface in urls[interface] })
        task.tellCloud()
        Terminal.say("\(names.user) has the role \(names.role) on the project \(names.project) and on the system")
    }
}
