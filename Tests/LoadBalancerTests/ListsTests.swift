// SPDX-License-Identifier: Apache-2.0
import Kernel
import LoadBalancer
import Simulation
import Testing

struct ListsTests {
    @Test("Lists are narrowed, sorted, paged and trimmed; unknown filters are refused")
    func lists() async throws {
        let cloud = try await BalancerCloud()
        for (name, tags) in [("a", ["x"]), ("b", ["x", "y"]), ("c", [])] {
            _ = try await cloud.balancer(["name": .string(name), "tags": .array(tags.map(JSON.string))])
        }
        func names(_ query: String) async -> [String] {
            await cloud.call("GET", "/lbaas/loadbalancers", query: query)["loadbalancers"].array?
                .map { $0.text("name") } ?? []
        }
        #expect(await names("name=b") == ["b"])
        #expect(await names("sort=name:desc") == ["c", "b", "a"])
        #expect(await names("sort_key=name&sort_dir=desc&limit=2") == ["c", "b"])
        #expect(await names("tags=x,y") == ["b"])
        #expect(await names("tags-any=x,y&sort=name:asc") == ["a", "b"])
        #expect(await names("not-tags-any=x") == ["c"])
        #expect(await names("admin_state_up=false") == [])
        let page = await cloud.call("GET", "/lbaas/loadbalancers", query: "limit=2&sort=name:asc")
        #expect(page["loadbalancers_links"].array?.first?.text("rel") == "next")
        let trimmed = await cloud.call("GET", "/lbaas/loadbalancers", query: "fields=name&fields=id")
        #expect(trimmed["loadbalancers"].array?.first?.object?.keys.sorted() == ["id", "name"])
        let unknown = await cloud.call("GET", "/lbaas/loadbalancers", query: "colour=red")
        #expect(unknown.status == 400)
        #expect(unknown.fault == "One or more arguments are either duplicate or invalid")
        let marker = await cloud.call("GET", "/lbaas/loadbalancers", query: "marker=nobody")
        #expect(marker.fault == "Supplied pagination marker 'nobody' is not valid.")
        let key = await cloud.call("GET", "/lbaas/loadbalancers", query: "sort_key=colour")
        #expect(key.fault == "Supplied sort key 'colour' is not valid.")
    }

    @Test("Quotas bound what a project has, and are shown under both of upstream's spellings")
    func quotas() async throws {
        let cloud = try await BalancerCloud()
        let path = "/lbaas/quotas/project-a"
        #expect(await cloud.call("PUT", path, ["quota": ["loadbalancer": 1]]).status == 403)
        let set = await cloud.call("PUT", path, ["quota": ["loadbalancer": 1]], as: .admin())
        #expect(set.status == 202)
        #expect(set["quota"]["load_balancer"] == 1)
        #expect(set["quota"]["loadbalancer"] == 1)
        _ = try await cloud.balancer()
        let more = await cloud.call(
            "POST", "/lbaas/loadbalancers", ["loadbalancer": ["vip_subnet_id": .string(cloud.subnet)]])
        #expect(more.status == 403)
        #expect(more.fault == "Quota has been met for resources: Load Balancer")
        #expect(await cloud.call("DELETE", path, as: .admin()).status == 202)
        #expect(await cloud.call("GET", "/lbaas/quotas/defaults")["quota"]["l7rule"] == -1)
    }

    @Test("One call makes a balancer with everything below it, or nothing of it")
    func graph() async throws {
        let cloud = try await BalancerCloud()
        func body(_ algorithm: JSON) -> JSON {
            [
                "loadbalancer": [
                    "name": "whole", "vip_subnet_id": .string(cloud.subnet),
                    "listeners": [
                        [
                            "protocol": "HTTP", "protocol_port": 80, "default_pool": ["name": "web"],
                            "l7policies": [
                                [
                                    "action": "REDIRECT_TO_POOL",
                                    "redirect_pool": [
                                        "name": "images", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN",
                                    ],
                                    "rules": [["type": "PATH", "compare_type": "STARTS_WITH", "value": "/i"]],
                                ]
                            ],
                        ]
                    ],
                    "pools": [
                        [
                            "name": "web", "protocol": "HTTP", "lb_algorithm": algorithm,
                            "members": [["address": "10.0.0.50", "protocol_port": 80]],
                            "healthmonitor": ["type": "HTTP", "delay": 5, "timeout": 3, "max_retries": 1],
                        ]
                    ],
                ]
            ]
        }
        let refused = await cloud.call("POST", "/lbaas/loadbalancers", body(.null))
        #expect(refused.status == 400)
        #expect(refused.fault.hasSuffix("Pool definition for 'web' missing required attribute: lb_algorithm"))
        #expect(await cloud.call("GET", "/lbaas/loadbalancers")["loadbalancers"].array?.isEmpty == true)
        let answer = await cloud.call("POST", "/lbaas/loadbalancers", body("LEAST_CONNECTIONS"))
        try #require(answer.status == 201, "\(answer.json.text())")
        let made = answer["loadbalancer"]
        #expect(made["pools"]?.array?.count == 2)
        #expect(made["listeners"]?[0]?["l7policies"]?[0]?["rules"]?[0]?["value"] == "/i")
        try await cloud.sync()
        let tree = await cloud.show("statuses", "/lbaas/loadbalancers/\(made.id)/status")
        let pools = tree["loadbalancer"]?["listeners"]?[0]?["pools"]?.array
        #expect(pools?.count == 2)
        #expect(await cloud.haproxy.balancers[made.id]?.pools.flatMap(\.members).count == 1)
    }

