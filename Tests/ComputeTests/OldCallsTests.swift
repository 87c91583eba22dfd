// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Simulation
import Testing

/// Calls that new versions no longer have.
struct OldCallsTests {
    @Test("Hosts are listed and shown until 2.42, enabled and disabled, and have no power button")
    func hosts() async throws {
        let cloud = try await ComputeCloud(hosts: 2)
        await cloud.flavor()
        _ = try await cloud.server()
        let list = await cloud.call("GET", "/os-hosts", as: .admin())["hosts"]
        #expect(list.array?.map { $0["service"] } == ["compute", "compute", "scheduler", "conductor"])
        #expect(list[0]?.text() == #"{"host_name":"host-1","service":"compute","zone":"nova"}"#)
        #expect(await cloud.call("GET", "/os-hosts", as: .admin(), query: "zone=moon")["hosts"].array?.isEmpty == true)
        #expect(await cloud.call("GET", "/os-hosts").status == 403)
        #expect(await cloud.call("GET", "/os-hosts", at: "2.43", as: .admin()).status == 404)

        let shares = await cloud.call("GET", "/os-hosts/host-1", as: .admin())["host"].array ?? []
        #expect(shares.prefix(3).map { $0["resource"]?["project"]?.string } == ["(total)", "(used_now)", "(used_max)"])
        #expect(await cloud.call("GET", "/os-hosts/nowhere", as: .admin()).message.contains("could not be found"))

        let off = await cloud.call("PUT", "/os-hosts/host-2", ["status": "Disable"], as: .admin())
        #expect(off.json.text() == #"{"host":"host-2","status":"disabled"}"#)
        #expect(await cloud.call("GET", "/os-hosts", as: .admin(), query: "zone=nova")["hosts"].array?.count == 1)
        #expect(await cloud.call("PUT", "/os-hosts/host-2", ["status": "on"], as: .admin()).status == 400)
        #expect(await cloud.call("PUT", "/os-hosts/host-2", [:], as: .admin()).status == 400)
        #expect(await cloud.call("PUT", "/os-hosts/host-2", ["maintenance_mode": "enable"], as: .admin()).status == 501)
        #expect(await cloud.call("GET", "/os-hosts/host-2/reboot", as: .admin()).status == 501)
        #expect(await cloud.call("GET", "/os-hosts/host-9/reboot", as: .admin()).status == 404)
    }

    @Test("Networks, pools and floating addresses are Network's until 2.35, in the caller's name")
    func networks() async throws {
        let cloud = try await ComputeCloud(hosts: 0)
        let one = await cloud.call("GET", "/os-networks")["networks"][0]
        #expect(one?["id"]?.string == FakeNetwork.network && one?["label"]?.string == "private")
        #expect(one?["cidr"]?.isNull == true && one?["vlan"] == nil)
        #expect(await cloud.call("GET", "/os-networks", as: .admin())["networks"][0]?["vlan"]?.isNull == true)
        #expect(await cloud.call("GET", "/os-networks/\(FakeNetwork.network)")["network"]["label"]?.string == "private")
        #expect(await cloud.call("GET", "/os-networks/7").message == "Network not found")
        let tenant = await cloud.call("GET", "/os-tenant-networks/\(FakeNetwork.network)")["network"]
        #expect(tenant["cidr"]?.string == "None" && tenant.object?.count == 3)
        #expect(await cloud.call("GET", "/os-floating-ip-pools")["floating_ip_pools"].array?.isEmpty == true)
        for path in ["/os-networks", "/os-tenant-networks", "/os-floating-ips", "/os-floating-ip-pools", "/images"] {
            #expect(await cloud.call("GET", path, at: "2.36").status == 404)
        }
    }

    @Test("A server gets one more fixed address, and gives one back, until 2.43")
    func fixedAddresses() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id = try await cloud.server()
        #expect(await cloud.act(id, ["addFixedIp": ["networkId": .string(FakeNetwork.second)]]).status == 400)
        #expect(await cloud.act(id, ["addFixedIp": ["networkId": .string(FakeNetwork.network)]]).status == 202)
        try await cloud.work()
        #expect(cloud.network.ports.first?["fixed_ips"]?.array?.count == 2)
        let address = await cloud.show(id)["addresses"]?["private"]?[0]?["addr"]?.string ?? ""
        #expect(await cloud.act(id, ["removeFixedIp": ["address": "10.9.9.9"]]).status == 400)
        #expect(await cloud.act(id, ["removeFixedIp": ["address": .string(address)]]).status == 202)
        try await cloud.work()
        #expect(cloud.network.ports.first?["fixed_ips"]?.array?.count == 1)
        let body: JSON = ["removeFixedIp": ["address": .string(address)]]
        #expect(await cloud.act(id, body, at: "2.44").status == 400)
    }

    @Test("An image is shown in the old form, and its metadata until 2.38")
    func images() async throws {
        let cloud = try await ComputeCloud(hosts: 0)
        let image = await cloud.call("GET", "/images/\(FakeImages.id)")["image"]
        #expect(image["status"]?.string == "ACTIVE" && image["progress"]?.integer == 100)
        #expect(image["metadata"]?["hw_disk_bus"]?.string == "virtio" && image["minRam"]?.integer == 64)
        #expect(await cloud.call("GET", "/images/7").message == "Image not found.")
        let path = "/images/\(FakeImages.id)/metadata"
        #expect(await cloud.call("GET", path, at: "2.38")["metadata"]["hw_disk_bus"]?.string == "virtio")
        #expect(await cloud.call("GET", path + "/hw_disk_bus")["meta"]["hw_disk_bus"]?.string == "virtio")
        #expect(await cloud.call("PUT", path + "/a", ["meta": ["b": "c"]]).message == "Request body and URI mismatch")
        #expect(await cloud.call("DELETE", path + "/none").message == "Invalid metadata key")
        #expect(await cloud.call("GET", path, at: "2.39").status == 404)
    }

    @Test("The usage audit tells the last month, and which hosts have not been heard")
    func audits() async throws {
        let cloud = try await ComputeCloud(hosts: 2)
        let path = "/os-instance_usage_audit_log"
        let log = await cloud.call("GET", path + "/2026-03-31%2010:00:00", as: .admin())["instance_usage_audit_log"]
        #expect(log["period_beginning"]?.string == "2026-02-01 00:00:00")
        #expect(log["period_ending"]?.string == "2026-03-01 00:00:00")
        #expect(log["num_hosts_not_run"]?.integer == 2 && log["log"]?.text() == "{}")
        #expect(log["overall_status"]?.string == "0 of 2 hosts done. 0 errors.")
        let january = await cloud.call("GET", path + "/2026-01-01%2000:00:00.5", as: .admin())
        #expect(january["instance_usage_audit_log"]["period_beginning"]?.string == "2025-12-01 00:00:00")
        let wrong = await cloud.call("GET", path + "/yesterday", as: .admin())
        #expect(wrong.message == "Invalid timestamp for date yesterday")
        #expect(await cloud.call("GET", path, as: .admin())["instance_usage_audit_logs"]["num_hosts"]?.integer == 2)
        #expect(await cloud.call("GET", path).status == 403)
    }

    @Test("Without NUMA wishes a server has no topology, without shares none are listed")
    func newer() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id = try await cloud.server()
        #expect(await cloud.call("GET", "/servers/\(id)/topology", at: "2.77").status == 404)
        let topology = await cloud.call("GET", "/servers/\(id)/topology", at: "2.78")
        #expect(topology.json.text() == #"{"nodes":[],"pagesize_kb":null}"#)
    }
}
