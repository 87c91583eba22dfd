// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What an image's properties may be. Image lets anything be written into them; servers are refused images that say
/// what nothing can be made of (nova/objects/image_meta.py).
enum ImageRules {
    /// Refuses an image for the first property that makes no sense.
    static func check(_ properties: [String: String]) throws(Fault) {
        for (name, value) in properties.sorted(by: { $0.key < $1.key }) {
            // The newer name decides when both are there.
            let current = olderNames[name] ?? name
            if current != name, properties[current] != nil { continue }
            guard let complaint = complaint(current, value) else { continue }
            throw .badRequest("Invalid image metadata. Error: " + complaint)
        }
    }

    private static func complaint(_ name: String, _ value: String) -> String? {
        if let known = words[name] {
            return known.contains(value) ? nil : "Field value \(value) is invalid"
        }
        if let (known, others, isNamed) = names[name] {
            let word = value.lowercased()
            if known.contains(word) || others.contains(word) { return nil }
            return isNamed.map { "\($0) '\(value)' is not valid" } ?? "Field value \(word) is invalid"
        }
        guard numbers.contains(name), Int(value) == nil else { return nil }
        return "invalid literal for int() with base 10: '\(value)'"
    }

    /// Names that came before today's.
    private static let olderNames = [
        "architecture": "hw_architecture", "auto_disk_config": "hw_auto_disk_config", "vm_mode": "hw_vm_mode",
        "vmware_image_version": "img_version", "xenapi_device_id": "hw_device_id",
        "xenapi_image_compression_level": "img_compression_level", "hypervisor_type": "img_hv_type",
    ]

    private static let buses: Set = ["fdc", "ide", "sata", "scsi", "usb", "virtio", "xen", "lxc", "uml"]

    /// Properties that are one of some words, spelled so.
    private static let words: [String: Set<String>] = [
        "hw_cdrom_bus": buses, "hw_disk_bus": buses, "hw_floppy_bus": buses, "hw_rescue_bus": buses,
        "hw_cpu_policy": ["dedicated", "shared", "mixed"],
        "hw_cpu_thread_policy": ["prefer", "isolate", "require"],
        "hw_ephemeral_encryption_format": ["plain", "luks", "luksv2"],
        "hw_firmware_type": ["uefi", "bios"],
        "hw_input_bus": ["usb", "virtio"],
        "hw_maxphysaddr_mode": ["passthrough", "emulate"],
        "hw_mem_encryption_model": ["amd-sev", "amd-sev-es", "amd-sev-snp", "intel-tdx"],
        "hw_pci_numa_affinity_policy": ["required", "legacy", "preferred", "socket"],
        "hw_pointer_model": ["usbtablet"],
        "hw_rescue_device": ["cdrom", "disk", "floppy", "fs", "lun"],
        "hw_rng_model": ["virtio"],
        "hw_sound_model": ["sb16", "es1370", "pcspk", "ac97", "ich6", "ich9", "usb", "virtio"],
        "hw_tpm_model": ["tpm-tis", "tpm-crb"],
        "hw_tpm_version": ["1.2", "2.0"],
        "hw_usb_model": ["none", "nec-xhci", "qemu-xhci"],
        "hw_video_model": ["cirrus", "qxl", "vga", "vmvga", "xen", "virtio", "gop", "none", "bochs"],
        "hw_viommu_model": ["intel", "smmuv3", "virtio", "auto"],
        "hw_watchdog_action": ["none", "pause", "poweroff", "reset", "disabled"],
        "os_secure_boot": ["required", "disabled", "optional"],
    ]

    private static let architectures: Set = [
        "alpha", "armv6", "armv7l", "armv7b", "aarch64", "cris", "i686", "ia64", "lm32", "m68k", "microblaze",
        "microblazeel", "mips", "mipsel", "mips64", "mips64el", "openrisc", "parisc", "parisc64", "ppc", "ppcle",
        "ppc64",
        "ppc64le", "ppcemb", "s390", "s390x", "sh4", "sh4eb", "sparc", "sparc64", "unicore32", "x86_64", "xtensa",
        "xtensaeb",
    ]
    private static let otherArchitectures: Set = ["i386", "i486", "i586", "x86_32", "x86_32p", "amd64"]

    /// Properties whose words may be written in any case, with further names for the same, and how a complaint calls
    /// them.
    private static let names: [String: (Set<String>, Set<String>, String?)] = [
        "hw_architecture": (architectures, otherArchitectures, "Architecture name"),
        "hw_emulation_architecture": (architectures, otherArchitectures, "Architecture name"),
        "hw_scsi_model": (
            ["buslogic", "ibmvscsi", "lsilogic", "lsisas1068", "lsisas1078", "virtio-scsi", "vmpvscsi"],
            ["lsilogicsas", "paravirtual"], nil
        ),
        "hw_vif_model": (
            [
                "virtio", "ne2k_pci", "pcnet", "rtl8139", "e1000", "e1000e", "netfront", "spapr-vlan", "lan9118", "igb",
                "sriov", "vmxnet", "vmxnet3",
            ],
            [
                "virtuale1000", "virtuale1000e", "virtualpcnet32", "virtualsriovethernetcard", "virtualvmxnet",
                "virtualvmxnet3",
            ], nil
        ),
        "hw_vm_mode": (["hvm", "xen", "uml", "exe"], ["pv", "hv", "baremetal"], "Virtual machine mode"),
        "img_hv_type": (
            [
                "baremetal", "bhyve", "docker", "fake", "hyperv", "ironic", "kqemu", "kvm", "lxc", "lxd", "openvz",
                "parallels", "vz", "phyp", "qemu", "test", "uml", "vbox", "vmware", "xen", "zvm", "prsm",
            ], ["xapi"], "Hypervisor virt type"
        ),
        "os_type": (["linux", "windows"], [], nil),
    ]

    private static let numbers: Set = [
        "hw_cpu_cores", "hw_cpu_sockets", "hw_cpu_threads", "hw_cpu_max_cores", "hw_cpu_max_sockets",
        "hw_cpu_max_threads", "hw_device_id", "hw_numa_nodes", "hw_serial_port_count", "hw_video_ram",
        "hw_maxphysaddr_bits", "hw_redirected_usb_ports", "img_compression_level", "img_version",
    ]
}
