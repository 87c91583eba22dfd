// SPDX-License-Identifier: Apache-2.0
internal import Compute
internal import Kernel

/// A guest's disks, in the order in which it sees them, and the controller that some of them need.
extension DomainXML {
    func disks(_ xml: inout XMLWriter) {
        var names = DiskNames(machine: machineType, properties: spec.properties)
        let style = DiskStyle(
            cache: settings.diskCacheModes["file"] ?? diskCache, discard: settings.diskDiscard,
            limits: DiskLimits(spec.extraSpecs), isEncryptedMemory: features.firmware.encryption != nil)
        var volumes = spec.volumes[...]
        // What the guest boots from comes first.
        if spec.isVolumeBacked, let root = volumes.popFirst() { root.write(to: &xml, target: names.next(for: root)) }
        for disk in disks { disk.write(to: &xml, names: &names, style: style) }
        for volume in volumes { volume.write(to: &xml, target: names.next(for: volume)) }
        if names.usesSCSI {
            xml.element(
                "controller", ["type": "scsi", "index": "0", "model": property("hw_scsi_model") ?? "virtio-scsi"])
        }
    }
}

/// How a guest's disks are opened, and how fast they may be.
struct DiskStyle: Hashable {
    var cache: String
    var discard = "unmap"
    var limits = DiskLimits([:])
    /// Virtio in encrypted memory goes through the IOMMU's view of it.
    var isEncryptedMemory = false
}

/// What a flavor's `quota:disk_...` allows each disk, under libvirt's names.
struct DiskLimits: Hashable {
    let values: [(name: String, value: Int)]

    init(_ extraSpecs: [String: String]) {
        values = [
            "read_bytes_sec", "read_iops_sec", "write_bytes_sec", "write_iops_sec", "total_bytes_sec",
            "total_iops_sec",
        ].compactMap { name in extraSpecs["quota:disk_" + name].flatMap { Int($0) }.map { (name, $0) } }
    }

    static func == (left: DiskLimits, right: DiskLimits) -> Bool {
        left.values.elementsEqual(right.values) { $0.name == $1.name && $0.value == $1.value }
    }
    func hash(into hasher: inout Hasher) { for limit in values { hasher.combine(limit.value) } }

    func write(to xml: inout XMLWriter) {
        guard !values.isEmpty else { return }
        xml.element("iotune") { xml in
            for limit in values { xml.element(limit.name, text: "\(limit.value)") }
        }
    }
}

/// A disk of a guest: a file with a part to play.
struct GuestDisk: Hashable {
    enum Role { case root, ephemeral, swap, configDrive, configDisk, installer, rescue }

    let role: Role
    let path: String
    /// `qcow2` or `raw`, always stated: a format that is guessed from a guest's data is a way out of the guest.
    let format: String
    /// The secret it is encrypted with, by id.
    var key: String?
    /// How a rescue wants its disk.
    var rescue: GuestRescueDisk?

    private var isCDROM: Bool { role == .configDrive || role == .installer || rescue?.device == "cdrom" }
    private var device: String { isCDROM ? "cdrom" : rescue?.device ?? "disk" }

    func write(to xml: inout XMLWriter, names: inout DiskNames, style: DiskStyle) {
        let (target, bus) = names.next(isCDROM: isCDROM, bus: device == "floppy" ? "fdc" : rescue?.bus)
        xml.element("disk", ["type": "file", "device": device]) { xml in
            xml.element(
                "driver",
                [
                    "name": "qemu", "type": format, "cache": isCDROM ? nil : style.cache,
                    "discard": isCDROM || style.discard == "none" ? nil : style.discard,
                    "iommu": style.isEncryptedMemory && bus == "virtio" ? "on" : nil,
                ])
            if let key {
                xml.element("source", ["file": path]) { xml in xml.encryption(key) }
            } else {
                xml.element("source", ["file": path])
            }
            xml.element("target", ["dev": target, "bus": bus])
            if isCDROM { xml.element("readonly") } else { style.limits.write(to: &xml) }
            if rescue?.isStable ?? false { xml.element("boot", ["order": "1"]) }
        }
    }
}

extension XMLWriter {
    /// That a disk is encrypted, and with which secret of libvirt's.
    mutating func encryption(_ key: String) {
        element("encryption", ["format": "luks"]) { xml in
            xml.element("secret", ["type": "passphrase", "uuid": key])
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
