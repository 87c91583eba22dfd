// SPDX-License-Identifier: Apache-2.0
internal import Kernel
internal import Compute

/// A guest as a libvirt domain. The same description always gives the same text.
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
            xml.element("memory", ["unit": "MiB"], text: "\(spec.memoryMiB)")
            xml.element("vcpu", ["placement": "static"], text: "\(spec.vcpus)")
            identity(&xml)
            machine(&xml)
            clock(&xml)
            xml.element("on_poweroff", text: "destroy")
            xml.element("on_reboot", text: "restart")
            xml.element("on_crash", text: "destroy")
            xml.element("devices") { devices(&$0) }
        }
        return xml.text
    }

    private func property(_ name: String) -> String? { spec.properties[name] }

    private var machineType: String {
        property("hw_machine_type") ?? (settings.architecture == "aarch64" ? "virt" : "pc")
    }
    private var isWindows: Bool { property("os_type") == "windows" }

    // MARK: Who it is

    private func metadata(_ xml: inout XMLWriter) {
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
            xml.element("apus:guest", ["xmlns:apus": Self.markNamespace, "version": "1", "card": nicModel])
        }
    }

    /// What the guest reads from its firmware tables. cloud-init knows OpenStack by the product's name.
    private func identity(_ xml: inout XMLWriter) {
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

    // MARK: The machine

    private func machine(_ xml: inout XMLWriter) {
        let isUEFI = property("hw_firmware_type") == "uefi"
        xml.element("os", ["firmware": isUEFI ? "efi" : nil]) { xml in
            xml.element("type", ["arch": settings.architecture, "machine": machineType], text: "hvm")
            if let secure = property("os_secure_boot"), isUEFI {
                xml.element("loader", ["secure": secure == "required" ? "yes" : "no"])
            }
            // An installer's empty disk is no obstacle: the firmware goes on to the next device.
            xml.element("boot", ["dev": "hd"])
            if disks.contains(where: { $0.role == .installer }) { xml.element("boot", ["dev": "cdrom"]) }
            if property("hw_boot_menu") == "true" { xml.element("bootmenu", ["enable": "yes"]) }
            xml.element("smbios", ["mode": "sysinfo"])
        }
        xml.element("features") { xml in
            xml.element("acpi")
            xml.element("apic")
            if settings.accelerator == .tcg {
                // QEMU's own default would take up to 1 GiB of translated code per guest.
                xml.element("tcg") { $0.element("tb-cache", ["unit": "MiB"], text: "32") }
            }
            if isWindows && settings.accelerator == .kvm {
                xml.element("hyperv") { xml in
                    xml.element("relaxed", ["state": "on"])
                    xml.element("vapic", ["state": "on"])
                    xml.element("spinlocks", ["state": "on", "retries": "8191"])
                }
            }
        }
        cpu(&xml)
    }

    private func cpu(_ xml: inout XMLWriter) {
        let model = settings.cpuModel ?? (settings.accelerator == .kvm ? "host-model" : "qemu64")
        let isMode = ["host-model", "host-passthrough", "maximum"].contains(model)
        xml.element("cpu", ["mode": isMode ? model : "custom", "match": isMode ? nil : "exact"]) { xml in
            if !isMode { xml.element("model", ["fallback": "forbid"], text: model) }
            let topology = CPUTopology(vcpus: spec.vcpus, properties: spec.properties)
            xml.element(
                "topology",
                ["sockets": "\(topology.sockets)", "cores": "\(topology.cores)", "threads": "\(topology.threads)"])
        }
    }

    private func clock(_ xml: inout XMLWriter) {
        xml.element("clock", ["offset": isWindows ? "localtime" : "utc"]) { xml in
            guard settings.accelerator == .kvm else { return }
            xml.element("timer", ["name": "pit", "tickpolicy": "delay"])
            xml.element("timer", ["name": "rtc", "tickpolicy": "catchup"])
            xml.element("timer", ["name": "hpet", "present": property("hw_time_hpet") == "true" ? "yes" : "no"])
            if isWindows { xml.element("timer", ["name": "hypervclock", "present": "yes"]) }
        }
    }

    // MARK: Devices

    private func devices(_ xml: inout XMLWriter) {
        var names = DiskNames(machine: machineType, properties: spec.properties)
        for disk in disks { disk.write(to: &xml, names: &names, cache: diskCache) }
        if names.usesSCSI {
            xml.element(
                "controller", ["type": "scsi", "index": "0", "model": property("hw_scsi_model") ?? "virtio-scsi"])
        }
        for nic in spec.nics { nic.write(to: &xml, model: nicModel, offloads: !settings.userspaceDatapath) }
        // virtlogd appends, so that a console log outlives a restart of the guest or of the daemon.
        xml.element("serial", ["type": "pty"]) { xml in
            xml.element("log", ["file": folder.consoleLog, "append": "on"])
            xml.element("target", ["port": "0"])
        }
        xml.element("channel", ["type": "unix"]) { xml in
            xml.element("target", ["type": "virtio", "name": "org.qemu.guest_agent.0"])
        }
        pointer(&xml)
        xml.element("graphics", ["type": "vnc", "socket": folder.vncSocket])
        xml.element("video") { xml in
            xml.element("model", ["type": property("hw_video_model") ?? "vga", "vram": videoMemory])
        }
        if property("hw_rng:allowed") != "False" {
            xml.element("rng", ["model": "virtio"]) { $0.element("backend", ["model": "random"], text: "/dev/urandom") }
        }
        if let action = property("hw_watchdog_action"), action != "disabled" {
            xml.element("watchdog", ["model": "i6300esb", "action": action])
        }
        xml.element("memballoon", ["model": "virtio"]) { $0.element("stats", ["period": "10"]) }
    }

    private var nicModel: String { property("hw_vif_model") ?? "virtio" }

    private var videoMemory: String? {
        property("hw_video_ram").flatMap { Int($0) }.map { "\($0 * 1024)" }
    }

    /// An absolute pointer, as VNC wants it. A guest's USB driver polls, and under translation polling costs a share of
    /// a core in every idle guest: there the tablet must be asked for.
    private func pointer(_ xml: inout XMLWriter) {
        let wanted = property("hw_pointer_model") ?? (settings.accelerator == .kvm ? "usbtablet" : "ps2mouse")
        if wanted == "usbtablet" { xml.element("input", ["type": "tablet", "bus": "usb"]) }
    }
}

/// How vCPUs are arranged: what the image demands as far as it adds up, else one socket each, as in Nova.
struct CPUTopology: Hashable {
    let sockets: Int
    let cores: Int
    let threads: Int

    init(vcpus: Int, properties: [String: String]) {
        func wish(_ name: String) -> Int? { properties[name].flatMap { Int($0) }.flatMap { $0 > 0 ? $0 : nil } }
        let threads = wish("hw_cpu_threads") ?? 1
        let cores = wish("hw_cpu_cores") ?? wish("hw_cpu_sockets").map { max(1, vcpus / ($0 * threads)) } ?? 1
        let sockets = max(1, vcpus / (cores * threads))
        if sockets * cores * threads == vcpus {
            (self.sockets, self.cores, self.threads) = (sockets, cores, threads)
        } else {
            (self.sockets, self.cores, self.threads) = (vcpus, 1, 1)
        }
    }
}
