// SPDX-License-Identifier: Apache-2.0

/// How many thousand packets a second a host's switch may promise, as `ovn-cms-options` says it (upstream's
/// `resource_provider_packet_processing_without_direction`, `..._with_direction` and `..._inventory_defaults`).
package struct PacketRate: Sendable, Hashable {
    /// The compute host whose it is.
    package let hypervisor: String
    /// Both ways together; then the two ways are not told apart.
    package let any: Int?
    package let egress: Int?
    package let ingress: Int?
    /// What is said of every inventory: `allocation_ratio`, `reserved`, `min_unit`, `max_unit`, `step_size`.
    package let defaults: [String: Double]

    /// Reads the options of a host; without a name a rate is the host's own.
    package static func read(_ options: [String], host: String) -> [PacketRate] {
        let parts = HostOptions(options)
        let defaults = parts.defaults("resource_provider_packet_processing_inventory_defaults")
        func owner(_ name: String) -> String { name.isEmpty ? host : name }
        let plain = parts["resource_provider_packet_processing_without_direction"].compactMap { words in
            words.count == 2
                ? PacketRate(
                    hypervisor: owner(words[0]), any: Int(words[1]), egress: nil, ingress: nil, defaults: defaults)
                : nil
        }
        guard plain.isEmpty else { return plain }
        return parts["resource_provider_packet_processing_with_direction"].compactMap { words in
            words.count == 3
                ? PacketRate(
                    hypervisor: owner(words[0]), any: nil, egress: Int(words[1]), ingress: Int(words[2]),
                    defaults: defaults)
                : nil
        }
    }
}

/// The parts of `ovn-cms-options` that are lists of words.
struct HostOptions {
    private let options: [String]
    private static let members: Set = ["allocation_ratio", "reserved", "min_unit", "max_unit", "step_size"]

    init(_ options: [String]) { self.options = options }

    subscript(name: String) -> [[String]] {
        guard let option = options.first(where: { $0.hasPrefix(name + "=") }) else { return [] }
        return option.dropFirst(name.count + 1).split(separator: ";").map {
            $0.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
        }
    }

    func defaults(_ name: String) -> [String: Double] {
        var defaults: [String: Double] = [:]
        for pair in self[name] where pair.count == 2 && HostOptions.members.contains(pair[0]) {
            defaults[pair[0]] = Double(pair[1])
        }
        return defaults
    }
}
