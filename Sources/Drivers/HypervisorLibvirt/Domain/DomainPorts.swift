// SPDX-License-Identifier: Apache-2.0
internal import Compute
internal import Kernel

/// A guest's network cards.
extension DomainXML {
    var cardStyle: CardStyle {
        var style = CardStyle(model: property("hw_vif_model") ?? "virtio", hasOffloads: !settings.userspaceDatapath)
        if style.model == "virtio" {
            style.queues = features.hasMultiqueue ? min(spec.vcpus, settings.queuesMax) : 1
            style.hasPackedRings = features.hasPackedRings
            (style.rxQueueSize, style.txQueueSize) = (settings.rxQueueSize, settings.txQueueSize)
        }
        style.isEncryptedMemory = features.firmware.encryption != nil
        style.limits = CardLimits(spec.extraSpecs)
        return style
    }

    func ports(_ xml: inout XMLWriter) {
        let style = cardStyle
        for nic in spec.nics { nic.write(to: &xml, style) }
    }
}

/// What all cards of a guest have alike. It stands in the domain's mark, for cards that are plugged in later.
struct CardStyle: Hashable {
    var model = "virtio"
    /// With Open vSwitch's userspace datapath the guest's card must not leave checksums to it.
    var hasOffloads: Bool
    var queues = 1
    var hasPackedRings = false
    var rxQueueSize: Int?
    var txQueueSize: Int?
    var isEncryptedMemory = false
    var limits = CardLimits([:])

    init(model: String = "virtio", hasOffloads: Bool) {
        self.model = model
        self.hasOffloads = hasOffloads
    }

    /// As a domain's mark tells it.
    init(mark: [String: String], hasOffloads: Bool) {
        self.init(model: mark["card"] ?? "virtio", hasOffloads: hasOffloads)
        queues = mark["queues"].flatMap { Int($0) } ?? 1
        hasPackedRings = mark["packed"] != nil
        limits = CardLimits(mark: mark["limits"] ?? "")
    }
}

/// What a flavor's `quota:vif_...` allows each card, in libvirt's kilobytes a second.
struct CardLimits: Hashable {
    private var values: [String: Int] = [:]
    private static let names = ["average", "peak", "burst"]

    init(_ extraSpecs: [String: String]) {
        for way in ["inbound", "outbound"] {
            for name in Self.names {
                values["\(way)_\(name)"] = extraSpecs["quota:vif_\(way)_\(name)"].flatMap { Int($0) }
            }
        }
    }

    init(mark: String) {
        for part in mark.split(separator: " ") {
            let pair = part.split(separator: "=")
            if pair.count == 2 { values[String(pair[0])] = Int(pair[1]) }
        }
    }

    var mark: String? {
        values.isEmpty ? nil : values.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: " ")
    }

    func write(to xml: inout XMLWriter) {
        let ways = ["inbound", "outbound"].filter { values[$0 + "_average"] != nil }
        guard !ways.isEmpty else { return }
        xml.element("bandwidth") { xml in
            for way in ways {
                func value(_ name: String) -> String? { values["\(way)_\(name)"].map(String.init) }
                xml.element(
                    way, ["average": value("average"), "peak": value("peak"), "burst": value("burst")])
            }
        }
    }
}

extension HostDevice {
    /// Whether libvirt takes it from the host's driver and gives it back.
    var managed: String { isManaged == false ? "no" : "yes" }

    /// The device as the guest's own, named by its port when it is one.
    func write(to xml: inout XMLWriter) {
        guard let parts = pciParts else { return }
        xml.element("hostdev", ["mode": "subsystem", "type": "pci", "managed": managed]) { xml in
            xml.element("source") { xml in
                xml.element(
                    "address",
                    ["domain": parts.domain, "bus": parts.bus, "slot": parts.slot, "function": parts.function])
            }
            if let portID { xml.element("alias", ["name": "ua-\(portID)"]) }
        }
    }

    /// As libvirt tells of it.
    init?(_ source: XMLElement?, port: String) {
        guard let address = source?["address"]?.attributes else { return nil }
        let parts = ["domain", "bus", "slot", "function"].compactMap { address[$0]?.dropFirst(2) }
        guard parts.count == 4 else { return nil }
        self.init(.pci, address: "\(parts[0]):\(parts[1]):\(parts[2]).\(parts[3])", portID: port)
    }
}

extension GuestNIC {
    /// The port's id travels as the device's alias: the domain itself says which port each of its cards is.
    var alias: String { "ua-\(portID)" }

    func write(to xml: inout XMLWriter, _ style: CardStyle) {
        switch kind {
        case .tap: writeTap(to: &xml, style)
        case .direct: writeDevice(to: &xml)
        case .macvtap: writeMacvtap(to: &xml, style)
        case .whole: hostDevice?.write(to: &xml)
        }
    }

