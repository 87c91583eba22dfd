// SPDX-License-Identifier: Apache-2.0
internal import Base

/// What may be chosen about the engines of `apus up`.
package struct EngineOptions: Sendable, Hashable {
    /// Where floating IPs are reached from.
    package enum External: Sendable, Hashable {
        /// A namespace `apus-<digest>-ext` that holds the gateway address; nothing of the machine's own changes.
        case namespace
        /// The machine itself: the gateway address is on a link `apus-<digest>` of the root namespace.
        case host
    }

    package enum Datapath: Sendable, Hashable { case automatic, kernel, userspace }

    /// OVN's name for this machine, and the host name that ports are bound to.
    package var chassisName = (FileSystem.text("/proc/sys/kernel/hostname") ?? "apus").trimmedOfSpace
    package var external = External.namespace
    /// The address of the world outside, which routers use as their next hop, with its prefix length.
    package var externalGateway = "203.0.113.1/24"
    /// The physical network's name in provider networks (`provider:physical_network`).
    package var physicalNetwork = "external"
    /// Whether what leaves through the gateway goes on to the machine's own networks, translated. Changes the machine:
    /// IPv4 forwarding is switched on while the cloud runs.
    package var addressTranslation = false
    /// The address of this chassis' tunnel end, with its prefix length.
    package var tunnelAddress = "192.0.2.1/24"
    package var datapath = Datapath.automatic
    /// The southbound database of a cloud that runs elsewhere, which this machine joins as one more chassis
    /// (`unix:PATH`, `ssl:ADDRESS:PORT`); nil runs OVN's centre here.
    package var southbound: String?
    /// The link that carries tunnels to other chassis: moved into the chassis' namespace while the engines run, and
    /// given back. None is needed while there is one chassis.
    package var underlay: String?
    /// Whether guests can run here: libvirt and its log daemon.
    package var hypervisor = true
    /// Outlives the data directory, so that libvirt's probe of QEMU (seconds) is done once per user and machine.
    package var cacheDirectory =
        (Environment.variable("XDG_CACHE_HOME") ?? (Environment.variable("HOME") ?? "/root") + "/.cache") + "/apus"

    package init() {}

    /// What a frame may carry between chassis.
    package static let underlayMTU = 1500
    /// What remains for guests inside geneve over IPv4: 58 bytes less.
    package static let tunnelMTU = underlayMTU - 58

    func check() throws(Fault) {
        for address in [externalGateway, tunnelAddress] {
            let parts = address.split(separator: "/")
            let octets = parts.first?.split(separator: ".").compactMap { UInt8($0) } ?? []
            guard parts.count == 2, octets.count == 4, let length = Int(parts[1]), (1...32).contains(length) else {
                throw .badRequest("'\(address)' is not an IPv4 address with a prefix length.")
            }
        }
        let named = chassisName + physicalNetwork
        guard !chassisName.isEmpty, !physicalNetwork.isEmpty, !named.contains(where: { "\",: ".contains($0) }) else {
            throw .badRequest("The chassis and the physical network need plain names.")
        }
    }
}
