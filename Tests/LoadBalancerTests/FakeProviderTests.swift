// SPDX-License-Identifier: Apache-2.0
import LoadBalancer
import Testing

struct FakeProviderTests {
    @Test("The providers in memory do what every provider must", arguments: BalancerProviderConformance.allCases)
    func conformance(part: BalancerProviderConformance) async throws {
        for abilities in [ProviderAbilities.haproxy, .ovn] {
            try await part.run(on: FakeLoadBalancerProvider(abilities)) { number in
                BalancerSpec(
                    id: "1111111\(number)-2222-4333-8444-555555555555", projectID: "p", networkID: "n",
                    portID: "port-\(number)", mac: "fa:16:3e:00:00:0\(number)",
                    addresses: [
                        BalancerSpec.Address(address: "10.0.0.\(4 + number)", subnetID: "s", cidr: "10.0.0.0/24")
                    ])
            }
        }
    }
}
