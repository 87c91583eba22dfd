// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What a flavor and an image ask of Placement: amounts and traits, also in named groups
/// (nova/scheduler/utils.py, `ResourceRequest`).
struct ResourceRequest: Sendable {
    struct Group: Sendable {
        var resources: [String: Int] = [:]
        var required: Set<String> = []
        var forbidden: Set<String> = []

        var isEmpty: Bool { resources.isEmpty && required.isEmpty && forbidden.isEmpty }
    }

    /// By suffix; the group without one has the empty suffix.
    private(set) var groups: [String: Group] = [:]
    private(set) var groupPolicy: String?
    /// Groups that are to be had of one branch of a host's tree.
    private(set) var sameSubtrees: [[String]] = []
    /// Of the host itself, not of a part of it.
    var rootRequired: Set<String> = []
    /// The only host that is asked.
    var host: String?

    init(_ flavor: FlavorSnapshot, image: [String: String], isVolumeBacked: Bool = false) {
        for (key, value) in flavor.extraSpecs { read(key, value) }
        for trait in ResourceRequest.traits(requiredBy: image) { require(trait) }
        pin(flavor, image)
        let merged = amounts
        if merged["VCPU"] == nil, merged["PCPU"] == nil { add("VCPU", flavor.vcpus) }
        if merged["MEMORY_MB"] == nil { add("MEMORY_MB", flavor.memoryMiB) }
        if merged["DISK_GB"] == nil {
            add(
                "DISK_GB",
                (isVolumeBacked ? 0 : flavor.diskGiB) + flavor.ephemeralGiB + (flavor.swapMiB + 1023) / 1024)
        }
        translate(flavor, image)
        groups = groups.mapValues { group in
            var group = group
            group.resources = group.resources.filter { $0.value > 0 }
            return group
        }.filter { !$0.value.isEmpty }
    }

    /// What the server's ports ask for beside.
    mutating func add(_ ports: [PortResources]) {
        for port in ports {
            for group in port.groups {
                groups[group.id] = Group(resources: group.resources, required: group.required)
            }
            if port.sameSubtree.count > 1 { sameSubtrees.append(port.sameSubtree) }
        }
        if groups.keys.filter({ !$0.isEmpty }).count > 1, groupPolicy == nil { groupPolicy = "none" }
    }

    /// Devices that Placement counts, each of a group of its own: it may be of any part of the host.
    mutating func add(_ requests: [PCIRequest]) {
        for (at, request) in requests.enumerated() where request.isCounted {
            guard let spec = request.specs.first else { continue }
            var required = spec.traits.union([HostTraits.owner])
            if spec.isLiveMigratable == true { required.insert(HostTraits.liveMigratable) }
            for number in 0..<request.count {
                groups["_pci\(at)-\(number)"] = Group(
                    resources: [spec.className: 1], required: required,
                    forbidden: spec.isLiveMigratable == false ? [HostTraits.liveMigratable] : [])
            }
        }
        if groups.keys.filter({ !$0.isEmpty }).count > 1, groupPolicy == nil { groupPolicy = "none" }
    }

    /// Whether it asks for anything that a part of the host has, and not the host itself.
    func asksForParts(of host: ComputeHost, _ options: PCIOptions) -> Bool {
        let classes = Set(HostParts(host, options).all.map(\.resourceClass))
        return !classes.isDisjoint(with: amounts.keys) || amounts[MediatedSource.resourceClass] != nil
    }

    /// All amounts, those of named groups added up.
    var amounts: [String: Int] {
        groups.values.reduce(into: [:]) { sums, group in
            for (name, amount) in group.resources { sums[name, default: 0] += amount }
        }
    }

    /// The classes that named groups ask for, each of a provider of its own.
    var spread: Set<String> {
        groups.reduce(into: []) { names, group in
            if !group.key.isEmpty { names.formUnion(group.value.resources.keys) }
        }
    }

    var requiredTraits: Set<String> { groups.values.reduce(into: rootRequired) { $0.formUnion($1.required) } }
    var forbiddenTraits: Set<String> { groups.values.reduce(into: []) { $0.formUnion($1.forbidden) } }

