// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// The hypervisors this process reaches, by the name of their host.
package struct HypervisorHosts: Sendable {
    private let hypervisors: [String: any Hypervisor]

    package init(_ hypervisors: [String: any Hypervisor]) { self.hypervisors = hypervisors }

    package var names: [String] { hypervisors.keys.sorted() }

    func find(_ host: String) throws(Fault) -> any Hypervisor {
        guard let hypervisor = hypervisors[host] else {
            throw .unavailable("The compute host \(host) is not reached from here; is its agent running?")
        }
        return hypervisor
    }
}
