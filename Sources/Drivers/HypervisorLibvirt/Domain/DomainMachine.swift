// SPDX-License-Identifier: Apache-2.0
internal import Compute
internal import Kernel

/// The machine that a guest sees: its firmware, its board and its clock.
extension DomainXML {
    var isUEFI: Bool {
        features.firmware.isUEFI || settings.architecture == "aarch64" && property("hw_firmware_type") == nil
    }
    var isQ35: Bool { machineType.contains("q35") }
    private var isX86: Bool { settings.architecture == "x86_64" || settings.architecture == "i686" }

    /// `optional` takes what there is, and that needs the board and the processor mode that protect the firmware.
    private var hasSecureBoot: Bool {
        switch features.firmware.secureBoot {
        case .required: true
        case .optional: isQ35 && isX86
        case .disabled, nil: false
        }
    }

    func machine(_ xml: inout XMLWriter) {
        xml.element("os", ["firmware": isUEFI ? "efi" : nil]) { xml in
            xml.element("type", ["arch": settings.architecture, "machine": machineType], text: "hvm")
            if isUEFI { firmware(&xml) }
            kernel(&xml)
            // An installer's empty disk is no obstacle: the firmware goes on to the next device.
            if !disks.contains(where: { $0.rescue?.isStable ?? false }) {
                xml.element("boot", ["dev": disks.first?.rescue?.device == "cdrom" ? "cdrom" : "hd"])
                if disks.contains(where: { $0.role == .installer }) { xml.element("boot", ["dev": "cdrom"]) }
            }
            if GuestWishes.isTrue(wish("hw:boot_menu", "hw_boot_menu") ?? "") {
                xml.element("bootmenu", ["enable": "yes"])
            }
            if isX86 { xml.element("smbios", ["mode": "sysinfo"]) }
        }
        capabilities(&xml)
    }

    private func firmware(_ xml: inout XMLWriter) {
        let secure = hasSecureBoot ? "yes" : "no"
        xml.element("firmware") { xml in
            xml.element("feature", ["enabled": secure, "name": "secure-boot"])
            // Without the vendors' keys enrolled nothing would be checked.
            if hasSecureBoot { xml.element("feature", ["enabled": "yes", "name": "enrolled-keys"]) }
        }
        if features.firmware.isStateless { xml.element("loader", ["stateless": "yes"]) }
    }

    private func capabilities(_ xml: inout XMLWriter) {
        xml.element("features") { xml in
            xml.element("acpi")
            if isX86 { xml.element("apic") }
            if isWindows && settings.accelerator == .kvm { hyperV(&xml) }
            if features.isHypervisorHidden {
                xml.element("kvm") { $0.element("hidden", ["state": "on"]) }
            }
            if let hasPMU = features.hasPMU { xml.element("pmu", ["state": hasPMU ? "on" : "off"]) }
            // Where the firmware is protected by it, system management mode must be there.
            if hasSecureBoot { xml.element("smm", ["state": "on"]) }
            if wish("hw:viommu_model", "hw_viommu_model") != nil { xml.element("ioapic", ["driver": "qemu"]) }
            if settings.accelerator == .tcg, settings.translationCacheMiB > 0 {
                // QEMU's own default would take up to 1 GiB of translated code per guest.
                xml.element("tcg") { xml in
                    xml.element("tb-cache", ["unit": "MiB"], text: "\(settings.translationCacheMiB)")
                }
            }
        }
    }

    private func hyperV(_ xml: inout XMLWriter) {
        xml.element("hyperv") { xml in
            for name in ["relaxed", "vapic"] { xml.element(name, ["state": "on"]) }
            xml.element("spinlocks", ["state": "on", "retries": "8191"])
            for name in ["vpindex", "runtime", "synic", "reset", "frequencies", "tlbflush", "ipi"] {
                xml.element(name, ["state": "on"])
            }
            if features.isHypervisorHidden {
                xml.element("vendor_id", ["state": "on", "value": "1234567890ab"])
            }
        }
    }

    func clock(_ xml: inout XMLWriter) {
        xml.element("clock", ["offset": isWindows ? "localtime" : "utc"]) { xml in
            guard settings.accelerator == .kvm else { return }
            xml.element("timer", ["name": "pit", "tickpolicy": "delay"])
            xml.element("timer", ["name": "rtc", "tickpolicy": "catchup"])
            if isX86 {
                let hasHPET = GuestWishes.isTrue(property("hw_time_hpet") ?? "")
                xml.element("timer", ["name": "hpet", "present": hasHPET ? "yes" : "no"])
            }
            if isWindows { xml.element("timer", ["name": "hypervclock", "present": "yes"]) }
        }
    }

    /// Memory that the host cannot read.
    func launchSecurity(_ xml: inout XMLWriter) {
        switch features.firmware.encryption {
        case .sev: xml.element("launchSecurity", ["type": "sev"]) { $0.element("policy", text: "0x0033") }
        case .sevES: xml.element("launchSecurity", ["type": "sev"]) { $0.element("policy", text: "0x0037") }
        case .sevSNP: xml.element("launchSecurity", ["type": "sev-snp"]) { $0.element("policy", text: "0x00030000") }
        case .tdx: xml.element("launchSecurity", ["type": "tdx"])
        case nil: break
        }
    }
}
