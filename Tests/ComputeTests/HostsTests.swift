// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Simulation
import Testing

/// Services, hypervisors, aggregates and zones: what administrators see of hosts.
struct HostsTests {
    @Test("A service is listed, disabled with a reason, forced down and enabled again, by name and by id")
    func services() async throws {
        let cloud = try await ComputeCloud(hosts: 2)
        let admin = Caller.admin()
        let old = await cloud.call("GET", "/os-services", as: admin)
        #expect(
            old["services"].array?.map { $0["binary"] }
                == ["nova-compute", "nova-compute", "nova-scheduler", "nova-conductor"])
        #expect(old["services"][0]?["id"] == 1)
        #expect(old["services"][0]?["state"] == "up")
        let named: JSON = ["host": "host-1", "binary": "nova-compute", "disabled_reason": "disk"]
        let off = await cloud.call("PUT", "/os-services/disable-log-reason", named, as: admin)
        #expect(off["service"]["status"] == "disabled", "\(off.json.text())")
        let new = await cloud.call("GET", "/os-services", at: "2.53", as: admin, query: "host=host-1")
        #expect(new["services"][0]?["disabled_reason"] == "disk")
        let id = new["services"][0]?["id"]?.string ?? ""
        let on = await cloud.call(
            "PUT", "/os-services/\(id)", ["status": "enabled", "forced_down": true], at: "2.53", as: admin)
        #expect(on["service"]["state"] == "down", "\(on.json.text())")
        #expect(await cloud.call("PUT", "/os-services/\(id)", [:], at: "2.53", as: admin).status == 400)
        #expect(await cloud.call("PUT", "/os-services/x", ["status": "enabled"], at: "2.53", as: admin).status == 400)
        #expect(await cloud.call("GET", "/os-services").status == 403)
        await cloud.flavor()
        let server = try await cloud.server()
        #expect(await cloud.show(server)["OS-EXT-SRV-ATTR:host"] == "host-2")
        let used =
            await cloud.call("GET", "/os-services", at: "2.53", as: admin, query: "host=host-2")["services"][0]?["id"]?
            .string ?? ""
        #expect(await cloud.call("DELETE", "/os-services/\(used)", at: "2.53", as: admin).status == 409)
        #expect(await cloud.call("DELETE", "/os-services/\(id)", at: "2.53", as: admin).status == 204)
        let left = await cloud.call("GET", "/os-services", as: admin, query: "binary=nova-compute")
        #expect(left["services"].array?.count == 1)
    }

    @Test("Scheduler and conductor are seen up, in a zone of their own, and nothing of them can be changed")
    func control() async throws {
        let cloud = try await ComputeCloud(hosts: 1)
        let admin = Caller.admin()
        let found = await cloud.call("GET", "/os-services", at: "2.53", as: admin, query: "binary=nova-scheduler")
        #expect(found["services"].array?.count == 1)
        #expect(found["services"][0]?["state"] == "up")
        #expect(found["services"][0]?["zone"] == "internal")
        let path = "/os-services/\(found["services"][0]?["id"]?.string ?? "")"
        let off = await cloud.call("PUT", path, ["status": "disabled"], at: "2.53", as: admin)
        #expect(off.status == 400 && off.message.contains("Updating a nova-scheduler service is not supported"))
        #expect(await cloud.call("DELETE", path, at: "2.53", as: admin).status == 400)
        let zones = await cloud.call("GET", "/os-availability-zone/detail", as: admin)["availabilityZoneInfo"]
        #expect(zones[0]?["zoneName"] == "internal")
        #expect(zones[0]?["hosts"]?["host-1"]?["nova-conductor"]?["available"] == true)
        #expect(
            await cloud.call("GET", "/os-availability-zone")["availabilityZoneInfo"].array?.map { $0["zoneName"] }
                == ["nova"])
    }

    @Test("Hypervisors tell what they have, in the members of each version")
    func hypervisors() async throws {
        var options = ComputeOptions()
        options.reservedDiskMiB = 2048
        let cloud = try await ComputeCloud(hosts: 3, options: options)
        let admin = Caller.admin()
        await cloud.flavor()
        await cloud.flavor("wide", disk: 20)
        _ = try await cloud.server()
        let detail = await cloud.call("GET", "/os-hypervisors/detail", as: admin)
        #expect(detail["hypervisors"].array?.count == 3)
        #expect(detail["hypervisors"][0]?["cpu_info"]?.string != nil)
        let sum = await cloud.call("GET", "/os-hypervisors/statistics", as: admin)["hypervisor_statistics"]
        #expect(sum["count"] == 3)
        #expect(sum["vcpus"] == 192)
        #expect(sum["running_vms"] == 1)
        // What flavors promise and hosts keep counts, not what is written.
        let disk = sum["local_gb"]?.integer ?? 0
        #expect(sum["local_gb_used"] == 7 && sum["free_disk_gb"]?.integer == disk - 7)
        let wide = try await cloud.server(["flavorRef": "wide"])
        func used() async -> Int? {
            await cloud.call("GET", "/os-hypervisors/statistics", as: admin)["hypervisor_statistics"]["local_gb_used"]?
                .integer
        }
        #expect(await used() == 27)
        _ = await cloud.act(wide, ["migrate": .null], as: .admin())
        try await cloud.work()
        // Until a move is settled both hosts keep room for it.
        #expect(await used() == 47)
        _ = await cloud.act(wide, ["confirmResize": .null])
        try await cloud.work()
        #expect(await used() == 27)
        let late = await cloud.call(
            "GET", "/os-hypervisors/detail", at: "2.88", as: admin, query: "with_servers=true&limit=1")
        #expect(late["hypervisors"][0]?["vcpus"] == nil)
        #expect(late["hypervisors"][0]?["servers"]?.array != nil)
        #expect(late["hypervisors_links"][0]?["rel"] == "next", "\(late.json.text())")
        let id = late["hypervisors"][0]?["id"]?.string ?? ""
        #expect(
            await cloud.call("GET", "/os-hypervisors/\(id)", at: "2.88", as: admin)["hypervisor"]["uptime"] == .null)
        #expect(await cloud.call("GET", "/os-hypervisors/statistics", at: "2.88", as: admin).status == 404)
        #expect(await cloud.call("GET", "/os-hypervisors/1", at: "2.53", as: admin).status == 400)
        #expect(await cloud.call("GET", "/os-hypervisors/host-2/search", as: admin)["hypervisors"].array?.count == 1)
        #expect(await cloud.call("GET", "/os-hypervisors/nothing/search", as: admin).status == 404)
        #expect(await cloud.call("GET", "/os-hypervisors").status == 403)
    }

    @Test("An aggregate with a zone takes servers that ask for it")
    func aggregates() async throws {
        let cloud = try await ComputeCloud(hosts: 2)
        let admin = Caller.admin()
        await cloud.flavor()
        let made = await cloud.call(
            "POST", "/os-aggregates", ["aggregate": ["name": "a", "availability_zone": "west"]], at: "2.41", as: admin)
        #expect(made["aggregate"]["id"] == 1, "\(made.json.text())")
        #expect(made["aggregate"]["hosts"] == nil)
        let path = "/os-aggregates/1"
        #expect(await cloud.call("POST", path + "/action", ["add_host": ["host": "none"]], as: admin).status == 404)
        let added = await cloud.call("POST", path + "/action", ["add_host": ["host": "host-2"]], as: admin)
        #expect(added["aggregate"]["hosts"] == ["host-2"], "\(added.json.text())")
        #expect(await cloud.call("POST", path + "/action", ["add_host": ["host": "host-2"]], as: admin).status == 409)
        let set = await cloud.call(
            "POST", path + "/action", ["set_metadata": ["metadata": ["ssd": "true", "gone": nil]]], as: admin)
        #expect(set["aggregate"]["metadata"] == ["availability_zone": "west", "ssd": "true"])
        let zones = await cloud.call("GET", "/os-availability-zone")
        #expect(zones["availabilityZoneInfo"].array?.compactMap { $0["zoneName"]?.string } == ["nova", "west"])
        let detail = await cloud.call("GET", "/os-availability-zone/detail", as: admin)
        #expect(detail["availabilityZoneInfo"][2]?["hosts"]?["host-2"]?["nova-compute"]?["available"] == true)
        let id = try await cloud.server(["availability_zone": "west"])
        #expect(await cloud.show(id)["OS-EXT-SRV-ATTR:host"] == "host-2")
        #expect(await cloud.show(id)["OS-EXT-AZ:availability_zone"] == "west")
        #expect(await cloud.call("PUT", path, ["aggregate": ["availability_zone": "east"]], as: admin).status == 400)
        #expect(await cloud.call("DELETE", path, as: admin).status == 400)
        #expect(await cloud.call("DELETE", "/servers/\(id)").status == 204)
        try await cloud.work()
        #expect(
            await cloud.call("POST", path + "/action", ["remove_host": ["host": "host-2"]], as: admin).status == 200)
        #expect(await cloud.call("DELETE", path, as: admin).status == 200)
        #expect(await cloud.call("GET", path, as: admin).status == 404)
    }

    @Test("Servers of an anti-affinity group are on different hosts, or nowhere")
    func groups() async throws {
        let cloud = try await ComputeCloud(hosts: 2)
        await cloud.flavor()
        let made = await cloud.call(
            "POST", "/os-server-groups", ["server_group": ["name": "g", "policy": "anti-affinity"]], at: "2.64")
        #expect(made.status == 200, "\(made.json.text())")
        let group = made["server_group"]["id"]?.string ?? ""
        var states: [JSON] = []
        for _ in 0..<3 {
            let draft: JSON = [
                "server": ["name": "s", "imageRef": .string(ComputeCloud.image), "flavorRef": "small"],
                "os:scheduler_hints": ["group": .string(group)],
            ]
            let id = await cloud.call("POST", "/servers", draft)["server"]["id"]?.string ?? ""
            try await cloud.work()
            states.append(await cloud.show(id)["status"] ?? .null)
        }
        #expect(states == ["ACTIVE", "ACTIVE", "ERROR"])
        let shown = await cloud.call("GET", "/os-server-groups/\(group)")
        #expect(shown["server_group"]["policies"] == ["anti-affinity"])
        #expect(shown["server_group"]["members"]?.array?.count == 3)
        let soft = await cloud.call(
            "POST", "/os-server-groups", ["server_group": ["name": "g", "policies": ["soft-affinity"]]])
        #expect(soft.status == 400)
        #expect(
            await cloud.call("GET", "/os-server-groups/\(group)", as: .member("b", project: "project-b")).status == 404)
        #expect(await cloud.call("DELETE", "/os-server-groups/\(group)").status == 204)
    }

    @Test("A group's policy binds servers asked for together, too", arguments: ["affinity", "anti-affinity"])
    func batch(_ policy: String) async throws {
        let cloud = try await ComputeCloud(hosts: 3)
        await cloud.flavor()
        let made = await cloud.call(
            "POST", "/os-server-groups", ["server_group": ["name": "g", "policy": .string(policy)]], at: "2.64")
        let group = made["server_group"]["id"] ?? ""
        let draft: JSON = [
            "server": ["name": "s", "imageRef": .string(ComputeCloud.image), "flavorRef": "small", "min_count": 3],
            "os:scheduler_hints": ["group": group],
        ]
        #expect(await cloud.call("POST", "/servers", draft).status == 202)
        try await cloud.work()
        let hosts = try await cloud.room.database.rows("SELECT host FROM compute_servers").map { $0.text("host") }
        #expect(Set(hosts).count == (policy == "affinity" ? 1 : 3), "\(hosts)")
    }

    @Test("A guest that shuts itself down is SHUTOFF, one that is gone is ERROR, and strangers are left alone")
    func watch() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let (first, second) = (try await cloud.server(), try await cloud.server())
        let host = try #require(cloud.hosts["host-1"])
        await host.shutDownFromInside(first)
        try await host.destroy(second)
        await host.addForeign(
            GuestSpec(
                server: RandomIdentifiers().uuid(), instanceName: "x", title: "x", vcpus: 1, memoryMiB: 1,
                rootDiskGiB: 1))
        await GuestWatch(cloud.room).reconcile()
        #expect(await cloud.show(first)["status"] == "SHUTOFF")
        #expect(await cloud.show(first)["OS-EXT-STS:power_state"] == 4)
        #expect(await cloud.show(second)["status"] == "ERROR")
        #expect(await cloud.show(second)["fault"]?["message"]?.string?.contains("gone from host host-1") == true)
        #expect(try await host.guests().count == 2)
    }

    @Test("What a hypervisor tells is written at once")
    func events() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id = try await cloud.server()
        let (watch, host) = (GuestWatch(cloud.room, interval: .seconds(3600)), try #require(cloud.hosts["host-1"]))
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await watch.run() }
            try await cloud.until {
                await host.shutDownFromInside(id)
                return await cloud.show(id)["status"] == "SHUTOFF"
            }
            group.cancelAll()
        }
    }
}
