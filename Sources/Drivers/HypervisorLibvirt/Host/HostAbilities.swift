// SPDX-License-Identifier: Apache-2.0
internal import CLibvirt
internal import Compute
internal import Kernel

/// What QEMU can do here, under the names of Placement's standard traits, and the features of the processor that guests
/// get. Found once: QEMU does not change under a daemon that runs.
actor HostAbilities {
    struct Found: Sendable {
        var traits: [String] = []
        var features: [String] = []
    }

    private var found: [Accelerator: Found] = [:]
    /// How guests turned out to run; nil until one was made.
    private var accelerator: Accelerator?

    /// Whether the host has several cells; to ask libvirt costs more than to define a guest.
    private var hasSeveralCells: Bool?

    func learn(_ accelerator: Accelerator) { self.accelerator = accelerator }

    func hasNUMA(_ ask: @Sendable () async throws(Fault) -> [HostResources.NUMACell]?) async throws(Fault) -> Bool {
        if let hasSeveralCells { return hasSeveralCells }
        let answer = try await ask()?.count ?? 0 > 1
        hasSeveralCells = answer
        return answer
    }

    func find(_ session: LibvirtSession, _ settings: LibvirtSettings) async throws(Fault) -> Found {
        let chosen = accelerator ?? settings.accelerator
        if let known = found[chosen] { return known }
        var asked = settings
        asked.accelerator = chosen
        let settings = asked
        let fresh = try await session.call { connection throws(Fault) in
            var fresh = Found()
            fresh.features = Self.features(connection, settings)
            fresh.traits = Self.traits(connection, settings)
            return fresh
        }
        found[chosen] = fresh
        return fresh
    }

    /// Of the host's processor where guests run on it, of QEMU's model where they are translated.
    private static func features(_ connection: virConnectPtr, _ settings: LibvirtSettings) -> [String] {
        let text: String
        if settings.accelerator == .kvm {
            guard let all = virConnectGetCapabilities(connection) else { return [] }
            defer { all.deallocate() }
            guard let cpu = XMLElement.parse(String(cString: all))?["host", "cpu"] else { return [] }
            var xml = XMLWriter()
            xml.copy(cpu)
            text = xml.text
        } else {
            let model = settings.cpuModel ?? "qemu64"
            guard model != "maximum", model != "host-model", model != "host-passthrough" else { return [] }
            var xml = XMLWriter()
            xml.element("cpu") { xml in
                xml.element("arch", text: settings.architecture)
                xml.element("model", text: model)
            }
            text = xml.text
        }
        let flags = VIR_CONNECT_BASELINE_CPU_EXPAND_FEATURES.rawValue
        let expanded = text.withCString { pointer -> UnsafeMutablePointer<CChar>? in
            var list: [UnsafePointer<CChar>?] = [pointer]
            return virConnectBaselineCPU(connection, &list, 1, flags)
        }
        guard let expanded else { return [] }
        defer { expanded.deallocate() }
        let cpu = XMLElement.parse(String(cString: expanded))
        return cpu?.all("feature").filter { $0.attributes["policy"] != "disable" }.compactMap { $0.attributes["name"] }
            ?? []
    }

    // MARK: Traits

    private static func traits(_ connection: virConnectPtr, _ settings: LibvirtSettings) -> [String] {
        var traits: Set<String> = [
            "COMPUTE_DEVICE_TAGGING", "COMPUTE_NET_ATTACH_INTERFACE", "COMPUTE_NET_ATTACH_INTERFACE_WITH_TAG",
            "COMPUTE_CONFIG_DRIVE_REGENERATION", "COMPUTE_FIRMWARE_BIOS", "COMPUTE_SOCKET_PCI_NUMA_AFFINITY",
            "COMPUTE_NET_VIRTIO_PACKED", "COMPUTE_ADDRESS_SPACE_EMULATED", "COMPUTE_VIOMMU_MODEL_VIRTIO",
            "COMPUTE_VIOMMU_MODEL_INTEL", "COMPUTE_VIOMMU_MODEL_AUTO",
        ]
        if settings.accelerator == .kvm { traits.insert("COMPUTE_ADDRESS_SPACE_PASSTHROUGH") }
        for format in ["RAW", "QCOW2", "ISO", "VMDK", "VDI", "VHD", "VHDX"] {
            traits.insert("COMPUTE_IMAGE_TYPE_" + format)
        }
        // QEMU's own, which libvirt does not list.
        for model in ["VIRTIO", "E1000", "E1000E", "RTL8139", "NE2K_PCI", "PCNET", "VMXNET3"] {
            traits.insert("COMPUTE_NET_VIF_MODEL_" + model)
        }
        for model in ["AC97", "ES1370", "ICH6", "ICH9", "PCSPK", "SB16", "USB"] {
            traits.insert("COMPUTE_SOUND_MODEL_" + model)
        }
        traits.formUnion(["COMPUTE_USB_MODEL_NEC_XHCI", "COMPUTE_USB_MODEL_QEMU_XHCI"])
        let machines = settings.architecture == "aarch64" ? ["virt"] : ["pc", "q35"]
        for machine in machines {
            guard
                let text = virConnectGetDomainCapabilities(
                    connection, nil, settings.architecture, machine, settings.accelerator.domainType, 0)
            else { continue }
            defer { text.deallocate() }
            if let root = XMLElement.parse(String(cString: text)) { traits.formUnion(Self.traits(of: root)) }
        }
        return traits.sorted()
    }

    /// What a machine type's capabilities amount to.
    static func traits(of root: XMLElement) -> Set<String> {
        func values(_ path: [String], _ name: String) -> [String] {
            var element: XMLElement? = root
            for part in path { element = element?[part] }
            guard let element, element.attributes["supported"] != "no" else { return [] }
            return element.all("enum").first { $0.attributes["name"] == name }?.all("value").map(\.text) ?? []
        }
        func word(_ text: String) -> String { text.uppercased().replacing("-", with: "_") }
        var traits: Set<String> = []
        for bus in values(["devices", "disk"], "bus") { traits.insert("COMPUTE_STORAGE_BUS_" + word(bus)) }
        for model in values(["devices", "video"], "modelType") {
            traits.insert("COMPUTE_GRAPHICS_MODEL_" + word(model))
        }
        if values(["devices", "tpm"], "backendModel").contains("emulator") {
            for model in values(["devices", "tpm"], "model") {
                if model == "tpm-tis" || model == "tpm-crb" {
                    traits.insert("COMPUTE_SECURITY_TPM_" + word(String(model.dropFirst(4))))
                }
            }
            for version in values(["devices", "tpm"], "backendVersion") {
                traits.insert("COMPUTE_SECURITY_TPM_" + version.replacing(".", with: "_"))
            }
            for security in ["USER", "HOST", "DEPLOYMENT"] {
                traits.insert("COMPUTE_SECURITY_TPM_SECRET_SECURITY_" + security)
            }
        }
        if values(["os"], "firmware").contains("efi") {
            traits.formUnion(["COMPUTE_FIRMWARE_UEFI", "COMPUTE_SECURITY_STATELESS_FIRMWARE"])
        }
        if values(["os", "loader"], "secure").contains("yes") { traits.insert("COMPUTE_SECURITY_UEFI_SECURE_BOOT") }
        if root["features", "sev"]?.attributes["supported"] == "yes" { traits.insert("HW_CPU_X86_AMD_SEV") }
        return traits
    }
}

extension XMLWriter {
    /// Writes an element as it was read.
    mutating func copy(_ element: XMLElement) {
        let attributes = element.attributes.sorted { $0.key < $1.key }
        let words = element.children.isEmpty ? element.text : ""
        raw(element.name, attributes, text: words) { xml in for child in element.children { xml.copy(child) } }
    }
}
