// SPDX-License-Identifier: Apache-2.0

/// How much a bridge of a host may promise, as `ovn-cms-options` says it (upstream's `resource_provider_bandwidths`,
/// `resource_provider_hypervisors` and `resource_provider_inventory_defaults`).
package struct DeviceBandwidth: Sendable, Hashable {
    /// The name that stands for what tunnels take (`[ml2] tunnelled_network_rp_name`).
    package static let tunnels = "rp_tunnelled"

    package let device: String
    /// In kilobits a second; nil is not counted.
    package let egress: Int?
    package let ingress: Int?
    /// The physical network that the bridge leads to.
    package let physicalNetwork: String?
    /// The compute host whose it is.
    package let hypervisor: String
    /// What is said of every inventory: `allocation_ratio`, `reserved`, `min_unit`, `max_unit`, `step_size`.
    package let defaults: [String: Double]

    package var carriesTunnels: Bool { device == DeviceBandwidth.tunnels }

    package init(
        device: String, egress: Int?, ingress: Int?, physicalNetwork: String?, hypervisor: String,
        defaults: [String: Double] = [:]
    ) {
        self.device = device
        self.egress = egress
        self.ingress = ingress
        self.physicalNetwork = physicalNetwork
        self.hypervisor = hypervisor
        self.defaults = defaults
    }

    /// Reads the options of a host. What leads to no physical network of the host is passed over, as upstream does.
    /// - Parameters:
    ///   - options: the parts of `ovn-cms-options`.
    ///   - bridges: the host's bridges by physical network.
    package static func read(
        _ options: [String], bridges: [(network: String, bridge: String)], host: String
    ) -> [DeviceBandwidth] {
        let parts = HostOptions(options)
        var owners: [String: String] = [:]
        for pair in parts["resource_provider_hypervisors"] where pair.count == 2 { owners[pair[0]] = pair[1] }
        let defaults = parts.defaults("resource_provider_inventory_defaults")
        return parts["resource_provider_bandwidths"].compactMap { words in
            guard words.count == 3, !words[0].isEmpty else { return nil }
            let network = bridges.first { $0.bridge == words[0] }?.network
            guard network != nil || words[0] == tunnels else { return nil }
            return DeviceBandwidth(
                device: words[0], egress: Int(words[1]), ingress: Int(words[2]), physicalNetwork: network,
                hypervisor: owners[words[0]] ?? host, defaults: defaults)
        }
    }
}
