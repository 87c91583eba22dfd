// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Which extra specs of flavors are known, and what their values may be; looked at since 2.86. Names without a
/// namespace, and those of namespaces nobody knows, are an operator's own.
enum ExtraSpecRules {
    enum Value: Sendable {
        case any, truth
        case number(least: Int?, most: Int? = nil)
        case word([String])
        /// A regular expression the whole value matches.
        case pattern(String)
    }

    static func check(_ specs: [String: String]) throws(Fault) {
        for (name, value) in specs.sorted(by: { $0.key < $1.key }) { try check(name, value) }
    }

    static func check(_ name: String, _ value: String) throws(Fault) {
        if let rule = rule(for: name) { return try check(value, rule) }
        guard let colon = name.firstIndex(of: ":"), isKnown(namespace: String(name[..<colon])) else { return }
        throw unknown(name)
    }

    /// The same, and whether Placement knows the classes and traits that are named; an operator's own need not be there
    /// yet.
    static func check(_ specs: [String: String], _ placement: PlacementClient, requestID: String) async throws(Fault) {
        try check(specs)
        for name in specs.keys.sorted() {
            guard let colon = name.firstIndex(of: ":") else { continue }
            let (namespace, what) = (name[..<colon], String(name[name.index(after: colon)...]))
            guard !what.hasPrefix("CUSTOM_") else { continue }
            let isKnown: Bool
            if namespace.hasPrefix("resources") {
                isKnown = try await placement.knows(resourceClass: what, requestID: requestID)
            } else if namespace.hasPrefix("trait") {
                isKnown = try await placement.knows(trait: what, requestID: requestID)
            } else {
                continue
            }
            guard isKnown else { throw unknown(name) }
        }
    }

    private static func unknown(_ name: String) -> Fault {
        .badRequest("Validation failed; extra spec '\(name)' does not appear to be a valid extra spec.")
    }

    private static func rule(for name: String) -> Value? {
        if let rule = exact[name] { return rule }
        for (pattern, rule) in named where NamePattern("^(\(pattern))$")?.matches(name) == true {
            // Placement's names are written in capitals.
            let resource = name.split(separator: ":").last ?? ""
            guard !pattern.contains("resources") && !pattern.contains("trait") || resource == resource.uppercased()
            else { continue }
            return rule
        }
        return nil
    }

    private static func isKnown(namespace: String) -> Bool {
        namespaces.contains(namespace)
            || ["resources", "trait"].contains { kind in
                namespace.hasPrefix(kind) && NamePattern("^\(kind)[a-z0-9_-]*$")?.matches(namespace) == true
            }
    }

    private static func check(_ value: String, _ rule: Value) throws(Fault) {
        switch rule {
        case .any: return
        case .truth:
            guard Format<Bool>.truth(value) != nil else {
                throw .badRequest("Validation failed; '\(value)' is not a valid boolean-like value.")
            }
        case .number(let least, let most):
            guard let number = Int(value) else {
                throw .badRequest("Validation failed; '\(value)' is not a valid integer value.")
            }
            if let most, number > most {
                throw .badRequest("Validation failed; '\(value)' is greater than the max value of '\(most)'.")
            }
            if let least, number < least {
                throw .badRequest("Validation failed; '\(value)' is less than the min value of '\(least)'.")
            }
        case .word(let words):
            guard words.contains(value) else {
                throw .badRequest(
                    "Validation failed; '\(value)' is not one of: \(words.joined(separator: ", ")).")
            }
        case .pattern(let pattern):
            guard NamePattern("^(\(pattern))$")?.matches(value) == true else {
                throw .badRequest("Validation failed; '\(value)' is not of the format '\(pattern)'.")
            }
        }
    }

    private static let namespaces: Set<String> = [
        "accel", "aggregate_instance_extra_specs", "capabilities", "hw", "hw_rng", "hw_video", "os",
        "pci_passthrough", "quota", "vmware",
    ]

    private static let cpus = "\\^?\\d+((-\\d+)?(,\\^?\\d+(-\\d+)?)?)*"
    private static let positive = Value.number(least: 1)
    private static let natural = Value.number(least: 0)

