// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Whose limits a project is held to while a request is judged: Compute's own, Identity's, or nobody's. Identity is
/// asked before the transaction; what is used is counted in it, so that of two who ask for the last one is refused.
struct Quota: Sendable {
    let options: QuotaLimits
    /// Nil when limits are Compute's own.
    let unified: UnifiedLimits?

    /// Refuses more of a resource than a project may have of it.
    /// - Parameters:
    ///   - resource: Nova's own name: `key_pairs`.
    ///   - fault: the refusal where limits are Compute's own.
    func require(
        _ resource: String, used: Int, more: Int, of project: String, _ transaction: Transaction,
        or fault: @autoclosure () -> Fault
    ) throws(Fault) {
        if let unified {
            let name = UnifiedLimits.names[resource] ?? resource
            // Of these, projects have no limits of their own.
            return try unified.require([(name, used, more)], project: nil)
        }
        let limit = try options.limit(resource, project, transaction)
        guard limit < 0 || used + more <= limit else { throw fault() }
    }

    /// How many of the servers the project may have; a fault when that is fewer than it insists on.
    func admit(_ servers: [Server], atLeast minimum: Int, _ transaction: Transaction) throws(Fault) -> Int {
        guard let unified else { return try options.admit(servers, atLeast: minimum, transaction) }
        let project = servers[0].projectID
        try require(
            "metadata_items", used: 0, more: servers[0].metadata.count, of: project, transaction,
            or: .forbidden("Maximum number of metadata items exceeded"))
        let used = try UnifiedLimits.used(project, unified.pci, transaction)
        let each = servers[0].amounts(unified.pci)
        var count = servers.count
        while true {
            do throws(Fault) {
                try unified.require(UnifiedLimits.changes(used, each, count, servers: count), project: project)
                return count
            } catch {
                guard count > minimum else { throw error }
                count -= 1
            }
        }
    }

    /// Refuses a size that takes the project over its limits. As long as a resize is not confirmed both sizes are held.
    func admit(
        from server: Server, to flavor: FlavorSnapshot, _ transaction: Transaction
    ) throws(Fault) {
        guard let unified else {
            return try options.admit(from: server.flavor, to: flavor, of: server.projectID, transaction)
        }
        var resized = server
        resized.flavor = flavor
        let used = try UnifiedLimits.used(server.projectID, unified.pci, transaction)
        let each = resized.amounts(unified.pci)
        try unified.require(UnifiedLimits.changes(used, each, 1, servers: 0), project: server.projectID)
    }

    /// What a project is told that it may have, by Nova's own names; nil where Compute's own limits say it.
    func limits(_ names: [String], isDefault: Bool) -> [(name: String, limit: Int)]? {
        guard let unified else { return nil }
        return names.map { ($0, unified.shown($0, isDefault: isDefault)) }
    }
}

/// Identity's limits on Compute's resources, under upstream's names (nova/limit).
struct UnifiedLimits: Sendable {
    /// What everybody may have, and what the project may have instead.
    let registered: [String: Int]
    let own: [String: Int]
    let options: QuotaLimits
    /// Devices that flavors ask for count where Placement counts them.
    let pci: PCIOptions

    /// Upstream's names of what Nova itself calls otherwise.
    static let names = [
        "instances": "servers", "cores": "class:VCPU", "ram": "class:MEMORY_MB",
        "metadata_items": "server_metadata_items", "injected_files": "server_injected_files",
        "injected_file_content_bytes": "server_injected_file_content_bytes",
        "injected_file_path_bytes": "server_injected_file_path_bytes", "key_pairs": "server_key_pairs",
        "server_groups": "server_groups", "server_group_members": "server_group_members",
    ]
    private static let ofProjects: Set<String> = ["instances", "cores", "ram"]

    /// What nobody has set a limit on is shown as none at all, as upstream shows it.
    fileprivate func shown(_ resource: String, isDefault: Bool) -> Int {
        guard let name = Self.names[resource] else { return -1 }
        let mine = isDefault || !Self.ofProjects.contains(resource) ? nil : own[name]
        return mine ?? registered[name] ?? 0
    }

