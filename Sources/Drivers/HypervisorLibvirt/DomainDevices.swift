// SPDX-License-Identifier: Apache-2.0
internal import Kernel
internal import Compute

/// A disk of a guest: a file with a part to play.
struct GuestDisk: Hashable {
    enum Role { case root, ephemeral, swap, configDrive, installer }

    let role: Role
    let path: String
    /// `qcow2` or `raw`, always stated: a format that is guessed from a guest's data is a way out of the guest.
    let format: String

    private var isCDROM: Bool { role == .configDrive || role == .installer }

    func write(to xml: inout XMLWriter, names: inout DiskNames, cache: String) {
        let (target, bus) = names.next(isCDROM: isCDROM)
        xml.element("disk", ["type": "file", "device": isCDROM ? "cdrom" : "disk"]) { xml in
            xml.element(
                "driver",
                [
                    "name": "qemu", "type": format, "cache": isCDROM ? nil : cache,
                    "discard": isCDROM ? nil : "unmap",
                ])
            xml.element("source", ["file": path])
            xml.element("target", ["dev": target, "bus": bus])
            if isCDROM { xml.element("readonly") }
        }
    }
}

/// Hands out disk names by bus: `vda`, `sda`, `hda`, counted apart.
struct DiskNames {
    private let diskBus: String
    private let cdromBus: String
    private var used: [String: Int] = [:]
    private(set) var usesSCSI = false

    init(machine: String, properties: [String: String]) {
        diskBus = properties["hw_disk_bus"] ?? "virtio"
        // q35 has no IDE; aarch64's virt has neither IDE nor SATA.
        let byMachine = machine.contains("q35") ? "sata" : machine.hasPrefix("virt") ? "scsi" : "ide"
        cdromBus = properties["hw_cdrom_bus"] ?? byMachine
    }

    mutating func next(isCDROM: Bool) -> (target: String, bus: String) {
        let bus = isCDROM ? cdromBus : diskBus
        if bus == "scsi" { usesSCSI = true }
        let prefix =
            switch bus {
            case "virtio": "vd"
            case "ide": "hd"
            default: "sd"
            }
        let number = used[prefix, default: 0]
        used[prefix] = number + 1
        return (prefix + String(UnicodeScalar(UInt8(97 + number % 26))), bus)
    }
}

extension GuestNIC {
    /// The port's id travels as the device's alias: the domain itself says which port each of its cards is.
    var alias: String { "ua-\(portID)" }

    func write(to xml: inout XMLWriter, model: String, offloads: Bool) {
        xml.element("interface", ["type": "ethernet"]) { xml in
            xml.element("mac", ["address": mac])
            xml.element("target", ["dev": tap, "managed": "no"])
            xml.element("model", ["type": model])
            if model == "virtio" && !offloads {
                xml.element("driver", ["name": "qemu"]) { xml in
                    xml.element(
                        "host",
                        [
                            "csum": "off", "gso": "off", "tso4": "off", "tso6": "off", "ecn": "off", "ufo": "off",
                            "mrg_rxbuf": "off",
                        ])
                    xml.element(
                        "guest", ["csum": "off", "tso4": "off", "tso6": "off", "ecn": "off", "ufo": "off"])
                }
            }
            xml.element("mtu", ["size": "\(mtu)"])
            xml.element("alias", ["name": alias])
        }
    }

    /// The ports of a domain, read back from its XML.
    static func all(in domain: XMLElement) -> [GuestNIC] {
        (domain["devices"]?.all("interface") ?? []).compactMap { device in
            guard let alias = device["alias"]?.attributes["name"], alias.hasPrefix("ua-"),
                let mac = device["mac"]?.attributes["address"]
            else { return nil }
            let mtu = device["mtu"]?.attributes["size"].flatMap { Int($0) }
            var nic = GuestNIC(portID: String(alias.dropFirst(3)), mac: mac, mtu: mtu ?? 1500)
            if let tap = device["target"]?.attributes["dev"] { nic.tap = tap }
            return nic
        }
    }
}
