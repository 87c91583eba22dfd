// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Sends copies of a port's traffic to a collector, in a GRE or ERSPAN tunnel (the extension `tap-mirror`).
package struct TapMirror: PlainNoun {
    package static let table = "network_tap_mirrors"
    package static let noun = "tap_mirror"
    package static let plural = "tap_mirrors"

    package let id: String, projectID: String
    var name: String
    /// A PlainNoun's own words are none; these are.
    var words: String
    let portID: String
    /// The tunnel's number by `IN`, `OUT` or `BOTH`.
    let directions: [String: Int]
    let remoteIP: String
    let mirrorType: String

    package typealias Extra = Nothing
}

extension TapMirror: Resource {
    package static let routes: [Route] = [
        .get("/taas/tap_mirrors", "List tap mirrors", of: OwnScope.from, allow: .anyone("list_tap_mirrors"), index),
        .post(
            "/taas/tap_mirrors", "Create tap mirror", of: drafts,
            allow: .rule("create_tap_mirror", NetworkRules.adminOrMember), create),
        .get(
            "/taas/tap_mirrors/{id}", "Show tap mirror", of: visible,
            allow: .rule("get_tap_mirror", NetworkRules.adminOrReader), show),
        .put(
            "/taas/tap_mirrors/{id}", "Update tap mirror", of: visible,
            allow: .rule("update_tap_mirror", NetworkRules.adminOrMember), update),
        .delete(
            "/taas/tap_mirrors/{id}", "Delete tap mirror", of: visible,
            allow: .rule("delete_tap_mirror", NetworkRules.adminOrMember), delete),
    ]

    package static let migrations: [Migration] = [
        """
        2026-11-30 network tap mirrors
        CREATE TABLE network_tap_mirrors (
            id VARCHAR(36) PRIMARY KEY, project_id VARCHAR(255) NOT NULL, name VARCHAR(255) NOT NULL,
            words VARCHAR(255) NOT NULL, port_id VARCHAR(36) NOT NULL, directions TEXT NOT NULL,
            remote_ip VARCHAR(64) NOT NULL, mirror_type VARCHAR(16) NOT NULL);
        CREATE INDEX network_tap_mirrors_by_port ON network_tap_mirrors (port_id)
        """
    ]

    package static let filters: [Filter] = [
        .text("name"), .text("port_id"), .text("remote_ip"), .text("mirror_type"), .text("project_id"),
        .text("tenant_id", "project_id"), .text("id"),
    ]

    package static func notFound(_ id: String) -> Fault {
        .neutron(404, "TapMirrorNotFound", "Tap Mirror \(id) does not exist")
    }
}

// MARK: - Handlers

extension TapMirror {
    static func drafts(_ request: Request) async throws(Fault) -> Drafts<TapMirror> {
        try await Drafts(request, noun, plural) { body throws(Fault) in
            TapMirror(
                id: request.ids.uuid(), projectID: try body.takeProject(request),
                name: try body.take("name", .string()) ?? "", words: try body.take("description", .string()) ?? "",
                portID: try body.need("port_id", .id), directions: try body.need("directions", .tunnels),
                remoteIP: try body.need("remote_ip", .address).description,
                mirrorType: try body.need("mirror_type", .among("erspanv1", "gre")))
        }
    }

    static func create(_ request: Request, _ drafts: Drafts<TapMirror>) async throws(Fault) -> Reply {
        try await request.database.transaction { transaction throws(Fault) in
            for mirror in drafts.items {
                let port = try transaction.one(
                    Port.self, "id = \(mirror.portID) AND (\(sql: request.scope(Port.self)))",
                    or: Port.notFound(mirror.portID))
                guard port.projectID == mirror.projectID else {
                    throw .neutron(
                        403, "PortDoesNotBelongToTenant", "The specified port does not belong to the tenant")
                }
                let taken = Set(try transaction.all(TapMirror.self).flatMap(\.directions.values))
                if let number = mirror.directions.values.sorted().first(where: taken.contains) {
                    throw .neutron(
                        409, "TapMirrorTunnelConflict", "Tap Mirror with tunnel_id \(number) already exists")
                }
                try transaction.insert(mirror)
                try transaction.touch(TapMirrorSpec.kind, mirror.id, request)
            }
        }
        return try await reply(request, made: drafts.items)
    }

