// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Sets what consumers hold, all of them or none, in one transaction: capacity is checked against what the inventories
/// say is taken, and that is written together with the allocations, so the two cannot part.
enum Ledger {
    /// - Parameter unable: how the complaint about a missing class begins.
    static func set(_ claims: [Claim], _ unable: String, _ request: Request) async throws(Fault) {
        let names = Set(claims.flatMap { $0.parts.map(\.resourceClass) })
        let now = request.now
        try await request.database.transaction { transaction throws(Fault) in
            let unknown = try ResourceClass.unknown(names, transaction)
            try set(claims, unknown.map { unable + Fault.noSuchClass($0) }, transaction, at: now)
        }
    }

    /// - Parameter complaint: what is wrong with the classes, once the rest is known to be right.
    static func set(
        _ claims: [Claim], _ complaint: String?, _ transaction: Transaction, at now: Timestamp
    ) throws(Fault) {
        var entry = try Entry(claims, transaction)
        if let complaint { throw .badRequest(complaint) }
        try entry.place()
        try entry.write(transaction, at: now)
    }
}

extension Ledger {
    private struct Key: Hashable {
        let provider: String
        let resourceClass: String
    }

    /// One such transaction: what was there, and what shall be.
    private struct Entry {
        let claims: [Claim]
        private var consumers: [String: Consumer] = [:]
        private var providers: [String: Provider] = [:]
        private var stock: [Key: Inventory] = [:]
        private var held: [Allocation] = []
        /// What is taken of each inventory, without these consumers at first and with them at last.
        private var taken: [Key: Int] = [:]

        init(_ claims: [Claim], _ transaction: Transaction) throws(Fault) {
            self.claims = claims
            let ids = claims.map(\.consumer)
            for consumer in try transaction.all(Consumer.self, "id", in: ids) { consumers[consumer.id] = consumer }
            try checkGenerations()
            held =
                consumers.isEmpty
                ? [] : try transaction.all(Allocation.self, "consumer_id", in: consumers.keys.sorted())
            let wanted = Set(claims.flatMap { $0.parts.map(\.provider) })
            let all = wanted.union(held.map(\.providerID)).sorted()
            for provider in try transaction.all(Provider.self, "id", in: all) { providers[provider.id] = provider }
            for claim in claims {
                for part in claim.parts where providers[part.provider] == nil {
                    throw .badRequest("Allocation for resource provider '\(part.provider)' that does not exist.")
                }
            }
            for row in try transaction.all(Inventory.self, "provider_id", in: all) {
                let key = Key(provider: row.providerID, resourceClass: row.resourceClass)
                stock[key] = row
                taken[key] = row.used
            }
            for row in held {
                taken[Key(provider: row.providerID, resourceClass: row.resourceClass), default: 0] -= row.used
            }
        }

        private func checkGenerations() throws(Fault) {
            for claim in claims {
                guard let asked = claim.generation else { continue }
                let known = consumers[claim.consumer]?.generation
                guard known == asked else {
                    let expected = known.map(String.init) ?? "null"
                    let got = asked.map(String.init) ?? (known == nil ? "null" : "None")
                    throw .generationConflict("consumer generation conflict - expected \(expected) but got \(got)")
                }
            }
        }

        /// Checks each part against the inventory it is taken of.
        mutating func place() throws(Fault) {
            for claim in claims {
                for part in claim.parts {
                    let key = Key(provider: part.provider, resourceClass: part.resourceClass)
                    let place = "'\(part.resourceClass)' on resource provider '\(part.provider)'"
                    guard let row = stock[key] else {
                        throw .conflict("Unable to allocate inventory: Inventory for \(place) invalid.")
                    }
                    guard row.suits(part.amount) else {
                        throw .conflict(
                            "Unable to allocate inventory: Unable to create allocation for \(place). "
                                + "The requested amount would violate inventory constraints.")
                    }
                    let sum = (taken[key] ?? 0) + part.amount
                    // Too much may stay too much, as long as it is not more than before.
                    guard Double(sum) <= row.capacity || sum <= row.used else {
                        throw .conflict(
                            "Unable to allocate inventory: Unable to create allocation for \(place). "
                                + "The requested amount would exceed the capacity.")
                    }
                    taken[key] = sum
                }
            }
        }

        mutating func write(_ transaction: Transaction, at now: Timestamp) throws(Fault) {
            for id in Set(held.map(\.consumerID)) { try transaction.delete(Allocation.self, "consumer_id = \(id)") }
            for claim in claims {
                try transaction.insert(
                    claim.parts.map {
                        Allocation(
                            consumerID: claim.consumer, providerID: $0.provider, resourceClass: $0.resourceClass,
                            used: $0.amount, createdAt: now)
                    })
                try settle(claim, transaction)
            }
            for (key, sum) in taken where stock[key]?.used != sum {
                let changed = try transaction.update(
                    Inventory.self, set: "used = \(sum)",
                    where: "provider_id = \(key.provider) AND resource_class = \(key.resourceClass)")
                guard changed == 1 else { throw Entry.overtaken }
            }
            let touched = touched
            // What is given back without a count of the provider's still changes who has room.
            let eased = Set(taken.filter { stock[$0.key]?.used != $0.value }.keys.map(\.provider))
                .subtracting(touched).compactMap { providers[$0]?.rootID }
            try Revision.count(Set(eased), transaction)
            for id in touched {
                guard var provider = providers[id] else { continue }
                do {
                    try provider.bump(transaction, at: now)
                } catch {
                    throw error.code == Code.concurrentUpdate ? Entry.overtaken : error
                }
            }
        }

        /// The consumer itself: new, counted on, or gone with the last it held.
        private func settle(_ claim: Claim, _ transaction: Transaction) throws(Fault) {
            guard var consumer = consumers[claim.consumer] else {
                if claim.parts.isEmpty { return }
                try transaction.insert(
                    Consumer(
                        id: claim.consumer, projectID: claim.projectID, userID: claim.userID, type: claim.type,
                        generation: 1),
                    or: Entry.overtaken)
                return
            }
            let key: SQL = "id = \(claim.consumer) AND generation = \(consumer.generation)"
            guard !claim.parts.isEmpty else { return try transaction.delete(Consumer.self, key, or: Entry.overtaken) }
            consumer.projectID = claim.projectID
            consumer.userID = claim.userID
            consumer.type = claim.type ?? consumer.type
            consumer.generation += 1
            try transaction.replace(consumer, where: key, or: Entry.overtaken)
        }

        /// The providers whose generation counts this: those claimed of, and those of consumers that give all back.
        private var touched: [String] {
            var ids = Set(claims.flatMap { $0.parts.map(\.provider) })
            let emptied = Set(claims.filter(\.parts.isEmpty).map(\.consumer))
            for row in held where emptied.contains(row.consumerID) { ids.insert(row.providerID) }
            return ids.sorted()
        }

        private static var overtaken: Fault {
            .generationConflict(
                "Inventory and/or allocations changed while attempting to allocate: \(Fault.concurrentUpdate)")
        }
    }
}
