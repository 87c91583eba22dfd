// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Simulation
import Synchronization
import Testing

/// Identity's limits, as far as Compute asks for them.
final class FakeLimits: Service {
    static let index = ServiceIndex(
        type: "identity", name: "keystone", title: "Identity", port: 5000, mount: "/identity", base: "/v3",
        versions: .none, envelope: .plain, wording: .nova, resources: [Routes.self])

    /// What is registered, and what projects have of their own.
    let registered = Mutex<[String: Int]>([:])
    let own = Mutex<[String: [String: Int]]>([:])

    func register(_ limits: [String: Int]) { registered.withLock { $0.merge(limits) { $1 } } }
    func set(_ limits: [String: Int], for project: String) { own.withLock { $0[project] = limits } }

    enum Routes: Resource {
        static let routes: [Route] = [
            .open("GET", "/services", "List services") { request async throws(Fault) in
                .json(["services": [["id": "nova", "type": .string(request.query("type") ?? "")]]])
            },
            .open("GET", "/registered_limits", "List registered limits") { request async throws(Fault) in
                let limits = request.room(FakeLimits.self).registered.withLock { $0 }
                return .json([
                    "registered_limits": .array(
                        limits.map {
                            let (name, limit): (JSON, JSON) = (.string($0.key), .integer(Int64($0.value)))
                            return ["resource_name": name, "default_limit": limit, "region_id": "RegionOne"]
                        } + [["resource_name": "servers", "default_limit": 0, "region_id": "elsewhere"]])
                ])
            },
            .open("GET", "/limits", "List limits") { request async throws(Fault) in
                let limits = request.room(FakeLimits.self).own.withLock { $0[request.query("project_id") ?? ""] ?? [:] }
                return .json([
                    "limits": .array(
                        limits.map { ["resource_name": .string($0.key), "resource_limit": .integer(Int64($0.value))] })
                ])
            },
        ]
    }
}

/// Quotas that Identity keeps.
struct UnifiedQuotasTests {
    private static let project = Caller.member().projectID ?? ""

    private static func cloud(
        _ limits: [String: Int], hosts: Int = 1, _ adjust: (inout QuotaLimits) -> Void = { _ in }
    ) async throws -> (ComputeCloud, FakeLimits) {
        let identity = FakeLimits()
        identity.register(limits)
        var options = ComputeOptions()
        options.quota.driver = .unified
        adjust(&options.quota)
        let cloud = try await ComputeCloud(hosts: hosts, options: options, neighbour: identity)
        await cloud.flavor()
        return (cloud, identity)
    }