    /// As `GET /allocation_candidates` is asked.
    func query(limit: Int?) -> [(String, String)] {
        var query: [(String, String)] = limit.map { [("limit", "\($0)")] } ?? []
        if let groupPolicy { query.append(("group_policy", groupPolicy)) }
        if !rootRequired.isEmpty { query.append(("root_required", rootRequired.sorted().joined(separator: ","))) }
        for names in sameSubtrees {
            query.append(("same_subtree", names.joined(separator: ",")))
        }
        // What the group without a name takes of the host keeps the others in the host's tree.
        if let host, groups[""]?.resources.isEmpty == false { query.append(("in_tree", host)) }
        for (suffix, group) in groups.sorted(by: { $0.key < $1.key }) {
            if !group.resources.isEmpty {
                let amounts = group.resources.sorted { $0.key < $1.key }.map { "\($0.key):\($0.value)" }
                query.append(("resources" + suffix, amounts.joined(separator: ",")))
            }
            let traits = group.required.sorted() + group.forbidden.sorted().map { "!" + $0 }
            if !traits.isEmpty { query.append(("required" + suffix, traits.joined(separator: ","))) }
        }
        return query
    }
}

// MARK: - Reading

extension ResourceRequest {
    /// `resources:VCPU`, `resources_NET:...`, `trait1:...`, `group_policy`.
    private mutating func read(_ key: String, _ value: String) {
        if key == "group_policy" {
            if value == "none" || value == "isolate" { groupPolicy = value }
            return
        }
        guard let colon = key.firstIndex(of: ":") else { return }
        let (head, name) = (key[..<colon], String(key[key.index(after: colon)...]))
        for prefix in ["resources", "trait"] where head.hasPrefix(prefix) {
            let suffix = String(head.dropFirst(prefix.count))
            guard suffix.utf8.count <= 64, suffix.allSatisfy({ $0.isLetter || $0.isNumber || "_-".contains($0) }) else {
                return
            }
            if prefix == "resources" {
                add(name, Int(value) ?? 0, suffix)
            } else if value == "required" {
                groups[suffix, default: Group()].required.insert(name)
            } else if value == "forbidden" {
                groups[suffix, default: Group()].forbidden.insert(name)
            }
            return
        }
    }

    private mutating func add(_ name: String, _ amount: Int, _ suffix: String = "") {
        groups[suffix, default: Group()].resources[name, default: 0] += amount
    }

    /// What an image, or an aggregate, says of itself: `trait:X=required`.
    static func traits(requiredBy properties: [String: String]) -> Set<String> {
        Set(
            properties.compactMap { key, value in
                key.hasPrefix("trait:") && value == "required" ? String(key.dropFirst("trait:".count)) : nil
            })
    }

    private mutating func require(_ trait: String) { groups["", default: Group()].required.insert(trait) }

    /// Processors of their own are another class than shared ones.
    private mutating func pin(_ flavor: FlavorSnapshot, _ image: [String: String]) {
        let specs = flavor.extraSpecs
        let policy = specs["hw:cpu_policy"] ?? image["hw_cpu_policy"]
        if policy == "dedicated" || policy == "mixed" {
            var pinned = flavor.vcpus
            if policy == "mixed" {
                pinned = ResourceRequest.processors(specs["hw:cpu_dedicated_mask"] ?? "")
                add("VCPU", flavor.vcpus - pinned)
            }
            if specs["hw:emulator_threads_policy"] == "isolate" { pinned += 1 }
            add("PCPU", pinned)
        }
        switch specs["hw:cpu_thread_policy"] ?? image["hw_cpu_thread_policy"] {
        case "require": require("HW_CPU_HYPERTHREADING")
        case "isolate": groups["", default: Group()].forbidden.insert("HW_CPU_HYPERTHREADING")
        default: break
        }
    }

    private static func processors(_ mask: String) -> Int {
        mask.split(separator: ",").reduce(0) { sum, part in
            let ends = part.split(separator: "-").compactMap { Int($0) }
            let count = ends.count == 2 ? max(0, ends[1] - ends[0] + 1) : 1
            return sum + (part.hasPrefix("^") ? 0 : count)
        }
    }

