// SPDX-License-Identifier: Apache-2.0
import Kernel

/// All members of a pool at once: those named are made or changed, the others leave unless the batch only adds.
enum MemberBatch {
    /// A member of the batch: what it would be as a new one, and what it says about one that is there.
    private struct Entry: Sendable {
        let draft: MemberDraft
        let change: Body
    }

    static func update(_ request: Request, _ named: Around<Pool>) async throws(Fault) -> Reply {
        let onlyAdds = try request.flag("additive_only") ?? false
        for rule in ["member:post"] + (onlyAdds ? [] : ["member:delete"]) where !request.may(rule, on: named) {
            throw .policyForbidden
        }
        let entries = try read(request)
        let pool = named.part
        let known = Set(
            try await request.database.all(Member.self, "pool_id = \(pool.id)")
                .map { Key($0) })
        let balancer = try await Drafted<MemberDraft>.load(request, pool.loadBalancerID)
        for entry in entries where !known.contains(Key(entry.draft.template)) {
            try await entry.draft.lookUp(request, balancer)
        }
        try await request.database.transaction { transaction throws(Fault) in
            try apply(entries, onlyAdds, pool, balancer, transaction, request)
        }
        return .empty
    }

    private struct Key: Hashable {
        let address: String, port: Int
        init(_ member: Member) {
            address = member.address
            port = member.protocolPort
        }
    }

    private static func read(_ request: Request) throws(Fault) -> [Entry] {
        guard let outer = request.json?.object, case .array(let items)? = outer["members"] else {
            throw .badRequest("Invalid input for field/attribute members. Value: 'None'. Mandatory field missing.")
        }
        return try items.mapping { item throws(Fault) in
            guard let object = item.object else {
                throw .badRequest(
                    "Invalid input for field/attribute members. Value: '\(item.bare)'. It is not a member.")
            }
            var body = Body(object, path: "members", request: request)
            body.ignore("project_id", "tenant_id")
            var change = body
            change.ignore("address", "protocol_port", "subnet_id", "request_sriov")
            return Entry(draft: try MemberDraft(&body, "members_.members"), change: change)
        }
    }

    private static func apply(
        _ entries: [Entry], _ onlyAdds: Bool, _ pool: Pool, _ balancer: LoadBalancer, _ transaction: Transaction,
        _ request: Request
    ) throws(Fault) {
        let staying = try transaction.all(
            Member.self, "pool_id = \(pool.id) AND provisioning_status <> \(ProvisioningStatus.pendingDelete)")
        let byKey = Dictionary(staying.map { (Key($0), $0) }) { first, _ in first }
        let asked = Set(entries.map { Key($0.draft.template) })
        guard asked.count == entries.count else {
            throw .validation("Member must be updated only once in the same request.")
        }
        let leaving = onlyAdds ? [] : staying.filter { !asked.contains(Key($0)) }
        guard !(entries.isEmpty && leaving.isEmpty) else { return }
        let new = entries.filter { byKey[Key($0.draft.template)] == nil }
        let more = new.count - leaving.count
        if more > 0 { try Quotas.require(Member.self, pool.projectID, transaction, request, adding: more) }
        let isWatched = try transaction.count(HealthMonitor.self, "pool_id = \(pool.id)") > 0
        for entry in new {
            try entry.draft.insert(
                transaction, id: request.ids.uuid(), pool, isWatched: isWatched, balancer, request)
        }
        for entry in entries {
            guard var row = byKey[Key(entry.draft.template)] else { continue }
            var change = entry.change
            try MemberDraft.read(&change, &row)
            if row.provisioningStatus != .pendingCreate { row.provisioningStatus = .pendingUpdate }
            row.updatedAt = request.now
            try transaction.replace(row, where: "id = \(row.id)", or: Member.notFound(row.id))
            try PartTag.set(transaction, row.id, row.tags)
        }
        for row in leaving {
            try transaction.update(
                Member.self, set: "provisioning_status = \(ProvisioningStatus.pendingDelete)",
                where: "id = \(row.id)")
        }
        try transaction.touch(pool.loadBalancerID, try Member.touched(transaction, pool.id), request)
    }
}
