// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Simulation
import Testing

/// What 2.97 and later versions brought, and how lists are filtered.
struct NewVersionsTests {
    @Test("A server shows its image's properties since 2.98 and its hints since 2.100")
    func views() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let body: JSON = [
            "server": ComputeCloud.draft()["server"] ?? .null, "os:scheduler_hints": ["build_near_host_ip": "10.0.0.1"],
        ]
        let made = await cloud.call("POST", "/servers", body)
        #expect(made.status == 202, "\(made.json.text())")
        let id = made["server"]["id"]?.string ?? ""
        #expect(await cloud.show(id, at: "2.97")["image"]?["properties"] == nil)
        #expect(await cloud.show(id, at: "2.98")["image"]?["properties"]?["hw_disk_bus"]?.string == "virtio")
        #expect(await cloud.show(id, at: "2.99")["scheduler_hints"] == nil)
        #expect(await cloud.show(id, at: "2.100")["scheduler_hints"]?.text() == #"{"build_near_host_ip":"10.0.0.1"}"#)
    }

    @Test("Flavors lose two members in 2.102 and are found by name")
    func flavors() async throws {
        let cloud = try await ComputeCloud(hosts: 0)
        await cloud.flavor("a1")
        await cloud.flavor("b1")
        let old = await cloud.call("GET", "/flavors/a1", at: "2.101")["flavor"]
        let new = await cloud.call("GET", "/flavors/a1", at: "2.102")["flavor"]
        for name in ["rxtx_factor", "OS-FLV-DISABLED:disabled"] { #expect(old[name] != nil && new[name] == nil) }
        let named = await cloud.call("GET", "/flavors", at: "2.102", query: "name=%5Ef-a")["flavors"]
        #expect(named.array?.map { $0["id"]?.string } == ["a1"])
        #expect(await cloud.call("GET", "/flavors", at: "2.101", query: "name=a").status == 400)
        #expect(await cloud.call("GET", "/flavors/a1", at: "2.101", query: "x=1").status == 200)
        let refused = await cloud.call("GET", "/flavors/a1", at: "2.102", query: "x=1")
        #expect(refused.status == 400 && refused.message.contains("('x' was unexpected)"))
        #expect(await cloud.call("GET", "/servers", at: "2.74", query: "x=1").status == 200)
        #expect(await cloud.call("GET", "/servers", at: "2.75", query: "x=1").status == 400)
    }

    @Test("Since 2.104 a server is let go of its zone and pinned to the one it is in")
    func pinning() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id = try await cloud.server(["availability_zone": "nova"])
        func put(_ zone: JSON, at version: String = "2.104") async -> TestCloud.Answer {
            await cloud.call(
                "PUT", "/servers/\(id)", ["server": ["pinned_availability_zone": zone]], at: version, as: .admin())
        }
        #expect(await put(.null, at: "2.103").status == 400)
        #expect(await put("nova").status == 200)
        #expect(await put("moon").status == 409)
        #expect(await put(.null)["server"]["pinned_availability_zone"]?.isNull == true)
        #expect(await put("moon").status == 409)
        #expect(await put("nova")["server"]["pinned_availability_zone"]?.string == "nova")
    }

    @Test("Lists are filtered by expressions, and by what ordinary users may ask for")
    func filters() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        for name in ["web-1", "web-22", "db"] { _ = try await cloud.server(["name": .string(name)]) }
        func names(_ query: String, _ caller: Caller = .member(), at version: String = "2.1") async -> [String] {
            let list = await cloud.call("GET", "/servers", at: version, as: caller, query: query)["servers"]
            return (list.array ?? []).compactMap { $0["name"]?.string }.sorted()
        }
        #expect(await names("name=%5Eweb-%5B0-9%5D%2B%24") == ["web-1", "web-22"])
        #expect(await names("name=EB-2") == ["web-22"])
        #expect(await names("name=_") == [])
        #expect(await names("host=nowhere").count == 3)
        #expect(await names("power_state=0").count == 3)
        #expect(await names("power_state=0", at: "2.83") == [])
        #expect(await names("all_tenants=1&host=nowhere", .admin()) == [])
        #expect(await names("tenant_id=project-a", .admin()) == [])
        #expect(await names("all_tenants=&tenant_id=project-a", .admin()).count == 3)
        #expect(await names("all_tenants=&tenant_id=project-admin", .admin()) == [])
        #expect(await cloud.call("GET", "/servers", query: "name=%28").status == 400)
        #expect(await cloud.call("GET", "/servers", query: "status=DELETED").status == 403)
        let window = "changes-since=2026-02-01T00:00:00Z&changes-before=2026-01-01T00:00:00Z"
        #expect(await cloud.call("GET", "/servers", at: "2.66", query: window).status == 400)
    }
}
