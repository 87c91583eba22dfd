// SPDX-License-Identifier: Apache-2.0
internal import Compute
internal import Kernel

/// Small devices: the agent's channel, randomness, a trusted module, the watchdog, the balloon; and the host's own
/// devices that the guest has.
extension DomainXML {
    func peripherals(_ xml: inout XMLWriter) {
        if let randomness = features.randomness {
            xml.element("rng", ["model": "virtio"]) { xml in
                xml.element("backend", ["model": "random"], text: settings.randomnessPath)
                if randomness.bytes > 0 {
                    let period = randomness.periodMilliseconds
                    xml.element(
                        "rate", ["bytes": "\(randomness.bytes)", "period": period > 0 ? "\(period)" : nil])
                }
                virtioMemory(&xml)
            }
        }
        if let tpm = features.tpm {
            xml.element("tpm", ["model": tpm.model]) { xml in
                guard let key = spec.moduleKey else {
                    return xml.element("backend", ["type": "emulator", "version": tpm.version])
                }
                xml.element("backend", ["type": "emulator", "version": tpm.version]) {
                    $0.element("encryption", ["secret": key])
                }
            }
        }
        if let model = features.soundModel { xml.element("sound", ["model": model]) }
        if let model = features.usbModel {
            xml.element("controller", ["type": "usb", "index": "0", "model": model])
        }
        for _ in 0..<features.redirectedUSBPorts {
            xml.element("redirdev", ["bus": "usb", "type": "spicevmc"])
        }
        if let action = features.watchdog { xml.element("watchdog", ["model": "i6300esb", "action": action]) }
        xml.element("memballoon", ["model": settings.balloonPeriod > 0 ? "virtio" : "none"]) { xml in
            if settings.balloonPeriod > 0 { xml.element("stats", ["period": "\(settings.balloonPeriod)"]) }
            virtioMemory(&xml)
        }
        if let model = wish("hw:viommu_model", "hw_viommu_model") { mmu(model, &xml) }
    }

    private func mmu(_ wanted: String, _ xml: inout XMLWriter) {
        let model = wanted == "auto" ? (isQ35 ? "intel" : "virtio") : wanted
        xml.element("iommu", ["model": model]) { xml in
            guard model == "intel" else { return }
            xml.element(
                "driver",
                [
                    "intremap": "on", "caching_mode": "on", "aw_bits": "48", "eim": isQ35 ? "on" : "off", "iotlb": "on",
                ])
        }
    }

    /// A virtio device in encrypted memory must go through the IOMMU's view of it.
    private func virtioMemory(_ xml: inout XMLWriter) {
        if features.firmware.encryption != nil { xml.element("driver", ["iommu": "on"]) }
    }

    func agentChannel(_ xml: inout XMLWriter) {
        if let wanted = property("hw_qemu_guest_agent"), !GuestWishes.isTrue(wanted) { return }
        xml.element("channel", ["type": "unix"]) { xml in
            xml.element("target", ["type": "virtio", "name": "org.qemu.guest_agent.0"])
        }
    }

    /// Devices of the host that flavors ask for, and cards that are ports as a whole.
    func hostDevices(_ xml: inout XMLWriter) {
        for device in spec.hostDevices {
            switch device.kind {
            case .pci: device.write(to: &xml)
            case .mediated:
                xml.element("hostdev", ["mode": "subsystem", "type": "mdev", "model": "vfio-pci"]) { xml in
                    xml.element("source") { $0.element("address", ["uuid": device.address]) }
                }
            }
        }
    }

    /// Free slots of an express board: a device can be plugged in later only where a port waits for it.
    func freeSlots(_ xml: inout XMLWriter) {
        guard isQ35 || machineType.hasPrefix("virt") else { return }
        xml.element("controller", ["type": "pci", "index": "0", "model": "pcie-root"])
        for _ in 0..<settings.pciePorts { xml.element("controller", ["type": "pci", "model": "pcie-root-port"]) }
    }
}
