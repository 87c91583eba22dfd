// SPDX-License-Identifier: Apache-2.0
package import Network
package import OVSDB

/// The one transaction that leads from what is to what should be, and its account.
package struct Plan: Sendable {
    package var operations: [OVSDBOperation] = []
    package var drift = DriftReport()
    /// Outer addresses that somebody loses.
    var ends: Set<TranslationEnd> = []
    package var isEmpty: Bool { operations.isEmpty }
}

/// Compares rows that should be with the replica. Rows and links that nobody mentions stay as they are, unless the
/// desired rows are declared to be the whole.
package struct Differ {
    private let replica: OVSDBReplica
    private var desired: [NBKey: NBRow] = [:]
    /// Desired rows that exist, by key.
    private var present: [NBKey: OVSDBRow] = [:]
    /// Desired rows to insert, with the names they have inside the transaction.
    private var names: [NBKey: String] = [:]
    private var gone: [NBKey: OVSDBRow] = [:]
    private var wanted: [NBKey: [String: Set<NBKey>]] = [:]
    private var plan = Plan()
    private var isWhole = false

    /// From the rows of a change's pieces before it to those after it.
    package static func plan(_ replica: OVSDBReplica, before: [NBRow], after: [NBRow]) -> Plan {
        var differ = Differ(replica, after, adopting: false)
        for row in before where differ.desired[row.key] == nil {
            differ.gone[row.key] = replica.indexed(row.key.table, row.key.id)
        }
        let links = Set(after.flatMap(\.links))
        let stale = Set(before.flatMap(\.links)).subtracting(links)
        return differ.finish(stale: stale)
    }

    /// To exactly these rows: whatever else carries our mark goes, and our rows' columns hold nothing else.
    package static func plan(_ replica: OVSDBReplica, whole: [NBRow]) -> Plan {
        var differ = Differ(replica, whole, adopting: true)
        differ.isWhole = true
        differ.findStrangers()
        return differ.finish(stale: [])
    }

    private init(_ replica: OVSDBReplica, _ rows: [NBRow], adopting: Bool) {
        self.replica = replica
        for row in rows { desired[row.key] = row }
        let unmarked = adopting ? Differ.unmarked(replica) : [:]
        for key in desired.keys.sorted() {
            let name = desired[key]?.columns["name"]?.string ?? ""
            if let row = replica.indexed(key.table, key.id) ?? unmarked[key.table]?[name] {
                present[key] = row
            } else {
                names[key] = "r\(names.count)"
            }
        }
        for link in desired.values.flatMap(\.links) {
            wanted[link.parent, default: [:]][link.column, default: []].insert(link.child)
        }
    }

    /// Rows with a name and without our mark: made by Neutron, say, and taken over under the same name.
    private static func unmarked(_ replica: OVSDBReplica) -> [String: [String: OVSDBRow]] {
        var found: [String: [String: OVSDBRow]] = [:]
        for table in Northbound.named {
            for row in replica.rows(table) where row["external_ids"][NBKey.column] == nil {
                if let name = row["name"].string { found[table, default: [:]][name] = row }
            }
        }
        return found
    }

    private mutating func findStrangers() {
        for table in Northbound.tables.keys {
            for row in replica.rows(table) {
                guard let id = row["external_ids"][NBKey.column], present[NBKey(table, id)]?.uuid != row.uuid else {
                    continue
                }
                // A second row with one key has a key of its own here, so that both are seen.
                let key = NBKey(table, id)
                gone[desired[key] == nil && gone[key] == nil ? key : NBKey(table, "\(id) \(row.uuid)")] = row
            }
        }
    }

    // MARK: - The transaction

    private mutating func finish(stale: Set<NBLink>) -> Plan {
        for key in desired.keys.sorted() {
            if let row = present[key] { update(key, row) } else { insert(key) }
        }
        linkWanted()
        unlink(stale)
        plan.ends = ends()
        for (key, row) in gone.sorted(by: { $0.key < $1.key }) {
            plan.drift.deleted.append(key.description)
            if Northbound.roots.contains(key.table) {
                plan.operations.append(.delete(table: key.table, where: [.row(row.uuid)]))
            }
        }
        return plan
    }

    /// The rows that a row will be held by, as far as they exist.
    private func devices(_ row: NBRow) -> Set<String> {
        Set(
            row.links.compactMap { link in
                gone[link.parent] == nil ? replica.indexed(link.parent.table, link.parent.id)?.uuid : nil
            })
    }

    private func ends() -> Set<TranslationEnd> {
        var sources: Set<[String]> = []
        for row in desired.values where row.key.table == "NAT" && row.columns["type"]?.string == "snat" {
            for device in devices(row) { sources.insert([device, row.columns["external_ip"]?.string ?? ""]) }
        }
        var ended = EndedTranslations(replica, sources: sources)
        for (key, row) in present where Translations.tables[key.table] != nil {
            guard let next = desired[key] else { continue }
            ended.note(key.table, row, next: (next, devices(next)))
        }
        for (key, row) in gone where Translations.tables[key.table] != nil { ended.note(key.table, row, next: nil) }
        // What goes with a router or switch ends with it.
        let left = Set(gone.values.map(\.uuid))
        return ended.ends.filter { !left.contains($0.device) }
    }

    /// A reference to a row, whether it exists or is on its way.
    private func atom(_ key: NBKey) -> OVSDBAtom? {
        if let row = present[key] { return .uuid(row.uuid) }
        if let name = names[key] { return .named(name) }
        if gone[key] != nil { return nil }
        return replica.indexed(key.table, key.id).map { .uuid($0.uuid) }
    }

    private func value(_ reference: NBKey?) -> OVSDBValue {
        reference.flatMap { atom($0) }.map { .set([$0]) } ?? .empty
    }

    private mutating func insert(_ key: NBKey) {
        guard let row = desired[key] else { return }
        var columns = row.columns.filter { !$0.value.isEmpty }
        for (column, reference) in row.references where reference != nil { columns[column] = value(reference) }
        for (column, children) in wanted[key] ?? [:] { columns[column] = .set(Set(children.compactMap { atom($0) })) }
        plan.operations.append(.insert(table: key.table, row: columns, name: names[key]))
        plan.drift.inserted.append(key.description)
    }

    private mutating func update(_ key: NBKey, _ current: OVSDBRow) {
        guard let row = desired[key] else { return }
        var changed = row.columns.filter { column, value in
            let held = Differ.held(current, column, row)
            // An empty set and an empty map look alike in a literal.
            return held != value && !(held.isEmpty && value.isEmpty)
        }
        for (column, reference) in row.references {
            let value = value(reference)
            if current[column] != value { changed[column] = value }
        }
        if let records = changed.removeValue(forKey: "records") { amend(key, row, current, "records", to: records) }
        guard !changed.isEmpty else { return }
        changed = changed.mapValues { $0.isEmpty ? .empty : $0 }
        for (column, value) in changed where value.isEmpty && Differ.maps.contains(column) {
            changed[column] = .emptyMap
        }
        plan.operations.append(.update(table: key.table, where: [.row(current.uuid)], row: changed))
        plan.drift.updated.append(key.description)
    }

    /// What a row has in a column, as far as the desired one speaks of it.
    private static func held(_ current: OVSDBRow, _ column: String, _ row: NBRow) -> OVSDBValue {
        guard let keys = row.parts[column], case .map(let pairs) = current[column] else { return current[column] }
        var held: [OVSDBAtom: OVSDBAtom] = [:]
        for key in keys { held[.string(key)] = pairs[.string(key)] }
        return .map(held)
    }

    /// Sends only the entries of a map that differ: a network's names are thousands, and one comes or goes.
    private mutating func amend(
        _ key: NBKey, _ row: NBRow, _ current: OVSDBRow, _ column: String, to value: OVSDBValue
    ) {
        guard case .map(let old) = Differ.held(current, column, row), case .map(let new) = value else { return }
        // Inserting never replaces (RFC 7047 section 5.1), so an entry that changes leaves first.
        let leaving = old.filter { new[$0.key] != $0.value }.keys
        let coming = new.filter { old[$0.key] != $0.value }
        var mutations: [OVSDBMutation] = []
        if !leaving.isEmpty { mutations.append(OVSDBMutation(column, .delete, .set(Set(leaving)))) }
        if !coming.isEmpty { mutations.append(OVSDBMutation(column, .insert, .map(coming))) }
        plan.operations.append(.mutate(table: key.table, where: [.row(current.uuid)], mutations))
        plan.drift.updated.append("\(key) \(column)")
    }

    private static let maps: Set<String> = [
        "options", "external_ids", "other_config", "records", "ipv6_ra_configs", "vips", "bandwidth", "action",
    ]

    // MARK: - Links

    /// Puts children into the columns of rows that exist; rows to insert have got theirs with the insertion.
    private mutating func linkWanted() {
        for (parent, columns) in wanted.sorted(by: { $0.key < $1.key }) where names[parent] == nil {
            guard gone[parent] == nil,
                let row = present[parent] ?? replica.indexed(parent.table, parent.id)
            else { continue }
            for (column, children) in columns.sorted(by: { $0.key < $1.key }) {
                let held = row[column].atoms
                let missing = Set(children.compactMap { atom($0) }).filter { !held.contains($0) }
                mutate(parent, row, column, .insert, missing)
            }
        }
        guard isWhole else { return }
        for (key, row) in present.sorted(by: { $0.key < $1.key }) {
            for column in Northbound.linkColumns[key.table] ?? [] {
                let kept = Set((wanted[key]?[column] ?? []).compactMap { atom($0) })
                let others = Differ.open[column].map { strangers($0, row[column].atoms) } ?? []
                mutate(key, row, column, .delete, row[column].atoms.subtracting(kept).subtracting(others))
            }
        }
    }

    /// Columns of our rows that others put theirs in: load balancing is a service of its own, and policies that divert
    /// traffic are an operator's.
    private static let open = ["load_balancer": "Load_Balancer", "policies": "Logical_Router_Policy"]

    private func strangers(_ table: String, _ atoms: Set<OVSDBAtom>) -> Set<OVSDBAtom> {
        atoms.filter { atom in
            guard case .uuid(let uuid) = atom, let row = replica.row(table, uuid) else { return false }
            return row["external_ids"][NBKey.column] == nil
        }
    }

    private mutating func unlink(_ stale: Set<NBLink>) {
        var removals: [NBKey: [String: Set<OVSDBAtom>]] = [:]
        for link in stale where gone[link.parent] == nil {
            // Weak references to rows that go are taken back by name: ovsdb-server 3.1.0 leaves them dangling in a row
            // of which the same transaction changes another column.
            guard
                let child = gone[link.child] ?? present[link.child]
                    ?? replica.indexed(link.child.table, link.child.id)
            else { continue }
            removals[link.parent, default: [:]][link.column, default: []].insert(.uuid(child.uuid))
        }
        for (parent, columns) in removals.sorted(by: { $0.key < $1.key }) {
            guard let row = present[parent] ?? replica.indexed(parent.table, parent.id) else { continue }
            for (column, atoms) in columns.sorted(by: { $0.key < $1.key }) {
                mutate(parent, row, column, .delete, atoms.intersection(row[column].atoms))
            }
        }
    }

    private mutating func mutate(
        _ key: NBKey, _ row: OVSDBRow, _ column: String, _ mutator: OVSDBMutation.Mutator, _ atoms: Set<OVSDBAtom>
    ) {
        guard !atoms.isEmpty else { return }
        plan.operations.append(
            .mutate(
                table: key.table, where: [.row(row.uuid)], [OVSDBMutation(column, mutator, .set(atoms))]))
        let name = "\(key) \(column)"
        if plan.drift.updated.last != name { plan.drift.updated.append(name) }
    }
}
