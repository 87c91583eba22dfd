// SPDX-License-Identifier: Apache-2.0
import Kernel

/// `shelve`, `shelveOffload` and `unshelve`: a server put away as an image, off its host, and brought back.
enum ServerShelving: Resource {
    static let routes: [Route] = [
        .action(
            ServerActions.path, "shelve", "Shelve a server", of: Server.visible, allow: .member("os-shelve:shelve"),
            shelve),
        .action(
            ServerActions.path, "shelveOffload", "Take a shelved server off its host", of: Server.visible,
            allow: .adminOnly("os-shelve:shelve_offload"), offload),
        .action(
            ServerActions.path, "unshelve", "Bring a shelved server back", of: Server.visible,
            allow: .member("os-shelve:unshelve"), unshelve),
    ]

    private static func shelve(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        try server.refuseIfTrusted("shelve")
        try server.refuseIfLocked(request)
        try server.admit(.shelve)
        let leavesHost = request.compute.options.life.shelvedOffloadTime == .zero
        // A server on a volume has its disk there: it leaves its host, and needs no image.
        guard !server.isVolumeBacked else {
            try await server.begin(.shelve, request) { row, _ in
                ActionStart(
                    .shelving,
                    work: ShelveServer(
                        server: row.id, image: nil, wasRunning: row.vmState == .active, leavesHost: true))
            }
            return .empty
        }
        let image = try await SnapshotIntent.reserve(
            server.name + "-shelved", of: server, type: "snapshot", [:], request)
        try await SnapshotIntent.keeping(image, request) { () async throws(Fault) in
            try await server.begin(.shelve, request) { row, transaction throws(Fault) in
                try SnapshotIntent.settle(image, transaction)
                return ActionStart(
                    .shelving,
                    work: ShelveServer(
                        server: row.id, image: image, wasRunning: row.vmState == .active, leavesHost: leavesHost))
            }
        }
        return .empty
    }

    private static func offload(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        try await server.begin(.shelveOffload, request) { row, _ in
            ActionStart(.shelvingOffloading, work: OffloadServer(server: row.id))
        }
        return .empty
    }

    private static func unshelve(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        let wish = try UnshelveWish(request)
        try server.refuseIfLocked(request)
        try server.admit(.unshelve)
        var scheduling = server.scheduling
        if wish.isNamed {
            guard server.vmState == .shelvedOffloaded else {
                throw .conflict(
                    "Specifying an availability zone or a host when unshelving server \"\(server.id)\" with status "
                        + "\"\(server.vmState.rawValue)\" is not supported. The server status must be "
                        + "SHELVED_OFFLOADED.")
            }
            if let zone = wish.zone { scheduling.zone = zone }
            try await wish.judge(server, zone: scheduling.zone, request)
        }
        let (text, zone) = (try JSON.column(scheduling), scheduling.zone)
        try await server.begin(.unshelve, request) { row, _ in
            ActionStart(
                .unshelving, also: "scheduling = \(text), zone = \(zone)",
                work: UnshelveServer(
                    server: row.id, wasOffloaded: row.vmState == .shelvedOffloaded, host: wish.host))
        }
        return .empty
    }
}

/// Where a server shall come back: a zone since 2.77, since 2.91 also none at all, or a host.
struct UnshelveWish: Sendable {
    /// Nil when nothing is said of it; `.some(nil)` lets the server go anywhere from now on.
    let zone: String??
    let host: String?

    var isNamed: Bool { zone != nil || host != nil }

    init(_ request: Request) throws(Fault) {
        guard request.version >= "2.77", request.json?["unshelve"]?.isNull != true else {
            (zone, host) = (nil, nil)
            return
        }
        var body = try request.body("unshelve")
        if request.version >= "2.91" {
            zone = try body.patch("availability_zone", .text)
            host = try body.take("host", .text)
        } else {
            zone = .some(try body.need("availability_zone", .name))
            host = nil
        }
        try body.end()
    }

    /// The zone must be there and open, the host must be known and in the zone.
    func judge(_ server: Server, zone expected: String?, _ request: Request) async throws(Fault) {
        let zones = try await AvailabilityZones.byHost(request.database)
        let hosts = try await request.database.all(ComputeHost.self, "deleted_at IS NULL")
        func zone(of host: String) -> String { zones[host] ?? AvailabilityZones.usual }
        if let wanted = self.zone ?? nil {
            guard hosts.contains(where: { !$0.isDisabled && zone(of: $0.name) == wanted }) else {
                throw .badRequest("The requested availability zone is not available")
            }
        }
        guard let host else { return }
        let rule = "os-shelve:unshelve_to_host"
        guard request.may(rule, on: server) else {
            throw request.index.envelope.refusal(request.index.rulePrefix + rule)
        }
        guard hosts.contains(where: { $0.name == host }) else {
            throw .badRequest("Compute host \(host) could not be found.")
        }
        if let expected, zone(of: host) != expected {
            throw .conflict("Host \"\(host)\" is not in the availability zone \"\(expected)\".")
        }
    }
}
