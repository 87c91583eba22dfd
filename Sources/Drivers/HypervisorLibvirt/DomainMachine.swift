// SPDX-License-Identifier: Apache-2.0
internal import Compute
internal import Kernel

/// The machine that a guest sees: its firmware, its board and its clock.
extension DomainXML {
    func machine(_ xml: inout XMLWriter) {
        let isUEFI = property("hw_firmware_type") == "uefi"
        xml.element("os", ["firmware": isUEFI ? "efi" : nil]) { xml in
            xml.element("type", ["arch": settings.architecture, "machine": machineType], text: "hvm")
            if let secure = property("os_secure_boot"), isUEFI {
                xml.element("loader", ["secure": secure == "required" ? "yes" : "no"])
            }
            // An installer's empty disk is no obstacle: the firmware goes on to the next device.
            if !disks.contains(where: { $0.rescue?.isStable ?? false }) {
                xml.element("boot", ["dev": disks.first?.rescue?.device == "cdrom" ? "cdrom" : "hd"])
                if disks.contains(where: { $0.role == .installer }) { xml.element("boot", ["dev": "cdrom"]) }
            }
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
    }

    func clock(_ xml: inout XMLWriter) {
        xml.element("clock", ["offset": isWindows ? "localtime" : "utc"]) { xml in
            guard settings.accelerator == .kvm else { return }
            xml.element("timer", ["name": "pit", "tickpolicy": "delay"])
            xml.element("timer", ["name": "rtc", "tickpolicy": "catchup"])
            xml.element("timer", ["name": "hpet", "present": property("hw_time_hpet") == "true" ? "yes" : "no"])
            if isWindows { xml.element("timer", ["name": "hypervclock", "present": "yes"]) }
        }
    }
}
