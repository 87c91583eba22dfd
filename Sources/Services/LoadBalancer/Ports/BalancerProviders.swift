// SPDX-License-Identifier: Apache-2.0
import Kernel

/// The providers by the names clients know. Upstream's names for its own virtual machines (`amphora`, and `octavia` for
/// short) mean HAProxy here, so that what was written for them runs.
package struct BalancerProviders: Sendable {
    package static let names = ["haproxy", "ovn", "amphora", "octavia"]

    /// Name and description, as the list of providers shows them.
    static let descriptions = [
        ("haproxy", "HAProxy in a network namespace per load balancer."),
        ("ovn", "Octavia OVN driver."),
        ("amphora", "Another name of haproxy for what was written for the Octavia Amphora driver."),
        ("octavia", "Another name of haproxy for what was written for the Octavia Amphora driver."),
    ]

    private let haproxy: any LoadBalancerProvider
    private let ovn: any LoadBalancerProvider
    private let hostName: String?

    /// - Parameter host: where HAProxy's addresses are plugged in.
    package init(haproxy: any LoadBalancerProvider, ovn: any LoadBalancerProvider, host: String? = nil) {
        self.haproxy = haproxy
        self.ovn = ovn
        hostName = host
    }

    /// Both in memory.
    package static func fake() -> BalancerProviders {
        BalancerProviders(haproxy: FakeLoadBalancerProvider(.haproxy), ovn: FakeLoadBalancerProvider(.ovn))
    }

    /// Each once.
    var all: [any LoadBalancerProvider] { [haproxy, ovn] }

    func require(_ name: String) throws(Fault) -> any LoadBalancerProvider {
        guard BalancerProviders.names.contains(name) else {
            throw .badRequest("Provider '\(name)' is not enabled.")
        }
        return provider(name)
    }

    func provider(_ name: String) -> any LoadBalancerProvider { name == "ovn" ? ovn : haproxy }
    func abilities(_ name: String) -> ProviderAbilities { provider(name).abilities }
    /// Where a provider's addresses are plugged in; nil: nowhere in particular.
    func host(_ name: String) -> String? { name == "ovn" ? nil : hostName }
}
