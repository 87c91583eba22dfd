// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Trusts handed on: how far a chain of them may reach, and what each link may give.
struct Redelegation: Sendable {
    /// How often a trust may be handed on where its maker does not say.
    let countMax: Int

    /// What a new trust says about being handed on itself.
    struct Asked: Sendable {
        let isAllowed: Bool
        let count: Int?

        init(_ body: inout Body) throws(Fault) {
            let allowed = try body.option("allow_redelegation", .bool) ?? false
            let count = try body.option("redelegation_count", .integer(0...1_000_000_000))
            isAllowed = allowed && count != 0
            self.count = count == 0 ? nil : count
        }
    }

    /// The new trust with its place in the chain.
    /// - Parameter pedigree: the trust that the caller acts by and those it came from; empty for a first one.
    func place(_ trust: Trust, _ asked: Asked, _ pedigree: [Trust]) throws(Fault) -> Trust {
        var trust = trust
        var count: Int? = asked.isAllowed ? asked.count : 0
        if asked.isAllowed {
            if let count, count > countMax { throw Redelegation.refused }
            guard trust.remainingUses == nil else {
                throw .badRequest("remaining_uses must not be set if redelegation is allowed")
            }
        }
        if let parent = pedigree.first {
            let rest = parent.redelegationCount - 1
            if asked.isAllowed, let count, count != rest { throw Redelegation.refused }
            if trust.expiresAt == nil { trust.expiresAt = parent.expiresAt }
            for link in pedigree { try require(trust, from: link) }
            trust.redelegatedTrustID = parent.id
            count = count ?? rest
        }
        trust.redelegationCount = count ?? countMax
        return trust
    }

    /// Refuses a link that gives more than the one before it has.
    func require(_ trust: Trust, from parent: Trust) throws(Fault) {
        guard (1...max(1, countMax)).contains(parent.redelegationCount), countMax > 0, trust.remainingUses == nil else {
            throw Redelegation.refused
        }
        if let limit = parent.expiresAt {
            guard let ends = trust.expiresAt, ends <= limit else { throw Redelegation.refused }
        }
        guard trust.roleIDs.allSatisfy(parent.roleIDs.contains), parent.impersonation || !trust.impersonation else {
            throw Redelegation.refused
        }
    }

    static let refused = Fault.forbidden("You are not authorized to perform the requested action.")
}

extension Database {
    /// A trust and those it was handed on from, nearest first; each must still hold.
    func pedigree(of trust: Trust, at now: Timestamp) async throws(Fault) -> [Trust] {
        var chain = [trust]
        while let id = chain.last?.redelegatedTrustID {
            chain.append(
                try await one(Trust.self, Trust.living(at: now) + " AND id = \(id)", or: .notFound("trust", id)))
        }
        return chain
    }
}

extension Transaction {
    /// Ends a trust and all that were handed on from it. The rows stay, marked, until they are flushed.
    func end(_ id: String, at now: Timestamp) throws(Fault) {
        var open = [id]
        while let next = open.popLast() {
            open += try all(Trust.self, "redelegated_trust_id = \(next) AND deleted_at IS NULL").map(\.id)
            try update(Trust.self, set: "deleted_at = \(now)", where: "id = \(next)")
        }
    }
}
