// SPDX-License-Identifier: Apache-2.0
internal import Compute
internal import Kernel

/// A guest's network cards.
extension DomainXML {
    var nicModel: String { property("hw_vif_model") ?? "virtio" }

    func ports(_ xml: inout XMLWriter) {
        for nic in spec.nics { nic.write(to: &xml, model: nicModel, offloads: !settings.userspaceDatapath) }
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
