// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Limits an operator set for one project or for a class; nil is the configured value, -1 no limit.
struct QuotaRecord: Record {
    static let table = "compute_quotas"

    /// A project's id, a class (`class:default`), or what stands for a user of a project.
    let owner: String
    let resource: String
    let hardLimit: Int

    /// One user of one project, as short as the column wants it.
    static func owner(of user: String, in project: String) -> String {
        "user:" + Digest.hex(.sha224, project + "/" + user)
    }

    static func owner(ofClass name: String) -> String {
        "class:" + (name.utf8.count <= 50 ? name : Digest.hex(.sha224, name))
    }

    static let migrations: [Migration] = [
        """
        2026-11-21 compute quotas
        CREATE TABLE compute_quotas (
            owner VARCHAR(64) NOT NULL, resource VARCHAR(64) NOT NULL, hard_limit INTEGER NOT NULL,
            PRIMARY KEY (owner, resource))
        """
    ]
}

extension QuotaLimits {
    /// The configured value of a resource by Nova's name.
    func configured(_ resource: String) -> Int {
        switch resource {
        case "instances": instances
        case "cores": cores
        case "ram": ram
        case "metadata_items": metadataItems
        case "injected_files": injectedFiles
        case "injected_file_content_bytes": injectedFileContentBytes
        case "injected_file_path_bytes": injectedFilePathLength
        case "key_pairs": keyPairs
        case "server_groups": serverGroups
        case "server_group_members": serverGroupMembers
        default: -1
        }
    }

    /// The limit in force for a project: its own, else the default class's, else the configured one.
    func limit(_ resource: String, _ project: String, _ transaction: Transaction) throws(Fault) -> Int {
        guard driver != .none else { return -1 }
        let set = try transaction.all(
            QuotaRecord.self, "owner IN \([project, "class:default"]) AND resource = \(resource)")
        return (set.first { $0.owner == project } ?? set.first)?.hardLimit ?? configured(resource)
    }

    /// How many of the servers the project may have; a fault when that is fewer than it insists on. Usage is counted
    /// from rows in the transaction that inserts, so it cannot drift.
    func admit(_ servers: [Server], atLeast minimum: Int, _ transaction: Transaction) throws(Fault) -> Int {
        let (project, flavor) = (servers[0].projectID, servers[0].flavor)
        let used = try QuotaUsage.of(project, transaction)
        var most = servers.count
        let wanted = [
            ("instances", used.instances, 1), ("cores", used.cores, flavor.vcpus), ("ram", used.ram, flavor.memoryMiB),
        ]
        for (resource, usage, each) in wanted {
            let limit = try limit(resource, project, transaction)
            guard limit >= 0, each > 0 else { continue }
            let room = max(0, (limit - usage) / each)
            if room < minimum {
                throw .forbidden(
                    "Quota exceeded for \(resource): Requested \(each * minimum), but already used "
                        + "\(usage) of \(limit) \(resource)"
                )
            }
            most = min(most, room)
        }
        most = min(most, try admitUser(servers, atLeast: minimum, transaction))
        let items = try limit("metadata_items", project, transaction)
        if items >= 0, servers[0].metadata.count > items {
            throw .forbidden("Quota exceeded, too many metadata items: at most \(items)")
        }
        return most
    }
}

extension QuotaLimits {
    /// The same for the user, where limits were set for that one alone.
    private func admitUser(
        _ servers: [Server], atLeast minimum: Int, _ transaction: Transaction
    ) throws(Fault) -> Int {
        let (project, user, flavor) = (servers[0].projectID, servers[0].userID, servers[0].flavor)
        guard driver != .none else { return servers.count }
        let owner = QuotaRecord.owner(of: user, in: project)
        let set = try transaction.all(QuotaRecord.self, "owner = \(owner)")
        guard !set.isEmpty else { return servers.count }
        let used = try QuotaUsage.of(project, user: user, transaction)
        let wanted = [
            "instances": (used.instances, 1), "cores": (used.cores, flavor.vcpus), "ram": (used.ram, flavor.memoryMiB),
        ]
        var most = servers.count
        for record in set where record.hardLimit >= 0 {
            guard let (usage, each) = wanted[record.resource], each > 0 else { continue }
            let room = max(0, (record.hardLimit - usage) / each)
            guard room >= minimum else {
                throw .forbidden(
                    "Quota exceeded for \(record.resource): Requested \(each * minimum), but already used \(usage) of "
                        + "\(record.hardLimit) \(record.resource)")
            }
            most = min(most, room)
        }
        return most
    }
}

/// What a project has now, counted from rows.
struct QuotaUsage: Sendable {
    let instances: Int
    let cores: Int
    let ram: Int

    static func of(
        _ project: String, user: String? = nil, _ transaction: Transaction
    ) throws(Fault) -> QuotaUsage {
        let some: SQL = user.map { " AND user_id = \($0)" } ?? ""
        let row = try transaction.rows(
            """
            SELECT COUNT(*) AS instances, COALESCE(SUM(vcpus), 0) AS cores, COALESCE(SUM(memory_mb), 0) AS ram
            FROM compute_servers
            WHERE project_id = \(project) AND deleted_at IS NULL AND vm_state <> 'soft-delete'
            """ + some
        ).first
        return QuotaUsage(
            instances: row?.int("instances") ?? 0, cores: row?.int("cores") ?? 0, ram: row?.int("ram") ?? 0)
    }
}
