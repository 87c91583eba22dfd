// SPDX-License-Identifier: Apache-2.0
internal import Compute
internal import Kernel

/// Who a guest is: to whoever looks at the domain, and to the guest itself.
extension DomainXML {
    func metadata(_ xml: inout XMLWriter) {
        let origin = spec.origin
        xml.element("metadata") { xml in
            xml.element("nova:instance", ["xmlns:nova": Self.novaNamespace]) { xml in
                xml.element("nova:package", ["version": "apus"])
                xml.element("nova:name", text: spec.title)
                if let created = origin.createdAt {
                    let moment = created.iso8601.dropLast().split(separator: "T").joined(separator: " ")
                    xml.element("nova:creationTime", text: moment)
                }
                xml.element("nova:flavor", ["name": origin.flavorName, "id": origin.flavorID]) { xml in
                    xml.element("nova:memory", text: "\(spec.memoryMiB)")
                    xml.element("nova:disk", text: "\(spec.rootDiskGiB)")
                    xml.element("nova:swap", text: "\(spec.swapMiB)")
                    xml.element("nova:ephemeral", text: "\(spec.ephemeralGiB)")
                    xml.element("nova:vcpus", text: "\(spec.vcpus)")
                }
                xml.element("nova:owner") { xml in
                    xml.element("nova:user", ["uuid": origin.userID], text: origin.userName)
                    xml.element("nova:project", ["uuid": origin.projectID], text: origin.projectName)
                }
                xml.element("nova:root", ["type": "image", "uuid": origin.imageID])
                xml.element("nova:ports") { xml in
                    for nic in spec.nics {
                        xml.element("nova:port", ["uuid": nic.portID]) { xml in
                            for address in nic.addresses {
                                let version = address.contains(":") ? "6" : "4"
                                xml.element(
                                    "nova:ip", ["type": "fixed", "address": address, "ipVersion": version])
                            }
                        }
                    }
                }
            }
            // A port that is plugged in later gets the same kind of card.
            let style = cardStyle
            xml.element(
                "apus:guest",
                [
                    "xmlns:apus": Self.markNamespace, "version": "1", "card": style.model,
                    "queues": style.queues > 1 ? "\(style.queues)" : nil, "packed": style.hasPackedRings ? "on" : nil,
                    "limits": style.limits.mark,
                ])
        }
    }

    /// What the guest reads from its firmware tables. cloud-init knows OpenStack by the product's name.
    func identity(_ xml: inout XMLWriter) {
        xml.element("sysinfo", ["type": "smbios"]) { xml in
            xml.element("system") { xml in
                xml.element("entry", ["name": "manufacturer"], text: "OpenStack Foundation")
                xml.element("entry", ["name": "product"], text: "OpenStack Nova")
                xml.element("entry", ["name": "version"], text: "apus")
                xml.element("entry", ["name": "serial"], text: spec.server)
                xml.element("entry", ["name": "uuid"], text: spec.server)
                xml.element("entry", ["name": "family"], text: "Virtual Machine")
            }
        }
    }
}
