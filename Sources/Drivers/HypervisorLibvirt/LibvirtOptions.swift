// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// `[libvirt]`, under the names that nova.conf has for the same things.
package struct LibvirtOptions: Options {
    package static let section = "libvirt"

    package enum VirtType: String, Sendable, CaseIterable { case auto, kvm, qemu }

    /// Nil: the daemon that this program runs itself.
    package let connectionURI: String?
    package let virtType: VirtType
    package let cpuMode: String
    package let cpuModel: String?
    /// Whether guests change hosts over TLS.
    package let migratesWithTLS: Bool
    private let tuning: LibvirtTuning

    package init(_ read: inout OptionReader) {
        connectionURI = read.string(
            "connection_uri", help: "The libvirt daemon to use; unset means one of this program's own.")
        virtType = read.choice(
            "virt_type", default: .auto,
            help: "How guests run: kvm, qemu (translated), or auto to find out by trying.")
        cpuMode = read.choice(
            "cpu_mode", of: ["none", "custom", "host-model", "host-passthrough", "maximum"], default: "none",
            help: "The processor that guests see; none takes what suits virt_type.")
        cpuModel = read.string("cpu_model", help: "The processor's name for cpu_mode = custom.")
        if cpuMode == "custom" && cpuModel == nil { read.refuse("cpu_mode = custom needs cpu_model.") }
        migratesWithTLS = read.bool(
            "live_migration_with_native_tls", default: false,
            help:
                "Whether memory and disks of guests that change hosts are sent encrypted; QEMU's certificates must be "
                + "on every host, where qemu.conf says.")
        tuning = LibvirtTuning(&read)
    }

    /// What the options make of a host: `accelerator` is the answer of `Accelerator.probe`.
    package func settings(
        ownURI: String, dataDirectory: String, hostName: String, probed accelerator: Accelerator
    ) -> LibvirtSettings {
        let chosen: Accelerator =
            switch virtType {
            case .auto: accelerator
            case .kvm: .kvm
            case .qemu: .tcg
            }
        var settings = LibvirtSettings(
            uri: connectionURI ?? ownURI, dataDirectory: dataDirectory, accelerator: chosen, hostName: hostName)
        tuning.apply(to: &settings)
        settings.migratesWithTLS = migratesWithTLS
        settings.cpuModel = cpuMode == "custom" ? cpuModel : cpuMode == "none" ? nil : cpuMode
        return settings
    }
}
