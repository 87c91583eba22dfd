// SPDX-License-Identifier: Apache-2.0
internal import Clients
package import Kernel

/// Makes balancers real: hands over whatever was written and is not applied yet, as it is at that moment, so that the
/// latest write wins and nobody has to wait before writing again. What there is to do stands in the rows alone.
package struct BalancerSync: Sendable {
    let room: LoadBalancerService
    private static let idle: Duration = .seconds(30)
    /// How often a provider may fail before the balancer is shown in ERROR. It is asked again all the same.
    private static let patience = 3
    private static let together = 8

    init(_ room: LoadBalancerService) { self.room = room }

    private var database: Database { room.database }

    /// Runs until cancelled.
    package func run() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.push() }
            group.addTask { await self.watch() }
        }
    }

    private func push() async {
        await note("compare load balancers") { () async throws(Fault) in try await synchronize() }
        while !Task.isCancelled {
            await note("apply load balancer changes") { () async throws(Fault) in
                while try await applyOnce() > 0 {}
            }
            await room.dirty.wait(atMost: await pause(), room.clock)
        }
    }

    private func watch() async {
        while !Task.isCancelled {
            await note("read load balancers' reports") { () async throws(Fault) in try await readReports() }
            try? await room.clock.sleep(room.options.reportInterval)
        }
    }

    private func note(_ what: String, _ deed: @Sendable () async throws(Fault) -> Void) async {
        do throws(Fault) { try await deed() } catch {
            room.log.warning("cannot \(what)", ["error": error.message])
        }
    }

    /// Until the first balancer is to be tried again.
    private func pause() async -> Duration {
        let rows = try? await database.rows(
            "SELECT MIN(retry_at) FROM load_balancer_load_balancers WHERE generation <> applied")
        guard let next = rows?.first?[0].int else { return Self.idle }
        let left = Timestamp(microseconds: Int64(next)) - room.clock.now()
        return min(max(left, .milliseconds(100)), Self.idle)
    }

    /// At the start: everything is handed over once more, and what nobody knows any more is taken away.
    package func synchronize() async throws(Fault) {
        let rows = try await database.all(LoadBalancer.self, "is_leaving = 0")
        let known = Set(rows.map(\.id))
        for provider in room.providers.all {
            await note("look for stray load balancers") { () async throws(Fault) in
                for stray in try await provider.present().subtracting(known) {
                    try await provider.remove(stray)
                }
            }
        }
        try await database.update(
            LoadBalancer.self, set: "applied = -1", where: "is_leaving = 0 AND generation = applied")
        room.dirty.signal()
    }

    /// Hands over what is due; gives how many balancers that were.
    @discardableResult
    package func applyOnce() async throws(Fault) -> Int {
        let due = try await database.all(
            LoadBalancer.self,
            "generation <> applied AND retry_at <= \(room.clock.now()) ORDER BY retry_at, id LIMIT \(Self.together)")
        await withTaskGroup(of: Void.self) { group in
            for row in due { group.addTask { await self.converge(row) } }
        }
        return due.count
    }

    private func converge(_ row: LoadBalancer) async {
        do throws(Fault) {
            if row.isLeaving { try await takeAway(row) } else { try await make(row) }
        } catch {
            room.log.warning(
                "a load balancer could not be applied",
                ["id": row.id, "error": error.message, "attempts": row.attempts + 1])
            await note("record a failure") { () async throws(Fault) in try await fail(row) }
        }
    }

    private func takeAway(_ row: LoadBalancer) async throws(Fault) {
        try await room.providers.provider(row.provider).remove(row.id)
        try await VIPPort(room).release(row, requestID: requestID)
        let id = row.id
        try await database.transaction { transaction throws(Fault) in try LoadBalancer.erase(transaction, id) }
    }

    private func make(_ row: LoadBalancer) async throws(Fault) {
        if row.applied <= 0 { try await VIPPort(room).ensure(row.id, requestID: requestID) }
        guard let fresh = try await database.first(LoadBalancer.self, "id = \(row.id)"), !fresh.isLeaving else {
            return
        }
        let reader = SpecReader(room, requestID: requestID)
        let spec = try await reader.read(fresh)
        let provider = room.providers.provider(fresh.provider)
        // What a process counted that is about to be replaced is not lost.
        await record(provider, fresh.id)
        try await provider.put(spec)
        // Before anything is ACTIVE it is known how it does: clients look at both at once.
        await record(provider, fresh.id)
        try await settle(fresh)
    }

    /// How a balancer is doing; whoever cannot say is asked again soon.
    private func record(_ provider: any LoadBalancerProvider, _ id: String) async {
        do throws(Fault) {
            if let report = try await provider.report(id) { try await ReportWriter(room).write(report, id) }
        } catch {
            room.log.debug("a load balancer did not report", ["id": id, "error": error.message])
        }
    }

    private var requestID: String { "req-" + room.ids.uuid() }

    /// What was busy with this generation is active, and what was leaving is gone. A newer generation stays busy.
    private func settle(_ row: LoadBalancer) async throws(Fault) {
        let now = room.clock.now()
        try await database.transaction { transaction throws(Fault) in
            guard let present = try transaction.first(LoadBalancer.self, "id = \(row.id)"),
                present.generation == row.generation, !present.isLeaving
            else { return }
            let mine: SQL = "load_balancer_id = \(row.id)"
            let leaving: SQL = "\(sql: mine) AND provisioning_status = \(ProvisioningStatus.pendingDelete)"
            try BalancerSync.forget(transaction, row.id, leaving)
            for table in Forest.tables {
                try transaction.execute(
                    """
                    UPDATE \(raw: table) SET provisioning_status = \(ProvisioningStatus.active), \
                    updated_at = \(now) WHERE \(sql: mine) AND provisioning_status <> \(ProvisioningStatus.active)
                    """)
            }
            try transaction.update(
                LoadBalancer.self,
                set: """
                    provisioning_status = \(ProvisioningStatus.active), applied = \(row.generation), attempts = 0, \
                    updated_at = \(now)
                    """, where: "id = \(row.id)")
        }
    }

    /// Takes out what was leaving, and what hangs below it.
    private static func forget(_ transaction: Transaction, _ id: String, _ leaving: SQL) throws(Fault) {
        let pools: SQL = "(SELECT id FROM load_balancer_pools WHERE \(sql: leaving))"
        let listeners: SQL = "(SELECT id FROM load_balancer_listeners WHERE \(sql: leaving))"
        let policies: SQL =
            "(SELECT id FROM load_balancer_l7policies WHERE (\(sql: leaving)) OR listener_id IN \(sql: listeners))"
        let deeds: [(String, SQL)] = [
            (L7Rule.table, "(\(sql: leaving)) OR l7policy_id IN \(sql: policies)"),
            (Member.table, "(\(sql: leaving)) OR pool_id IN \(sql: pools)"),
            (HealthMonitor.table, "(\(sql: leaving)) OR pool_id IN \(sql: pools)"),
        ]
        try transaction.execute(
            "UPDATE load_balancer_listeners SET default_pool_id = NULL WHERE default_pool_id IN \(sql: pools)")
        let unwatched = try transaction.all(HealthMonitor.self, leaving).map(\.poolID)
        try transaction.update(
            Member.self, set: "operating_status = \(OperatingStatus.noMonitor)", where: "pool_id IN \(unwatched)")
        try transaction.execute(
            "DELETE FROM load_balancer_listener_statistics WHERE listener_id IN \(sql: listeners)")
        for (table, condition) in deeds + [
            (L7Policy.table, "(\(sql: leaving)) OR listener_id IN \(sql: listeners)"), (Listener.table, leaving),
            (Pool.table, leaving),
        ] {
            try transaction.execute(
                "DELETE FROM load_balancer_tags WHERE part_id IN (SELECT id FROM \(raw: table) WHERE \(sql: condition))"
            )
            try transaction.execute("DELETE FROM \(raw: table) WHERE \(sql: condition)")
        }
    }

    /// Writes down that it did not work and when to try again; after a few times the client is told.
    private func fail(_ row: LoadBalancer) async throws(Fault) {
        let attempts = row.attempts + 1
        let seconds = min(1 << min(attempts, 6), 60)
        let retry = room.clock.now() + .seconds(seconds)
        try await database.transaction { transaction throws(Fault) in
            let changed = try transaction.update(
                LoadBalancer.self, set: "attempts = \(attempts), retry_at = \(retry)",
                where: "id = \(row.id) AND generation = \(row.generation)")
            guard changed > 0, attempts >= BalancerSync.patience, !row.isLeaving else { return }
            try transaction.update(
                LoadBalancer.self, set: "provisioning_status = \(ProvisioningStatus.error)", where: "id = \(row.id)")
            let busy = [ProvisioningStatus.pendingCreate, .pendingUpdate]
            for table in Forest.tables {
                try transaction.execute(
                    """
                    UPDATE \(raw: table) SET provisioning_status = \(ProvisioningStatus.error) \
                    WHERE load_balancer_id = \(row.id) AND provisioning_status IN \(busy)
                    """)
            }
        }
    }

    // MARK: From the providers

    /// Writes down how balancers are doing; one that is missing where it should be is handed over again.
    package func readReports() async throws(Fault) {
        let rows = try await database.all(LoadBalancer.self, "generation = applied AND is_leaving = 0")
        for row in rows {
            let report: BalancerReport?
            do throws(Fault) { report = try await room.providers.provider(row.provider).report(row.id) } catch {
                room.log.debug("a load balancer did not report", ["id": row.id, "error": error.message])
                continue
            }
            if let report {
                try await ReportWriter(room).write(report, row.id)
            } else {
                try await database.update(
                    LoadBalancer.self, set: "applied = -1", where: "id = \(row.id) AND generation = applied")
                room.dirty.signal()
            }
        }
    }
}

extension Forest {
    /// The tables of what hangs below a balancer.
    static let tables = [
        Listener.table, Pool.table, Member.table, HealthMonitor.table, L7Policy.table, L7Rule.table,
    ]
}
