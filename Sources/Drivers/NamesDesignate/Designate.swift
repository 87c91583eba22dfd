// SPDX-License-Identifier: Apache-2.0
package import Kernel
package import Network

/// Names in zones of Designate (its v2 API), and with them the way back from addresses.
package struct Designate: ExternalNames {
    private let session: DesignateSession
    private let options: DesignateOptions

    /// - Parameter own: who asks unless the options name somebody.
    package init(_ options: DesignateOptions, own: DesignateOptions.Login) throws(Fault) {
        guard let url = options.url else { throw .badRequest("[designate] url is not set.") }
        self.options = options
        session = DesignateSession(
            url, options.login ?? own,
            HTTPClient(threads: 2, authorities: options.authorities, verifiesPeers: !options.isInsecure))
    }

    package func publish(_ name: PublishedName) async throws(Fault) {
        guard let zone = try await zone(name.domain, of: name.projectID) else {
            throw .notFound("There is no zone \(name.domain).")
        }
        for (type, version) in [("A", IPVersion.v4), ("AAAA", .v6)] {
            let records = name.addresses.filter { $0.version == version }.map(\.description)
            if !records.isEmpty { try await put(zone, name.fullName, type, records) }
        }
        guard options.allowsReverse else { return }
        for address in name.addresses { try await publishReverse(address, name) }
    }

    package func withdraw(_ name: PublishedName) async throws(Fault) {
        let addresses = Set(name.addresses.map(\.description))
        if let zone = try await zone(name.domain, of: name.projectID) {
            for set in try await sets(zone, name.fullName) where !addresses.isDisjoint(with: set.records) {
                try await remove(zone, set.id)
            }
        }
        guard options.allowsReverse else { return }
        for address in name.addresses {
            guard let zone = try await zone(reverseZone(address), of: nil) else { continue }
            for set in try await sets(zone, address.reverseName + ".") where set.records.contains(name.fullName) {
                try await remove(zone, set.id)
            }
        }
    }

    // MARK: Zones

    private struct Zone: Sendable {
        let id: String
        let role: DesignateSession.Role
    }

    /// The project's own zone of that name, or anybody's.
    private func zone(_ name: String, of project: String?) async throws(Fault) -> Zone? {
        let roles: [DesignateSession.Role] = project.map { [.project($0), .everybody] } ?? [.everybody]
        for role in roles {
            let (status, json) = try await session.call("GET", "/zones?name=\(Percent.encode(name))", as: role)
            if status == 403 { continue }
            try check(status, json, "zone \(name)")
            if let id = json["zones"]?.array?.first?["id"]?.string { return Zone(id: id, role: role) }
        }
        return nil
    }

    /// The zone that an address's way back is in: as much of its reverse name as the prefix's bits say.
    private func reverseZone(_ address: IPAddress) -> String {
        let skipped =
            address.version == .v4 ? (32 - options.reversePrefix4) / 8 : (128 - options.reversePrefix6) / 4
        return address.reverseName.split(separator: ".").dropFirst(skipped).joined(separator: ".") + "."
    }

    private func publishReverse(_ address: IPAddress, _ name: PublishedName) async throws(Fault) {
        let zoneName = reverseZone(address)
        if try await zone(zoneName, of: nil) == nil {
            let domain = name.domain.hasSuffix(".") ? String(name.domain.dropLast()) : name.domain
            let email = options.reverseEmail.isEmpty ? "admin@\(domain)" : options.reverseEmail
            let kind = address.version == .v4 ? "in-addr.arpa" : "ip6.arpa"
            let (status, json) = try await session.call(
                "POST", "/zones",
                [
                    "name": .string(zoneName), "email": .string(email),
                    "description": .string("An \(kind). zone for reverse lookups set up by Neutron."),
                ], as: .everybody)
            // Somebody else may have made it just now.
            if status != 409 { try check(status, json, "zone \(zoneName)") }
        }
        guard let zone = try await zone(zoneName, of: nil) else { throw .notFound("There is no zone \(zoneName).") }
        try await put(zone, address.reverseName + ".", "PTR", [name.fullName])
    }

    // MARK: Record sets

    private func put(_ zone: Zone, _ name: String, _ type: String, _ records: [String]) async throws(Fault) {
        let body: JSON = [
            "name": .string(name), "type": .string(type), "records": .array(records.map { .string($0) }),
        ]
        let (status, json) = try await session.call("POST", "/zones/\(zone.id)/recordsets", body, as: zone.role)
        guard status == 409 else { return try check(status, json, "record set \(name)") }
        // It is ours when it says what it should: an earlier call was not heard of any more.
        let present = try await sets(zone, name).first { $0.type == type }
        guard let present, Set(present.records) == Set(records) else {
            throw .conflict("A record set \(name) of type \(type) is there already.")
        }
    }

    private func sets(_ zone: Zone, _ name: String) async throws(Fault) -> [(
        id: String, type: String, records: [String]
    )] {
        let (status, json) = try await session.call(
            "GET", "/zones/\(zone.id)/recordsets?name=\(Percent.encode(name))", as: zone.role)
        if status == 404 { return [] }
        try check(status, json, "record sets \(name)")
        return (json["recordsets"]?.array ?? []).compactMap { set in
            guard let id = set["id"]?.string, let type = set["type"]?.string else { return nil }
            return (id, type, set["records"]?.array?.compactMap(\.string) ?? [])
        }
    }

    private func remove(_ zone: Zone, _ id: String) async throws(Fault) {
        let path = "/zones/\(zone.id)/recordsets/\(id)"
        let (status, json) = try await session.call("DELETE", path, as: zone.role)
        guard status == 400 || status == 403 else {
            return status == 404 ? () : try check(status, json, "record set \(id)")
        }
        // A record that the cloud manages is not the project's to delete.
        let (again, answer) = try await session.call("DELETE", path, as: .everybody)
        if again != 404 { try check(again, answer, "record set \(id)") }
    }

    private func check(_ status: Int, _ json: JSON, _ what: String) throws(Fault) {
        guard status >= 400 else { return }
        throw Fault(status, "Designate refused \(what): \(json["message"]?.string ?? "status \(status)")")
    }
}