    @Test("Flavors and zones stand before profiles, and stay while balancers have them")
    func offerings() async throws {
        let cloud = try await BalancerCloud()
        let refused = await cloud.call("POST", "/lbaas/flavorprofiles", ["flavorprofile": [:]])
        #expect(refused.status == 403)
        let profile = try await cloud.make(
            "flavorprofile", "/lbaas/flavorprofiles",
            [
                "name": "p", "provider_name": "haproxy", "flavor_data": #"{"maximum_connections": 7}"#,
            ], as: .admin())
        let flavor = try await cloud.make(
            "flavor", "/lbaas/flavors", ["name": "f", "flavor_profile_id": .string(profile.id)], as: .admin())
        let balancer = try await cloud.balancer(["flavor_id": .string(flavor.id)])
        #expect(await cloud.haproxy.balancers[balancer.id]?.connectionsMax == 7)
        let kept = await cloud.call("DELETE", "/lbaas/flavors/\(flavor.id)", as: .admin())
        #expect(kept.status == 409)
        #expect(kept.fault == "Flavor \(flavor.id) is in use and cannot be modified.")
        let bad = await cloud.call(
            "POST", "/lbaas/flavorprofiles",
            ["flavorprofile": ["name": "p", "provider_name": "haproxy", "flavor_data": #"{"colour": 1}"#]], as: .admin()
        )
        #expect(bad.status == 501)
        let zones = try await cloud.make(
            "availability_zone_profile", "/lbaas/availabilityzoneprofiles",
            [
                "name": "z", "provider_name": "haproxy",
                "availability_zone_data": #"{"valid_vip_networks": ["somewhere-else"]}"#,
            ], as: .admin())
        _ = try await cloud.make(
            "availability_zone", "/lbaas/availabilityzones",
            ["name": "az1", "availability_zone_profile_id": .string(zones.id)], as: .admin())
        let elsewhere = await cloud.call(
            "POST", "/lbaas/loadbalancers",
            ["loadbalancer": ["vip_subnet_id": .string(cloud.subnet), "availability_zone": "az1"]])
        #expect(elsewhere.status == 400)
        #expect(elsewhere.fault.contains("Supplied VIP network_id is not allowed"))
    }

    @Test("A zone of Compute's is the one that the machine lies in; another is not there")
    func computeZones() async throws {
        let cloud = try await BalancerCloud()
        func profile(_ data: String) async -> TestCloud.Answer {
            await cloud.call(
                "POST", "/lbaas/availabilityzoneprofiles",
                [
                    "availability_zone_profile": [
                        "name": "z", "provider_name": "amphora", "availability_zone_data": .string(data),
                    ]
                ], as: .admin())
        }
        #expect(await profile(#"{"compute_zone": "nova"}"#).status == 201)
        let elsewhere = await profile(#"{"compute_zone": "attic"}"#)
        #expect(elsewhere.status == 400)
        #expect(elsewhere.fault == "Nova availability zone attic not found.")
        #expect(await profile(#"{"compute_zone": 7}"#).status == 501)
        let told = await cloud.call(
            "GET", "/lbaas/providers/amphora/availability_zone_capabilities", as: .admin())
        #expect(told["availability_zone_capabilities"].array?.first?["name"]?.string == "compute_zone")
    }

    @Test("A crash between the row and its port, or before the provider knows, leaves nothing stuck")
    func crashes() async throws {
        let cloud = try await BalancerCloud()
        let made = try await cloud.make(
            "loadbalancer", "/lbaas/loadbalancers", ["vip_subnet_id": .string(cloud.subnet)])
        let database = cloud.cloud.database
        // As if the process had died before it wrote the port down.
        try await database.execute(
            "UPDATE load_balancer_load_balancers SET vip_port_id = NULL, vip_address = NULL")
        try await cloud.service.sync.synchronize()
        try await cloud.sync()
        let path = "/lbaas/loadbalancers/\(made.id)"
        let shown = await cloud.show("loadbalancer", path)
        #expect(shown.provisioning == "ACTIVE")
        #expect(shown.text("vip_port_id") == made.text("vip_port_id"))
        // A machine that was switched off lost it: it is handed over again.
        await cloud.haproxy.lose(made.id)
        try await cloud.service.sync.readReports()
        try await cloud.sync()
        #expect(await cloud.haproxy.balancers[made.id] != nil)
        // What nobody knows any more goes at the next start.
        #expect(await cloud.call("DELETE", path).status == 204)
        try await database.execute("DELETE FROM load_balancer_load_balancers")
        try await cloud.service.sync.synchronize()
        #expect(await cloud.haproxy.balancers.isEmpty)
    }
}
