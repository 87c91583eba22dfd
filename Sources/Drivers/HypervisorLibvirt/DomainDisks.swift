// SPDX-License-Identifier: Apache-2.0
internal import Compute
internal import Kernel

/// A guest's disks, in the order in which it sees them, and the controller that some of them need.
extension DomainXML {
    func disks(_ xml: inout XMLWriter) {
        var names = DiskNames(machine: machineType, properties: spec.properties)
        var volumes = spec.volumes[...]
        // What the guest boots from comes first.
        if spec.isVolumeBacked, let root = volumes.popFirst() { root.write(to: &xml, target: names.next(for: root)) }
        for disk in disks { disk.write(to: &xml, names: &names, cache: diskCache) }
        for volume in volumes { volume.write(to: &xml, target: names.next(for: volume)) }
        if names.usesSCSI {
            xml.element(
                "controller", ["type": "scsi", "index": "0", "model": property("hw_scsi_model") ?? "virtio-scsi"])
        }
    }
}

/// A disk of a guest: a file with a part to play.
struct GuestDisk: Hashable {
    enum Role { case root, ephemeral, swap, configDrive, installer, rescue }

    let role: Role
    let path: String
    /// `qcow2` or `raw`, always stated: a format that is guessed from a guest's data is a way out of the guest.
    let format: String
    /// How a rescue wants its disk.
    var rescue: GuestRescueDisk?

    private var isCDROM: Bool { role == .configDrive || role == .installer || rescue?.device == "cdrom" }
    private var device: String { isCDROM ? "cdrom" : rescue?.device ?? "disk" }

    func write(to xml: inout XMLWriter, names: inout DiskNames, cache: String) {
        let (target, bus) = names.next(isCDROM: isCDROM, bus: device == "floppy" ? "fdc" : rescue?.bus)
        xml.element("disk", ["type": "file", "device": device]) { xml in
            xml.element(
                "driver",
                [
                    "name": "qemu", "type": format, "cache": isCDROM ? nil : cache,
                    "discard": isCDROM ? nil : "unmap",
                ])
            xml.element("source", ["file": path])
            xml.element("target", ["dev": target, "bus": bus])
            if isCDROM { xml.element("readonly") }
            if rescue?.isStable ?? false { xml.element("boot", ["order": "1"]) }
        }
    }
}

/// Hands out disk names by bus: `vda`, `sda`, `hda`, counted apart.
struct DiskNames {
    private let diskBus: String
    private let cdromBus: String
    private var used: [String: Int] = [:]
    /// Names that are given already.
    var taken: Set<String> = []
    private(set) var usesSCSI = false

    init(machine: String, properties: [String: String]) {
        diskBus = properties["hw_disk_bus"] ?? "virtio"
        // q35 has no IDE; aarch64's virt has neither IDE nor SATA.
        let byMachine = machine.contains("q35") ? "sata" : machine.hasPrefix("virt") ? "scsi" : "ide"
        cdromBus = properties["hw_cdrom_bus"] ?? byMachine
    }

    mutating func next(isCDROM: Bool, bus named: String? = nil) -> (target: String, bus: String) {
        let bus = named ?? (isCDROM ? cdromBus : diskBus)
        if bus == "scsi" { usesSCSI = true }
        let prefix =
            switch bus {
            case "virtio": "vd"
            case "ide": "hd"
            case "fdc": "fd"
            default: "sd"
            }
        var name = ""
        repeat {
            let number = used[prefix, default: 0]
            used[prefix] = number + 1
            name = prefix + String(UnicodeScalar(UInt8(97 + number % 26)))
        } while taken.contains(name) && used[prefix, default: 0] < 26
        return (name, bus)
    }

    mutating func next(for volume: GuestVolume) -> (target: String, bus: String) {
        next(isCDROM: volume.kind == "cdrom", bus: volume.bus)
    }
}