    private static let exact: [String: Value] = [
        "accel:device_profile": .any, "hw:cpu_realtime": .truth,
        "hw:cpu_realtime_mask": .pattern("(\\^)?\\d+((-\\d+)?(,\\^?\\d+(-\\d+)?)?)*"),
        "hw:hide_hypervisor_id": .truth, "hw:cpu_policy": .word(["dedicated", "shared", "mixed"]),
        "hw:cpu_thread_policy": .word(["prefer", "isolate", "require"]),
        "hw:emulator_threads_policy": .word(["isolate", "share"]), "hw:cpu_dedicated_mask": .pattern(cpus),
        "hw:mem_page_size": .pattern("(large|small|any|\\d+([kmgt]i?)?(b|bit)?)"), "hw:locked_memory": .truth,
        "hw:numa_nodes": positive, "hw:pci_numa_affinity_policy": .word(["required", "preferred", "legacy", "socket"]),
        "hw:cpu_sockets": positive, "hw:cpu_cores": positive, "hw:cpu_threads": positive,
        "hw:cpu_max_sockets": positive, "hw:cpu_max_cores": positive, "hw:cpu_max_threads": positive,
        "hw:boot_menu": .truth, "hw:vif_multiqueue_enabled": .truth, "hw:mem_encryption": .truth,
        "hw:mem_encryption_model": .word(["amd-sev", "amd-sev-es", "amd-sev-snp", "intel-tdx"]),
        "hw:pmem": .pattern("([a-z0-9_]+(,)?)+"), "hw:pmu": .truth, "hw:serial_port_count": natural,
        "hw:tpm_model": .word(["tpm-tis", "tpm-crb"]), "hw:tpm_version": .word(["1.2", "2.0"]),
        "hw:tpm_secret_security": .word(["user", "host", "deployment"]),
        "hw:watchdog_action": .word(["none", "pause", "poweroff", "reset", "disabled"]),
        "hw:viommu_model": .word(["intel", "smmuv3", "virtio", "auto"]), "hw:virtio_packed_ring": .truth,
        "hw:sound_model": .word(["sb16", "es1370", "pcspk", "ac97", "ich6", "ich9", "usb", "virtio"]),
        "hw:usb_model": .word(["none", "nec-xhci", "qemu-xhci"]),
        "hw:redirected_usb_ports": .number(least: 0, most: 15), "hw:ephemeral_encryption": .truth,
        "hw:ephemeral_encryption_format": .word(["plain", "luks", "luksv2"]), "hw_rng:allowed": .truth,
        "hw_rng:rate_bytes": natural, "hw_rng:rate_period": natural, "hw_video:ram_max_mb": natural,
        "hide_hypervisor_id": .truth, "group_policy": .word(["isolate", "none"]),
        "os:secure_boot": .word(["disabled", "required"]),
        "pci_passthrough:alias": .pattern("[^:]+:\\d+(\\s*,\\s*[^:]+:\\d+)*"), "quota:cpu_shares": natural,
        "quota:cpu_period": natural, "quota:cpu_quota": .number(least: nil), "vmware:hw_version": .any,
        "vmware:storage_policy": .any,
    ]

    /// Names with a part that is free.
    private static let named: [(String, Value)] = [
        ("hw:numa_cpus\\.\\d+", .pattern(cpus)), ("hw:numa_mem\\.\\d+", positive),
        ("aggregate_instance_extra_specs:.+", .any), ("capabilities:.+", .any),
        ("quota:(cpu|memory|disk_io|vif)_limit", natural),
        ("quota:(cpu|memory|disk_io|vif)_reservation", .number(least: nil)),
        ("quota:(cpu|memory|disk_io|vif)_shares_level", .word(["custom", "high", "normal", "low"])),
        ("quota:(cpu|memory|disk_io|vif)_shares_share", natural),
        ("quota:disk_(read|write|total)_(bytes|iops)_sec", natural),
        ("quota:vif_(inbound|outbound)_(average|peak|burst)", natural),
        ("resources[a-z0-9_-]*:[a-z][a-z0-9_]*", .number(least: nil)),
        ("trait[a-z0-9_-]*:[a-z][a-z0-9_]*", .word(["required", "forbidden"])),
    ]
}