    @Test("A project's own limit comes before the registered one, and the refusal is oslo.limit's")
    func servers() async throws {
        let (cloud, identity) = try await Self.cloud([
            "servers": 5, "class:VCPU": 9, "class:MEMORY_MB": 99_999, "class:DISK_GB": 99,
        ])
        identity.set(["servers": 2], for: Self.project)
        let made = await cloud.call("POST", "/servers", ComputeCloud.draft(["min_count": 1, "max_count": 5]))
        #expect(made.status == 202, "\(made.json.text())")
        #expect(await cloud.call("GET", "/servers")["servers"].array?.count == 2)
        let refused = await cloud.call("POST", "/servers", ComputeCloud.draft())
        #expect(refused.status == 403)
        #expect(
            refused.message
                == "Project \(Self.project) is over a limit for [Resource servers is over limit of 2 due to "
                + "current usage 2 and delta 1]")
        identity.set([:], for: Self.project)
        #expect(await cloud.call("POST", "/servers", ComputeCloud.draft()).status == 202)
    }

    @Test("What was never registered is refused when it is required, and free otherwise")
    func strategies() async throws {
        // Only servers must have a limit: disks, processors and memory have none.
        let (required, identity) = try await Self.cloud([:])
        let refused = await required.call("POST", "/servers", ComputeCloud.draft())
        #expect(refused.status == 403 && refused.message.contains("Resource servers is over limit of 0"))
        identity.register(["servers": 1])
        #expect(await required.call("POST", "/servers", ComputeCloud.draft()).status == 202)

        let (ignoring, _) = try await Self.cloud(["servers": 9]) {
            $0.requiresListed = false
            $0.unifiedResources = ["class:VCPU", "class:MEMORY_MB"]
        }
        let disk = await ignoring.call("POST", "/servers", ComputeCloud.draft())
        #expect(disk.status == 403 && disk.message.contains("Resource class:DISK_GB is over limit of 0"))
        let (free, _) = try await Self.cloud(["servers": 9]) {
            $0.requiresListed = false
            $0.unifiedResources = ["class:VCPU", "class:MEMORY_MB", "class:DISK_GB"]
        }
        #expect(await free.call("POST", "/servers", ComputeCloud.draft()).status == 202)
        // Below zero is any number, and a limit of nothing that was registered is a limit.
        let (any, _) = try await Self.cloud(["servers": 9, "class:VCPU": -1])
        #expect(await any.call("POST", "/servers", ComputeCloud.draft()).status == 202)
        let (nothing, _) = try await Self.cloud(["servers": 9, "class:DISK_GB": 0])
        #expect(await nothing.call("POST", "/servers", ComputeCloud.draft()).status == 403)
    }

    @Test("Until a resize is confirmed both sizes count")
    func resize() async throws {
        let (cloud, _) = try await Self.cloud(["servers": 9, "class:VCPU": 3], hosts: 2)
        await cloud.flavor("big", vcpus: 2, ram: 512, disk: 1)
        await cloud.flavor("huge", vcpus: 3, ram: 512, disk: 1)
        let id = try await cloud.server()
        let refused = await cloud.act(id, ["resize": ["flavorRef": "huge"]])
        #expect(refused.status == 403, "\(refused.json.text())")
        #expect(refused.message.contains("Resource class:VCPU is over limit of 3 due to current usage 1 and delta 3"))
        #expect(await cloud.act(id, ["resize": ["flavorRef": "big"]]).status == 202)
        try await cloud.work()
        let detail = "/os-quota-sets/\(Self.project)/detail"
        #expect(await cloud.call("GET", detail)["quota_set"]["cores"]?["in_use"]?.integer == 3)
        #expect(await cloud.call("POST", "/servers", ComputeCloud.draft()).status == 403)
        #expect(await cloud.act(id, ["confirmResize": nil]).status == 204)
        try await cloud.work()
        #expect(await cloud.call("GET", detail)["quota_set"]["cores"]?["in_use"]?.integer == 2)
        #expect(await cloud.call("POST", "/servers", ComputeCloud.draft()).status == 202)
    }

    @Test("Keypairs, groups, their members and metadata are held to what is registered for everybody")
    func others() async throws {
        let (cloud, _) = try await Self.cloud([
            "servers": 9, "server_key_pairs": 1, "server_groups": 1, "server_group_members": 1,
            "server_metadata_items": 1,
        ])
        #expect(await cloud.call("POST", "/os-keypairs", ["keypair": ["name": "a"]]).status == 200)
        let key = await cloud.call("POST", "/os-keypairs", ["keypair": ["name": "b"]])
        #expect(key.status == 403)
        #expect(
            key.message
                == "Project None is over a limit for [Resource server_key_pairs is over limit of 1 due to current "
                + "usage 1 and delta 1]")
        let group: JSON = ["server_group": ["name": "g", "policies": ["affinity"]]]
        let made = await cloud.call("POST", "/os-server-groups", group)
        #expect(made.status == 200)
        #expect(await cloud.call("POST", "/os-server-groups", group).message.contains("Resource server_groups is over"))
        let member: JSON = [
            "server": ["name": "web", "imageRef": .string(ComputeCloud.image), "flavorRef": "small"],
            "os:scheduler_hints": ["group": made["server_group"]["id"] ?? ""],
        ]
        #expect(await cloud.call("POST", "/servers", member).status == 202)
        #expect(await cloud.call("POST", "/servers", member).message.contains("Resource server_group_members is over"))
        let many = await cloud.call("POST", "/servers", ComputeCloud.draft(["metadata": ["a": "1", "b": "2"]]))
        #expect(many.status == 403 && many.message.contains("Resource server_metadata_items is over limit of 1"))
    }

    @Test("Quota calls show what Identity keeps, and change nothing there")
    func shown() async throws {
        let (cloud, identity) = try await Self.cloud(["servers": 5, "class:VCPU": 9, "server_key_pairs": 7])
        identity.set(["class:VCPU": 4], for: Self.project)
        let path = "/os-quota-sets/\(Self.project)"
        let shown = await cloud.call("GET", path)["quota_set"]
        #expect(shown["instances"]?.integer == 5 && shown["cores"]?.integer == 4 && shown["ram"]?.integer == 0)
        #expect(shown["key_pairs"]?.integer == 7 && shown["security_groups"]?.integer == -1)
        #expect(await cloud.call("GET", path + "/defaults")["quota_set"]["cores"]?.integer == 9)
        let changed = await cloud.call("PUT", path, ["quota_set": ["cores": 1]], as: .admin())
        #expect(changed.status == 200 && changed["quota_set"]["cores"]?.integer == 4)
        let absolute = await cloud.call("GET", "/limits")["limits"]["absolute"]
        #expect(absolute?["maxTotalInstances"]?.integer == 5 && absolute?["maxTotalCores"]?.integer == 4)
        let classes = await cloud.call("GET", "/os-quota-class-sets/default", as: .admin())["quota_class_set"]
        #expect(classes["cores"]?.integer == 9)
    }

    @Test("Without limits nothing is refused, and every limit is shown as none")
    func none() async throws {
        var options = ComputeOptions()
        options.quota.driver = .none
        options.quota.instances = 0
        let cloud = try await ComputeCloud(options: options)
        await cloud.flavor()
        #expect(await cloud.call("POST", "/servers", ComputeCloud.draft()).status == 202)
        #expect(await cloud.call("GET", "/os-quota-sets/\(Self.project)")["quota_set"]["instances"]?.integer == -1)
    }
}
