// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Hosts as `os-hosts` told of them until 2.42; services and hypervisors tell the same since.
enum Hosts: Resource {
    static let routes: [Route] = [
        .get(
            "/os-hosts", "List hosts", of: Anything.from, allow: .adminOnly("os-hosts:list"), index, until: "2.43"),
        .get(
            "/os-hosts/{host_name}", "Show a host", of: Anything.from, allow: .adminOnly("os-hosts:show"), show,
            until: "2.43"),
        .put(
            "/os-hosts/{host_name}", "Update a host", of: Anything.from, allow: .adminOnly("os-hosts:update"), update,
            until: "2.43"),
        power("reboot", "Reboot a host", "reboot"),
        power("shutdown", "Shut a host down", "shutdown"),
        power("startup", "Start a host", "start"),
    ]

    /// No driver switches machines on or off.
    private static func power(_ verb: String, _ summary: String, _ rule: String) -> Route {
        .get(
            "/os-hosts/{host_name}/" + verb, summary, of: Anything.from, allow: .adminOnly("os-hosts:" + rule),
            { request, _ async throws(Fault) in
                _ = try await find(request)
                throw .notSupported
            }, until: "2.43")
    }

    private static func find(_ request: Request) async throws(Fault) -> ComputeHost {
        let name = request["host_name"]
        return try await request.database.one(
            ComputeHost.self, "name = \(name) AND deleted_at IS NULL",
            or: .notFound("Compute host \(name) could not be found."))
    }
}

// MARK: - Handlers

extension Hosts {
    private static func index(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let zones = try await AvailabilityZones.byHost(request.database)
        let wanted = request.query("zone").flatMap { $0.isEmpty ? nil : $0 }
        let hosts = try await request.database.all(
            ComputeHost.self, "deleted_at IS NULL AND is_disabled = 0 ORDER BY number"
        ).filter { wanted == nil || (zones[$0.name] ?? AvailabilityZones.usual) == wanted }
        var lines: [(inout View) -> Void] = hosts.map { host in
            { write(&$0, host.name, "compute", zones[host.name] ?? AvailabilityZones.usual) }
        }
        if wanted == nil || wanted == ControlService.zone {
            lines += ControlService.all(on: request.compute.notices.host).map { service in
                { write(&$0, service.host, service.source.rawValue, ControlService.zone) }
            }
        }
        return .list("hosts", lines)
    }

    private static func write(_ view: inout View, _ host: String, _ service: String, _ zone: String) {
        view.put("host_name", host)
        view.put("service", service)
        view.put("zone", zone)
    }

    /// What the host has, what is used of it now, what its servers may use, and the same by project.
    private static func show(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let host = try await find(request)
        let servers = try await request.database.all(
            Server.self, "host = \(host.name) AND deleted_at IS NULL ORDER BY project_id")
        let facts = host.resources
        var lines: [Share] = [
            Share(project: "(total)", cpu: facts.vcpus, memory: facts.memoryMiB, disk: facts.diskGiB),
            Share(
                project: "(used_now)", cpu: facts.vcpusUsed, memory: facts.memoryUsedMiB, disk: facts.diskUsedGiB),
            Share(project: "(used_max)", of: servers),
        ]
        let groups = Dictionary(grouping: servers, by: \.projectID)
        lines += groups.keys.sorted().map { Share(project: $0, of: groups[$0] ?? []) }
        let shares = lines
        return .list(
            "host",
            shares.map { share in
                { view in
                    view.nest("resource") {
                        $0.put("host", host.name)
                        $0.put("project", share.project)
                        $0.put("cpu", share.cpu)
                        $0.put("memory_mb", share.memory)
                        $0.put("disk_gb", share.disk)
                    }
                }
            })
    }

    /// Upstream knows two switches here; no driver of ours has a maintenance mode, so that one answers 501.
    private static func update(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        var body = try request.body()
        let status = try body.take("status", .switched)
        let maintenance = try body.take("maintenance_mode", .switched)
        try body.end()
        guard status != nil || maintenance != nil else {
            throw .badRequest("Invalid input for field/attribute body. Value: {}. {} does not have enough properties")
        }
        let host = try await find(request)
        guard host.isUp(at: request.now, within: request.compute.options.serviceDownTime) else {
            throw .badRequest("Compute service of \(host.name) is unavailable at this time.")
        }
        guard maintenance == nil else { throw .notSupported }
        let isEnabled = status ?? true
        try await request.database.update(
            ComputeHost.self,
            set: "is_disabled = \(!isEnabled), disabled_reason = NULL, updated_at = \(request.now)",
            where: "id = \(host.id)")
        return .bare {
            $0.put("host", host.name)
            $0.put("status", isEnabled ? "enabled" : "disabled")
        }
    }

    /// A part of a host's resources, and whose it is.
    private struct Share: Sendable {
        let project: String
        let cpu: Int
        let memory: Int
        let disk: Int

        init(project: String, cpu: Int, memory: Int, disk: Int) {
            (self.project, self.cpu, self.memory, self.disk) = (project, cpu, memory, disk)
        }

        init(project: String, of servers: [Server]) {
            self.init(
                project: project, cpu: servers.reduce(0) { $0 + $1.vcpus },
                memory: servers.reduce(0) { $0 + $1.memoryMB },
                disk: servers.reduce(0) { $0 + $1.flavor.diskGiB + $1.flavor.ephemeralGiB })
        }
    }
}

extension Format where Value == Bool {
    /// `enable` or `disable`, in one of the three cases upstream's schema has.
    fileprivate static var switched: Format {
        Format { value, _ throws(Misfit) in
            switch value.string {
            case "enable", "Enable", "ENABLE": return true
            case "disable", "Disable", "DISABLE": return false
            default: throw Misfit("\(value.text()) is not one of ['enable', 'disable']")
            }
        }
    }
}

extension Fault {
    /// What a back end cannot do, in upstream's words.
    static var notSupported: Fault { .notImplemented("The requested functionality is not supported.") }
}
