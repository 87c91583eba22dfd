// SPDX-License-Identifier: Apache-2.0
import Kernel
import LoadBalancer
import Testing

/// What every provider must do, one case at a time, each with balancers of its own.
enum BalancerProviderConformance: String, CaseIterable, Sendable {
    case aBalancerWithoutListenersIsThere
    case puttingTwiceIsPuttingOnce
    case theReportNamesEveryPart
    case aChangeIsTheWholeOfIt
    case balancersLeaveEachOtherAlone
    case removingTwiceLeavesNothing
    case whatIsNotThereDoesNotReport

    /// - Parameter bare: the nth balancer without listeners and pools, with an address that can be had.
    func run(on provider: any LoadBalancerProvider, _ bare: @escaping @Sendable (Int) -> BalancerSpec) async throws {
        let check = Check(provider: provider, bare: bare)
        switch self {
        case .aBalancerWithoutListenersIsThere: try await check.empty()
        case .puttingTwiceIsPuttingOnce: try await check.twice()
        case .theReportNamesEveryPart: try await check.parts()
        case .aChangeIsTheWholeOfIt: try await check.change()
        case .balancersLeaveEachOtherAlone: try await check.two()
        case .removingTwiceLeavesNothing: try await check.removal()
        case .whatIsNotThereDoesNotReport: try await check.unknown()
        }
        for number in 1...2 { try await provider.remove(bare(number).id) }
        #expect(try await provider.present().isEmpty, "\(self)")
    }
}

private struct Check {
    let provider: any LoadBalancerProvider
    let bare: @Sendable (Int) -> BalancerSpec

    private func full(_ number: Int) -> BalancerSpec {
        var spec = bare(number)
        var pool = PoolSpec(id: "pool-\(number)", protocol: .tcp, algorithm: .sourceIPPort)
        let subnet = spec.addresses[0].subnetID
        pool.members = [11, 12, 13].map { last in
            let base = spec.addresses[0].address.split(separator: ".").dropLast().joined(separator: ".")
            var member = MemberSpec(id: "m\(last)-\(number)", address: "\(base).\(last)", port: 8080)
            (member.subnetID, member.networkID) = (subnet, spec.networkID)
            return member
        }
        pool.members[1].enabled = false
        pool.members[2].weight = 0
        spec.pools = [pool]
        spec.listeners = [80, 81].map { port in
            var listener = ListenerSpec(id: "l\(port)-\(number)", protocol: .tcp, port: port)
            listener.defaultPoolID = pool.id
            return listener
        }
        return spec
    }

    func empty() async throws {
        let spec = bare(1)
        try await provider.put(spec)
        #expect(try await provider.present() == [spec.id])
        let report = try #require(try await provider.report(spec.id))
        #expect(report.members.isEmpty && report.listeners.isEmpty)
    }

    func twice() async throws {
        let spec = full(1)
        try await provider.put(spec)
        let first = try #require(try await provider.report(spec.id))
        try await provider.put(spec)
        #expect(try await provider.report(spec.id)?.run == first.run, "what counts went on counting")
        #expect(try await provider.present() == [spec.id])
    }

    func parts() async throws {
        let spec = full(1)
        try await provider.put(spec)
        let report = try #require(try await provider.report(spec.id))
        #expect(report.members == ["m11-1": .unchecked, "m12-1": .disabled, "m13-1": .draining])
        #expect(Set(report.listeners.keys) == ["l80-1", "l81-1"])
        #expect(report.listeners.values.allSatisfy { $0.totalConnections == 0 })
        #expect(report.full.isEmpty)
    }

    func change() async throws {
        var spec = full(1)
        try await provider.put(spec)
        spec.generation += 1
        spec.listeners.removeFirst()
        spec.pools[0].members[1].enabled = true
        spec.pools[0].members.removeLast()
        try await provider.put(spec)
        let report = try #require(try await provider.report(spec.id))
        #expect(report.members == ["m11-1": .unchecked, "m12-1": .unchecked])
        #expect(Set(report.listeners.keys) == ["l81-1"])
        spec.enabled = false
        try await provider.put(spec)
        #expect(try await provider.report(spec.id) != nil, "one that is switched off is still there")
    }

    func two() async throws {
        let (one, other) = (full(1), full(2))
        try await provider.put(one)
        try await provider.put(other)
        #expect(try await provider.present() == [one.id, other.id])
        try await provider.remove(other.id)
        #expect(try await provider.present() == [one.id])
        #expect(try await provider.report(one.id)?.members.count == 3)
    }

    func removal() async throws {
        let spec = full(1)
        try await provider.put(spec)
        try await provider.remove(spec.id)
        try await provider.remove(spec.id)
        #expect(try await provider.report(spec.id) == nil)
        try await provider.put(spec)
        #expect(try await provider.report(spec.id) != nil, "and it can be made again")
    }

    func unknown() async throws {
        #expect(try await provider.report("99999999-2222-4333-8444-555555555555") == nil)
        try await provider.remove("99999999-2222-4333-8444-555555555555")
    }
}