    /// What other extra specs and properties mean in amounts and traits.
    private mutating func translate(_ flavor: FlavorSnapshot, _ image: [String: String]) {
        let specs = flavor.extraSpecs
        func wish(_ spec: String, _ property: String) -> String { specs[spec] ?? image[property] ?? "" }
        func isTrue(_ text: String) -> Bool { ["true", "yes", "on", "1"].contains(text.lowercased()) }
        if isTrue(wish("hw:mem_encryption", "hw_mem_encryption")) {
            add("MEM_ENCRYPTION_CONTEXT", 1)
            require(
                wish("hw:mem_encryption_model", "hw_mem_encryption_model") == "amd-sev-es"
                    ? "HW_CPU_X86_AMD_SEV_ES" : "HW_CPU_X86_AMD_SEV")
        }
        for label in (specs["hw:pmem"] ?? "").split(separator: ",") { add("CUSTOM_PMEM_NAMESPACE_" + label, 1) }
        switch wish("hw:tpm_version", "hw_tpm_version") {
        case "": break
        case let version:
            require(version == "1.2" ? "COMPUTE_SECURITY_TPM_1_2" : "COMPUTE_SECURITY_TPM_2_0")
            require(
                wish("hw:tpm_model", "hw_tpm_model") == "tpm-crb"
                    ? "COMPUTE_SECURITY_TPM_CRB" : "COMPUTE_SECURITY_TPM_TIS")
            let security = (specs["hw:tpm_secret_security"] ?? "user").uppercased()
            rootRequired.insert("COMPUTE_SECURITY_TPM_SECRET_SECURITY_" + security)
        }
        if wish("os:secure_boot", "os_secure_boot") == "required" { require("COMPUTE_SECURITY_UEFI_SECURE_BOOT") }
        switch wish("hw:maxphysaddr_mode", "hw_maxphysaddr_mode") {
        case "passthrough": require("COMPUTE_ADDRESS_SPACE_PASSTHROUGH")
        case "emulate": require("COMPUTE_ADDRESS_SPACE_EMULATED")
        default: break
        }
        if isTrue(image["hw_firmware_stateless"] ?? "") { require("COMPUTE_SECURITY_STATELESS_FIRMWARE") }
        if wish("hw:pci_numa_affinity_policy", "hw_pci_numa_affinity_policy") == "socket" {
            require("COMPUTE_SOCKET_PCI_NUMA_AFFINITY")
        }
        if let profile = specs["accel:device_profile"], !profile.isEmpty { rootRequired.insert("COMPUTE_ACCELERATORS") }
        if wish("hw:sound_model", "hw_sound_model") == "virtio" { rootRequired.insert("COMPUTE_SOUND_MODEL_VIRTIO") }
        if isTrue(wish("hw:virtio_packed_ring", "hw_virtio_packed_ring")) {
            rootRequired.insert("COMPUTE_NET_VIRTIO_PACKED")
        }
        if isTrue(wish("hw:ephemeral_encryption", "hw_ephemeral_encryption")) {
            rootRequired.insert("COMPUTE_EPHEMERAL_ENCRYPTION")
            let format = wish("hw:ephemeral_encryption_format", "hw_ephemeral_encryption_format")
            if !format.isEmpty { rootRequired.insert("COMPUTE_EPHEMERAL_ENCRYPTION_" + format.uppercased()) }
        }
    }

    /// The properties of images that `image_metadata_prefilter` turns into traits.
    private static let prefixes = [
        "hw_cdrom_bus": "COMPUTE_STORAGE_BUS", "hw_disk_bus": "COMPUTE_STORAGE_BUS",
        "hw_video_model": "COMPUTE_GRAPHICS_MODEL", "hw_vif_model": "COMPUTE_NET_VIF_MODEL",
        "hw_architecture": "HW_ARCH", "hw_emulation_architecture": "COMPUTE_ARCH",
        "hw_viommu_model": "COMPUTE_VIOMMU",
    ]

    mutating func requireImageMetadata(_ image: [String: String]) {
        for (property, prefix) in ResourceRequest.prefixes {
            guard let value = image[property] else { continue }
            let word = String(value.map { $0 == "-" ? "_" : $0 }).uppercased()
            rootRequired.insert("\(prefix)_\(word)")
        }
    }
}
