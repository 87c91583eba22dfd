// SPDX-License-Identifier: Apache-2.0
internal import Kernel
internal import Compute

/// A guest as a libvirt domain. The same description always gives the same text. Its parts are in the `Domain...` files
/// beside this one: identity, machine, processor, memory, disks, ports, consoles, peripherals.
struct DomainXML {
    static let novaNamespace = "http://openstack.org/xmlns/libvirt/nova/1.1"
    /// The mark by which the driver knows its own domains; those of others are left alone.
    static let markNamespace = "urn:apus:compute:guest:1"

    let spec: GuestSpec
    let folder: GuestFolder
    let settings: LibvirtSettings
    let disks: [GuestDisk]
    /// `none` where the file system can do O_DIRECT: the host must not cache what the guest caches.
    let diskCache: String

    func text() -> String {
        var xml = XMLWriter()
        xml.element("domain", ["type": settings.accelerator.domainType]) { xml in
            xml.element("name", text: spec.instanceName)
            xml.element("uuid", text: spec.server)
            // libvirt refuses line ends in a title.
            let title = spec.title.split(whereSeparator: \.isNewline).joined(separator: " ")
            if !title.isEmpty { xml.element("title", text: title) }
            metadata(&xml)
            memory(&xml)
            processors(&xml)
            identity(&xml)
            machine(&xml)
            cpu(&xml)
            clock(&xml)
            xml.element("on_poweroff", text: "destroy")
            xml.element("on_reboot", text: "restart")
            xml.element("on_crash", text: "destroy")
            xml.element("devices") { xml in
                disks(&xml)
                ports(&xml)
                consoles(&xml)
                agentChannel(&xml)
                screen(&xml)
                peripherals(&xml)
            }
        }
        return xml.text
    }

    func property(_ name: String) -> String? { spec.properties[name] }
    var machineType: String {
        property("hw_machine_type") ?? (settings.architecture == "aarch64" ? "virt" : "pc")
    }
    var isWindows: Bool { property("os_type") == "windows" }
}