    static func update(_ request: Request, _ found: TapMirror) async throws(Fault) -> Reply {
        let mirror = try await change(request, found.id) { _, mirror throws(Fault) in
            var body = try request.body("tap_mirror")
            mirror.name = try body.take("name", .string()) ?? mirror.name
            mirror.words = try body.take("description", .string()) ?? mirror.words
            try body.end()
        }
        return try await mirror.reply(request)
    }

    static func delete(_ request: Request, _ found: TapMirror) async throws(Fault) -> Reply {
        try await request.database.transaction { transaction throws(Fault) in
            try transaction.delete(TapMirror.self, "id = \(found.id)", or: notFound(found.id))
            try transaction.touch(TapMirrorSpec.kind, found.id, request)
        }
        return .empty
    }

    /// A port that goes takes its mirrors with it.
    static func forget(port id: String, _ transaction: Transaction, _ request: Request) throws(Fault) {
        for mirror in try transaction.all(TapMirror.self, "port_id = \(id)") {
            try transaction.delete(TapMirror.self, "id = \(mirror.id)")
            try transaction.touch(TapMirrorSpec.kind, mirror.id, request)
        }
    }
}

// MARK: - Wire

extension TapMirror {
    package func write(_ view: inout View, _ extra: Nothing) {
        view.put("id", id)
        view.put("name", name)
        view.put("description", words)
        view.put("port_id", portID)
        view.nest("directions") { inner in
            for (direction, number) in directions.sorted(by: { $0.key < $1.key }) {
                inner.put(named: direction, number)
            }
        }
        view.put("remote_ip", remoteIP)
        view.put("mirror_type", mirrorType)
        view.put("project_id", projectID)
        view.put("tenant_id", projectID)
    }
}

extension Format where Value == [String: Int] {
    /// A tunnel's number by direction. OVN and upstream's driver know both ways also as one.
    fileprivate static var tunnels: Format {
        Format { value, _ throws(Misfit) in
            guard let object = value.object else { throw Misfit("'\(value.bare)' is not a dictionary") }
            var numbers: [String: Int] = [:]
            for (direction, number) in object {
                guard ["IN", "OUT", "BOTH"].contains(direction) else {
                    throw Misfit("Unexpected keys supplied for field: '\(direction)'")
                }
                guard !number.isNull else { continue }
                guard let whole = number.integer ?? number.string.flatMap({ Int($0) }) else {
                    throw Misfit("'\(number.bare)' is not an integer")
                }
                guard (0...Int(UInt32.max)).contains(whole) else { throw Misfit("'\(whole)' is no tunnel's number") }
                numbers[direction] = whole
            }
            guard !numbers.isEmpty else { throw Misfit("no direction is named") }
            return numbers
        }
    }
}

extension TapMirrorSpec: TopologySource {
    static func read(_ reader: TopologyReader, _ ids: [String]?) async throws(Fault) -> [TapMirrorSpec] {
        try await reader.rows(TapMirror.self, ids).compactMap { mirror in
            guard let remote = IPAddress(mirror.remoteIP) else { return nil }
            var tunnels: [TrafficDirection: Int] = [:]
            if let both = mirror.directions["BOTH"] { tunnels = [.ingress: both, .egress: both] }
            if let number = mirror.directions["IN"] { tunnels[.ingress] = number }
            if let number = mirror.directions["OUT"] { tunnels[.egress] = number }
            return TapMirrorSpec(
                id: mirror.id, portID: mirror.portID, tunnels: tunnels, remote: remote,
                type: mirror.mirrorType == "gre" ? .gre : .erspan)
        }
    }
}
