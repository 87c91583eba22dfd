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
    let features: GuestFeatures

    /// - Throws: what flavor and image ask for and contradict each other in, in upstream's words.
    init(
        spec: GuestSpec, folder: GuestFolder, settings: LibvirtSettings, disks: [GuestDisk], diskCache: String
    ) throws(Fault) {
        self.spec = spec
        self.folder = folder
        self.settings = settings
        self.disks = disks
        self.diskCache = diskCache
        features = try GuestFeatures(GuestWishes(spec), machine: settings.usualMachine)
        try requireProcessorGroups()
        if features.redirectedUSBPorts > 0, !settings.hasSPICE {
            throw .unavailable(
                "hw:redirected_usb_ports needs SPICE consoles ([spice] enabled), which \(settings.hostName) has not.")
        }
    }

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
                freeSlots(&xml)
                disks(&xml)
                ports(&xml)
                consoles(&xml)
                agentChannel(&xml)
                screen(&xml)
                peripherals(&xml)
                hostDevices(&xml)
            }
            launchSecurity(&xml)
        }
        return xml.text
    }

    func property(_ name: String) -> String? { spec.properties[name] }
    /// What the flavor asks for, or else the image.
    func wish(_ spec: String, _ name: String) -> String? {
        self.spec.extraSpecs[spec].flatMap { $0.isEmpty ? nil : $0 } ?? property(name)
    }
    /// The topology with its place on the host, once it has one.
    var numa: GuestNUMA? { spec.numa ?? features.numa }
    var machineType: String { property("hw_machine_type") ?? settings.usualMachine }
    var isWindows: Bool { property("os_type") == "windows" }
}
