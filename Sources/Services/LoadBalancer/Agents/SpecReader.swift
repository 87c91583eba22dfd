// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Puts the rows of one balancer together into what a provider makes real.
struct SpecReader: Sendable {
    private let room: LoadBalancerService
    private let requestID: String

    init(_ room: LoadBalancerService, requestID: String) {
        self.room = room
        self.requestID = requestID
    }

    func read(_ row: LoadBalancer) async throws(Fault) -> BalancerSpec {
        let forest = try await Forest(room.database, of: [row.id]).staying
        guard let portID = row.vipPortID, let port = try await room.network.port(portID, requestID: requestID) else {
            throw .unavailable("The port of load balancer \(row.id) is not there.")
        }
        let network = try await room.network.network(port.networkID, requestID: requestID)
        var addresses: [BalancerSpec.Address] = []
        for vip in [AdditionalVIP(subnetID: row.vipSubnetID ?? "", address: row.vipAddress)] + row.additionalVIPs {
            guard let address = vip.address else { continue }
            let subnet = try await subnet(vip.subnetID)
            addresses.append(
                BalancerSpec.Address(
                    address: address, subnetID: vip.subnetID, cidr: subnet["cidr"]?.string ?? "",
                    gateway: subnet["gateway_ip"]?.string))
        }
        let most = try await connectionsMax(row)
        var spec = BalancerSpec(
            id: row.id, projectID: row.projectID, generation: row.generation, enabled: row.enabled,
            networkID: port.networkID, portID: portID, mac: port.mac, mtu: network?.mtu ?? 1500, addresses: addresses,
            connectionsMax: most)
        if room.providers.abilities(row.provider).needsLegs {
            spec.legs = try await MemberLegs(room, requestID: requestID).ensure(row, forest.members)
        }
        for pool in forest.pools { spec.pools.append(try await self.spec(pool, forest, row)) }
        try await MonitorSources(room, requestID: requestID).fill(&spec, row)
        for listener in forest.listeners { spec.listeners.append(try await self.spec(listener, forest)) }
        return spec
    }

    private func subnet(_ id: String) async throws(Fault) -> JSON {
        try await room.network.document("GET", "/subnets/\(id)", nil, requestID: requestID)["subnet"] ?? .null
    }

    private func connectionsMax(_ row: LoadBalancer) async throws(Fault) -> Int? {
        guard let id = row.flavorID, let flavor = try await room.database.first(Flavor.self, "id = \(id)") else {
            return nil
        }
        let profile = flavor.flavorProfileID
        return try await room.database.first(FlavorProfile.self, "id = \(profile)")?.connectionsMax
    }

    private func spec(_ row: Listener, _ forest: Forest) async throws(Fault) -> ListenerSpec {
        var spec = ListenerSpec(id: row.id, protocol: row.protocol, port: row.protocolPort)
        spec.enabled = row.enabled
        spec.connectionLimit = row.connectionLimit
        spec.defaultPoolID = forest.pools.contains { $0.id == row.defaultPoolID } ? row.defaultPoolID : nil
        spec.insertHeaders = row.insertHeaders
        (spec.timeoutClient, spec.timeoutConnect) = (row.timeoutClientData, row.timeoutMemberConnect)
        (spec.timeoutServer, spec.timeoutInspect) = (row.timeoutMemberData, row.timeoutTCPInspect)
        spec.allowedBlocks = row.allowedCIDRs
        for reference in [row.defaultTLSContainerRef].compactMap({ $0 }) + row.sniContainerRefs {
            spec.certificates.append(try await certificate(reference, row.projectID))
        }
        spec.clientAuthority = try await secret(row.clientCATLSContainerRef, row.projectID)
        spec.clientRevocations = try await secret(row.clientCRLContainerRef, row.projectID)
        spec.clientAuthentication = row.clientAuthentication
        spec.tls.ciphers = row.tlsCiphers
        spec.tls.versions = row.tlsVersions ?? []
        spec.tls.protocols = row.alpnProtocols ?? []
        if let age = row.hstsMaxAge {
            spec.transportSecurity =
                "max-age=\(age)" + (row.hstsIncludeSubdomains ? "; includeSubDomains" : "")
                + (row.hstsPreload ? "; preload" : "")
        }
        spec.policies = forest.policies(of: row).filter(\.enabled).map { self.spec($0, forest) }
        return spec
    }

    private func spec(_ row: L7Policy, _ forest: Forest) -> PolicySpec {
        var spec = PolicySpec(id: row.id, action: row.action)
        (spec.poolID, spec.url, spec.prefix) = (row.redirectPoolID, row.redirectURL, row.redirectPrefix)
        spec.code = row.redirectHTTPCode
        spec.rules = forest.rules(of: row).filter(\.enabled).map {
            RuleSpec(
                kind: $0.type, comparison: $0.compareType, key: $0.key, value: $0.value, isInverted: $0.invert)
        }
        return spec
    }

    private func spec(_ row: Pool, _ forest: Forest, _ balancer: LoadBalancer) async throws(Fault) -> PoolSpec {
        var spec = PoolSpec(id: row.id, protocol: row.protocol, algorithm: row.lbAlgorithm)
        spec.enabled = row.enabled
        spec.persistence = row.sessionPersistence
        spec.isEncrypted = row.tlsEnabled
        spec.tls.ciphers = row.tlsCiphers
        spec.tls.versions = row.tlsVersions ?? []
        spec.tls.protocols = row.alpnProtocols ?? []
        if let reference = row.tlsContainerRef { spec.certificate = try await certificate(reference, row.projectID) }
        spec.authority = try await secret(row.caTLSContainerRef, row.projectID)
        spec.revocations = try await secret(row.crlContainerRef, row.projectID)
        spec.members = forest.members(of: row).map { member in
            var item = MemberSpec(id: member.id, address: member.address, port: member.protocolPort)
            item.enabled = member.enabled
            item.weight = member.weight
            item.isBackup = member.backup
            item.subnetID = member.subnetID ?? balancer.vipSubnetID
            (item.monitorAddress, item.monitorPort) = (member.monitorAddress, member.monitorPort)
            return item
        }
        if let monitor = forest.monitor(of: row), monitor.enabled { spec.monitor = self.spec(monitor) }
        return spec
    }

    private func spec(_ row: HealthMonitor) -> MonitorSpec {
        var spec = MonitorSpec(
            id: row.id, kind: row.type, delay: row.delay, timeout: row.timeout, rise: row.maxRetries,
            fall: row.maxRetriesDown)
        (spec.method, spec.path, spec.codes) = (row.httpMethod, row.urlPath, row.expectedCodes)
        (spec.version, spec.domain) = (row.httpVersion, row.domainName)
        return spec
    }

    private func certificate(_ reference: String, _ project: String) async throws(Fault) -> CertificateBundle {
        guard let bundle = try await room.certificates.certificate(reference, project: project) else {
            throw .unavailable("The certificate \(reference) is not there any more.")
        }
        return bundle
    }

    private func secret(_ reference: String?, _ project: String) async throws(Fault) -> String? {
        guard let reference else { return nil }
        guard let text = try await room.certificates.secret(reference, project: project) else {
            throw .unavailable("The secret \(reference) is not there any more.")
        }
        return text
    }
}