    /// Refuses what takes a project over its limits (nova/limit/utils.py, `should_enforce`).
    /// - Parameter project: nil for what is limited for everybody alike.
    func require(_ changes: [(name: String, used: Int, more: Int)], project: String?) throws(Fault) {
        var (over, limits): ([String], [(name: String, limit: Int)]) = ([], [])
        for change in changes {
            let limit = (project == nil ? nil : own[change.name]) ?? registered[change.name] ?? 0
            guard change.used + change.more > limit else { continue }
            limits.append((change.name, limit))
            over.append(
                "Resource \(change.name) is over limit of \(limit) due to current usage \(change.used) and delta "
                    + "\(change.more)")
        }
        guard isEnforced(limits) else { return }
        throw .forbidden("Project \(project ?? "None") is over a limit for [\(over.joined(separator: ", "))]")
    }

    private func isEnforced(_ over: [(name: String, limit: Int)]) -> Bool {
        if over.contains(where: { $0.limit > 0 }) { return true }
        // Below zero is any number; at zero it may be that nobody has set a limit.
        let candidates = over.filter { $0.limit == 0 }.map(\.name)
        if candidates.contains(where: { registered[$0] != nil }) { return true }
        let listed = Set(options.unifiedResources)
        return candidates.contains { options.requiresListed ? listed.contains($0) : !listed.contains($0) }
    }

    /// - Parameter servers: how many there are more of, which a resize does not change.
    static func changes(
        _ used: [String: Int], _ each: [String: Int], _ count: Int, servers: Int
    ) -> [(name: String, used: Int, more: Int)] {
        [("servers", used["servers"] ?? 0, servers)]
            + each.sorted { $0.key < $1.key }.map {
                ("class:" + $0.key, used["class:" + $0.key] ?? 0, $0.value * count)
            }
    }

    /// What a project has now, by upstream's names, counted from rows: what its servers hold of hosts, and what moves
    /// hold besides.
    static func used(
        _ project: String, _ pci: PCIOptions, _ transaction: Transaction
    ) throws(Fault) -> [String: Int] {
        let servers = try transaction.all(
            Server.self, "project_id = \(project) AND deleted_at IS NULL AND vm_state <> 'soft-delete'")
        var used = ["servers": servers.count]
        func add(_ server: Server) {
            for (name, amount) in server.amounts(pci) { used["class:" + name, default: 0] += amount }
        }
        var byID: [String: Server] = [:]
        for server in servers where server.holdsResources {
            byID[server.id] = server
            add(server)
        }
        let closed = ServerMigration.Status.closed.map(\.rawValue) + ["done"]
        for move in try transaction.all(ServerMigration.self, "project_id = \(project) AND status NOT IN \(closed)") {
            guard var server = byID[move.serverID], move.kind != .evacuation else { continue }
            server.flavor = server.flavor == move.newFlavor ? move.oldFlavor : move.newFlavor
            add(server)
        }
        return used
    }
}

extension Server {
    /// What it asks of Placement. A name of devices that stands for nothing any more asks for nothing.
    fileprivate func amounts(_ pci: PCIOptions) -> [String: Int] {
        var request = ResourceRequest(
            flavor, image: imageProperties, isVolumeBacked: scheduling.isVolumeBacked ?? false)
        if pci.isInPlacement, let devices = try? PCIRequest.all(flavor.extraSpecs, pci) { request.add(devices) }
        return request.amounts
    }

    /// Whether it is on a host or on its way to one.
    fileprivate var holdsResources: Bool {
        host != nil || (vmState != .shelvedOffloaded && vmState != .error)
    }
}

extension ComputeService {
    /// What holds for a project; nobody's limits are asked for where there are none.
    func quota(of project: String, requestID: String) async throws(Fault) -> Quota {
        guard options.quota.driver == .unified else { return Quota(options: options.quota, unified: nil) }
        let (registered, own) = try await unifiedLimits.parts(project: project, requestID: requestID)
        return Quota(
            options: options.quota,
            unified: UnifiedLimits(registered: registered, own: own, options: options.quota, pci: options.pci))
    }
}

extension Request {
    /// What holds for the caller's project.
    func quota() async throws(Fault) -> Quota {
        try await compute.quota(of: caller.projectID ?? "", requestID: id)
    }
}
