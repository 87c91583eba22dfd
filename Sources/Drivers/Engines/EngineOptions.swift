// SPDX-License-Identifier: Apache-2.0
internal import Base
package import Config

/// What may be chosen about the engines of `apus up`.
package struct EngineOptions: Options, Hashable {
    package static let section = INI.defaultSection

    /// Where floating IPs are reached from.
    package enum External: String, Sendable, CaseIterable {
        /// A namespace `apus-<digest>-ext` that holds the gateway address; nothing of the machine's own changes.
        case namespace
        /// The machine itself: the gateway address is on a link `apus-<digest>` of the root namespace.
        case host
    }

    /// By the names that `[ovs] datapath_type` has for them upstream.
    package enum Datapath: String, Sendable, CaseIterable {
        case automatic = "auto"
        case kernel = "system"
        case userspace = "netdev"
    }

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
    /// What bridges may promise, as `ovn-cms-options` has it: `br-ex:1000000:1000000`, several parted by commas.
    package var bandwidths: [String] = []
    /// What the switch may promise: `HOST:RATE`, or `HOST:EGRESS:INGRESS`; one of the two.
    package var packetRates: [String] = []
    package var directedPacketRates: [String] = []
    /// The southbound database of a cloud that runs elsewhere, which this machine joins as one more chassis
    /// (`unix:PATH`, `ssl:ADDRESS:PORT`); nil runs OVN's centre here.
    package var southbound: String?
    /// Our private key, our certificate and the authority's, where it speaks TLS.
    package var southboundFiles: [String] = []
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
        for address in [externalGateway, tunnelAddress] where !EngineOptions.isAddress(address) {
            throw .badRequest("'\(address)' is not an IPv4 address with a prefix length.")
        }
        guard EngineOptions.isPlain(chassisName), EngineOptions.isPlain(physicalNetwork) else {
            throw .badRequest("The chassis and the physical network need plain names.")
        }
    }
    private static func isAddress(_ text: String) -> Bool {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        let octets = parts[0].split(separator: ".", omittingEmptySubsequences: false).compactMap { UInt8($0) }
        return parts.count == 2 && octets.count == 4 && (1...32).contains(Int(parts[1]) ?? 0)
    }

    private static func isPlain(_ name: String) -> Bool {
        !name.isEmpty && !name.contains { "\",: ".contains($0) }
    }
}

// MARK: - As an operator sets them

extension EngineOptions {
    /// What networks and Placement are told of this host, as `ovn-cms-options` has it.
    package var promises: [String] {
        [
            ("resource_provider_bandwidths", bandwidths),
            ("resource_provider_packet_processing_without_direction", packetRates),
            ("resource_provider_packet_processing_with_direction", directedPacketRates),
        ].filter { !$0.1.isEmpty }.map { "\($0)=\($1.joined(separator: ";"))" }
    }

    private mutating func readPromises(_ read: inout OptionReader) {
        bandwidths = read.list(
            "resource_provider_bandwidths",
            help:
                "How many kilobits a second this host's bridges may promise, out and in: br-ex:EGRESS:INGRESS."
        )
        for text in bandwidths where text.split(separator: ":").count != 3 {
            read.refuse("resource_provider_bandwidths: '\(text)' is no bridge with two numbers.")
        }
        packetRates = read.list(
            "resource_provider_packet_processing_without_direction",
            help:
                "How many thousand packets a second this host's switch may promise: HOST:RATE; no host is this one."
        )
        directedPacketRates = read.list(
            "resource_provider_packet_processing_with_direction",
            help: "The same for a switch that tells the two ways apart: HOST:EGRESS:INGRESS."
        )
        for (name, texts, parts) in [
            ("without", packetRates, 2), ("with", directedPacketRates, 3),
        ] {
            for text in texts where text.split(separator: ":", omittingEmptySubsequences: false).count != parts {
                read.refuse("resource_provider_packet_processing_\(name)_direction: '\(text)' is no host with rates.")
            }
        }
        if !packetRates.isEmpty, !directedPacketRates.isEmpty {
            read.refuse(
                "resource_provider_packet_processing_with_direction and ..._without_direction exclude each other.")
        }
    }

    package init(_ read: inout OptionReader) {
        self.init()
        func text(_ name: String, _ form: String, _ standard: String, _ help: String, _ fits: (String) -> Bool)
            -> String
        {
            read.text(name, form, default: standard, help: help) { fits($0) ? $0 : nil } ?? standard
        }
        let name = read.text(
            "host", "plain name", help: "This host's name in the cloud; unset means the machine's own."
        ) {
            EngineOptions.isPlain($0) ? $0 : nil
        }
        chassisName = name ?? chassisName
        read.section("external")
        let address = "IPv4 address with a prefix length, such as 203.0.113.1/24"
        externalGateway = text(
            "gateway", address, externalGateway,
            "The address of the world outside, which routers use as their next hop; its network holds the floating "
                + "IPs.",
            EngineOptions.isAddress)
        external = read.choice(
            "location", default: external,
            help: "Where the gateway address is: in a namespace of its own, or on a link of the host itself.")
        addressTranslation = read.bool(
            "address_translation", default: addressTranslation,
            help: "Whether guests reach the machine's own networks through the gateway, translated. Switches on IPv4 "
                + "forwarding while the cloud runs.")
        physicalNetwork = text(
            "physical_network", "plain name", physicalNetwork, "The outside network's name in provider networks.",
            EngineOptions.isPlain)
        read.section("ovs")
        datapath = read.choice(
            "datapath_type", default: datapath,
            help: "Who forwards packets: the kernel (system), Open vSwitch itself (netdev), or the kernel if it can "
                + "(auto).")
        tunnelAddress = text(
            "local_ip", address, tunnelAddress, "The address of this host's tunnel end.", EngineOptions.isAddress)
        underlay = read.string(
            "underlay",
            help: "The link that carries tunnels to other hosts, lent to the cloud while it runs. Unset: none.")
        readPromises(&read)
        read.section("ovn")
        southbound = read.string(
            "ovn_sb_connection",
            help: "The southbound database of an OVN that runs elsewhere (ssl:ADDRESS:PORT). Unset means one of this "
                + "program's own.")
        southboundFiles = ["private_key", "certificate", "ca_cert"].map { name in
            read.string("ovn_sb_\(name)", default: "", help: "A PEM file for a southbound database that speaks TLS.")
        }.filter { !$0.isEmpty }
        if southbound?.contains("ssl:") == true, southboundFiles.count < 3 {
            read.refuse("ovn_sb_connection needs ovn_sb_private_key, ovn_sb_certificate and ovn_sb_ca_cert.")
        }
    }
}