    private func writeTap(to xml: inout XMLWriter, _ style: CardStyle) {
        xml.element("interface", ["type": "ethernet"]) { xml in
            xml.element("mac", ["address": mac])
            xml.element("target", ["dev": tap, "managed": "no"])
            xml.element("model", ["type": style.model])
            if style.model == "virtio" { driver(&xml, style) }
            style.limits.write(to: &xml)
            xml.element("mtu", ["size": "\(mtu)"])
            xml.element("alias", ["name": alias])
        }
    }

    /// A function of a network card, given to the guest whole.
    private func writeDevice(to xml: inout XMLWriter) {
        guard let parts = hostDevice?.pciParts else { return }
        xml.element("interface", ["type": "hostdev", "managed": hostDevice?.managed]) { xml in
            xml.element("mac", ["address": mac])
            xml.element("source") { xml in
                xml.element(
                    "address",
                    [
                        "type": "pci", "domain": parts.domain, "bus": parts.bus, "slot": parts.slot,
                        "function": parts.function,
                    ])
            }
            if let vlan { xml.element("vlan") { $0.element("tag", ["id": "\(vlan)"]) } }
            xml.element("alias", ["name": alias])
        }
    }

    /// A function of a network card behind a tap of the kernel.
    private func writeMacvtap(to xml: inout XMLWriter, _ style: CardStyle) {
        guard let device = hostDevice else { return }
        let name = FileSystem.list("/sys/bus/pci/devices/\(device.address)/net").first ?? device.address
        xml.element("interface", ["type": "direct"]) { xml in
            xml.element("mac", ["address": mac])
            xml.element("source", ["dev": name, "mode": "passthrough"])
            xml.element("model", ["type": style.model])
            if let vlan { xml.element("vlan") { $0.element("tag", ["id": "\(vlan)"]) } }
            xml.element("alias", ["name": alias])
        }
    }

    private func driver(_ xml: inout XMLWriter, _ style: CardStyle) {
        let isPlain =
            style.hasOffloads && style.queues == 1 && !style.hasPackedRings && style.rxQueueSize == nil
            && style.txQueueSize == nil && !style.isEncryptedMemory
        guard !isPlain else { return }
        // Several queues are the kernel's to serve where it can; a translated guest's are QEMU's own.
        let attributes: KeyValuePairs<String, String?> = [
            "name": style.hasOffloads ? nil : "qemu", "queues": style.queues > 1 ? "\(style.queues)" : nil,
            "rx_queue_size": style.rxQueueSize.map(String.init),
            "tx_queue_size": style.txQueueSize.map(String.init), "packed": style.hasPackedRings ? "on" : nil,
            "iommu": style.isEncryptedMemory ? "on" : nil,
        ]
        guard !style.hasOffloads else { return xml.element("driver", attributes) }
        xml.element("driver", attributes) { xml in
            xml.element(
                "host",
                [
                    "csum": "off", "gso": "off", "tso4": "off", "tso6": "off", "ecn": "off", "ufo": "off",
                    "mrg_rxbuf": "off",
                ])
            xml.element("guest", ["csum": "off", "tso4": "off", "tso6": "off", "ecn": "off", "ufo": "off"])
        }
    }

    /// The ports of a domain, read back from its XML.
    static func all(in domain: XMLElement) -> [GuestNIC] {
        let cards = (domain["devices"]?.all("interface") ?? []).compactMap { device -> GuestNIC? in
            guard let port = port(of: device), let mac = device["mac"]?.attributes["address"] else { return nil }
            let mtu = device["mtu"]?.attributes["size"].flatMap { Int($0) }
            var nic = GuestNIC(portID: port, mac: mac, mtu: mtu ?? 1500)
            nic.queues = device["driver"]?.attributes["queues"].flatMap { Int($0) } ?? 1
            switch device.attributes["type"] {
            case "hostdev":
                nic.kind = .direct
                nic.hostDevice = HostDevice(device["source"], port: port)
                nic.hostDevice?.isManaged = device.attributes["managed"] == "no" ? false : nil
            case "direct":
                nic.kind = .macvtap
                // Which function the card belongs to is not told; its name on the host will do.
                nic.hostDevice = device["source"]?.attributes["dev"].map { HostDevice(.pci, address: $0, portID: port) }
            default: break
            }
            if let tap = device["target"]?.attributes["dev"] { nic.tap = tap }
            return nic
        }
        let whole = (domain["devices"]?.all("hostdev") ?? []).compactMap { device -> GuestNIC? in
            guard let port = port(of: device), let found = HostDevice(device["source"], port: port) else { return nil }
            var nic = GuestNIC(portID: port, mac: "", mtu: 1500)
            (nic.kind, nic.hostDevice) = (.whole, found)
            nic.hostDevice?.isManaged = device.attributes["managed"] == "no" ? false : nil
            return nic
        }
        return cards + whole
    }

    private static func port(of device: XMLElement) -> String? {
        guard let alias = device["alias"]?.attributes["name"], alias.hasPrefix("ua-") else { return nil }
        return String(alias.dropFirst(3))
    }
}
