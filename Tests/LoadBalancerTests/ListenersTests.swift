// SPDX-License-Identifier: Apache-2.0
import Kernel
import LoadBalancer
import Simulation
import Testing

struct ListenersTests {
    @Test(
        "Listeners are refused in upstream's words",
        arguments: [
            (["protocol": "FTP", "protocol_port": 1], "Value should be one of: TCP, HTTPS, HTTP"),
            (["protocol": "TCP"], "field/attribute protocol_port. Value: 'None'. Mandatory field missing."),
            (["protocol": "TCP", "protocol_port": 0], "Value should be greater or equal to 1"),
            (
                ["protocol": "TCP", "protocol_port": 1, "colour": "red"],
                "Unknown attribute for argument listener_.listener"
            ),
            (
                ["protocol": "TERMINATED_HTTPS", "protocol_port": 1],
                "must be provided for TERMINATED_HTTPS protocol listeners"
            ),
            (
                ["protocol": "TERMINATED_HTTPS", "protocol_port": 1, "default_tls_container_ref": "http://x/nowhere"],
                "Could not retrieve certificate: ['http://x/nowhere']"
            ),
            (
                ["protocol": "TCP", "protocol_port": 1, "insert_headers": ["X-Forwarded-For": "true"]],
                "insert-headers is not a valid option for a TCP protocol listener."
            ),
            (
                ["protocol": "HTTP", "protocol_port": 1, "allowed_cidrs": ["fd00::/8"]],
                "IP version incompatible with all VIPs"
            ),
            (["protocol": "HTTP", "protocol_port": 1, "hsts_max_age": 3], "The HSTS feature can only be used"),
        ] as [(JSON, String)])
    func refusals(members: JSON, words: String) async throws {
        let cloud = try await BalancerCloud()
        let balancer = try await cloud.balancer()
        var object = members.object ?? [:]
        object["loadbalancer_id"] = .string(balancer.id)
        let answer = await cloud.call("POST", "/lbaas/listeners", ["listener": .object(object)])
        #expect(answer.status == 400)
        #expect(answer.fault.contains(words), "\(answer.fault)")
    }

    @Test("A port is taken once per transport, and again once its listener is leaving")
    func ports() async throws {
        let cloud = try await BalancerCloud()
        let balancer = try await cloud.balancer()
        let first = try await cloud.listener(balancer.id)
        _ = try await cloud.listener(balancer.id, ["protocol": "UDP"])
        let taken = await cloud.call(
            "POST", "/lbaas/listeners",
            ["listener": ["loadbalancer_id": .string(balancer.id), "protocol": "TCP", "protocol_port": 80]])
        #expect(taken.status == 409)
        #expect(taken.fault.contains("already using protocol HTTP and protocol_port 80"))
        #expect(await cloud.call("DELETE", "/lbaas/listeners/\(first.id)").status == 204)
        _ = try await cloud.listener(balancer.id)
        #expect(await cloud.call("GET", "/lbaas/listeners/\(first.id)").status == 404)
        #expect(await cloud.haproxy.balancers[balancer.id]?.listeners.count == 2)
    }

    @Test("A terminated listener has upstream's ciphers and versions, and the provider gets the certificate itself")
    func termination() async throws {
        let cloud = try await BalancerCloud()
        cloud.certificates.put(CertificateBundle(certificate: "CERT", key: "KEY"), "http://keys/1")
        let balancer = try await cloud.balancer()
        let listener = try await cloud.listener(
            balancer.id, ["protocol": "TERMINATED_HTTPS", "default_tls_container_ref": "http://keys/1"])
        #expect(listener["tls_versions"] == ["TLSv1.2", "TLSv1.3"])
        #expect(listener["alpn_protocols"] == ["h2", "http/1.1", "http/1.0"])
        #expect(listener.text("tls_ciphers").hasPrefix("TLS_AES_128_GCM_SHA256:"))
        let spec = await cloud.haproxy.balancers[balancer.id]
        #expect(spec?.listeners.first?.certificates.first?.key == "KEY")
    }

    @Test("A change is read member by member: what is not named stays, and null is the default")
    func change() async throws {
        let cloud = try await BalancerCloud()
        let balancer = try await cloud.balancer()
        let pool = try await cloud.pool(balancer.id)
        let made = try await cloud.listener(
            balancer.id, ["name": "a", "connection_limit": 5, "default_pool_id": .string(pool.id)])
        let path = "/lbaas/listeners/\(made.id)"
        let answer = await cloud.call(
            "PUT", path, ["listener": ["connection_limit": .null, "description": "d", "default_pool_id": .null]])
        try #require(answer.status == 200, "\(answer.json.text())")
        #expect(answer["listener"].provisioning == "PENDING_UPDATE")
        #expect(answer["listener"]["connection_limit"] == -1)
        #expect(answer["listener"].text("name") == "a")
        #expect(answer["listener"]["default_pool_id"] == .null)
        try await cloud.sync()
        #expect(await cloud.show("listener", path).provisioning == "ACTIVE")
    }

    @Test("Figures add up over the lives of what counts them, for the listener and for its balancer")
    func figures() async throws {
        let cloud = try await BalancerCloud()
        let balancer = try await cloud.balancer()
        let listener = try await cloud.listener(balancer.id)
        await cloud.haproxy.count(
            Figures(bytesIn: 10, bytesOut: 20, activeConnections: 1, totalConnections: 3), on: listener.id)
        try await cloud.service.sync.readReports()
        await cloud.haproxy.restart()
        await cloud.haproxy.count(Figures(bytesIn: 1, totalConnections: 1), on: listener.id)
        try await cloud.service.sync.readReports()
        for path in ["/lbaas/listeners/\(listener.id)/stats", "/lbaas/loadbalancers/\(balancer.id)/stats"] {
            let stats = await cloud.show("stats", path)
            #expect(stats["bytes_in"] == 11)
            #expect(stats["total_connections"] == 4)
            #expect(stats["active_connections"] == 0)
        }
    }
}
