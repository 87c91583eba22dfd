// SPDX-License-Identifier: Apache-2.0
import Kernel

/// How a guest's vCPUs run on the host's: sharing, each on its own, in real time.
struct GuestPolicies: Sendable {
    private(set) var cpu: GuestNUMA.CPUPolicy?
    private(set) var thread: GuestNUMA.ThreadPolicy?
    let emulator: GuestNUMA.EmulatorPolicy?
    let realtime: [Int]?
    /// Those of a mixed guest that have processors of their own.
    private(set) var dedicated: [Int]?

    init(_ wishes: GuestWishes) throws(Fault) {
        cpu = try GuestPolicies.cpuPolicy(wishes)
        thread = try GuestPolicies.threadPolicy(wishes)
        realtime = try GuestPolicies.realtime(wishes)
        dedicated = try GuestPolicies.dedicated(wishes)
        emulator = try GuestPolicies.emulator(wishes)
    }

    /// Amounts asked for by hand and policies must not contradict each other, nor the policies among themselves.
    mutating func check(_ wishes: GuestWishes) throws(Fault) {
        try explicit(wishes)
        switch cpu {
        case nil, .shared:
            if thread != nil {
                throw .badRequest("Cannot set cpu thread pinning policy in a non dedicated cpu pinning policy")
            }
            if emulator == .isolate {
                throw .badRequest(
                    "An isolated CPU emulator threads option requires a dedicated CPU policy option.")
            }
            if dedicated != nil { throw GuestPolicies.needsMixed }
            if realtime != nil { throw .badRequest("Cannot set realtime policy in a non dedicated cpu pinning policy") }
        case .dedicated: if dedicated != nil { throw GuestPolicies.needsMixed }
        case .mixed:
            guard (realtime == nil) != (dedicated == nil) else {
                throw .badRequest(
                    "Dedicated CPU set can be specified from either 'hw:cpu_dedicated_mask' or "
                        + "'hw:cpu_realtime_mask' when using 'mixed' CPU policy. 'hw:cpu_dedicated_mask' and "
                        + "'hw:cpu_realtime_mask' can not be specified at the same time, or be specified with none of "
                        + "them.")
            }
            dedicated = dedicated ?? realtime
        }
    }

    private static var needsMixed: Fault {
        .badRequest("Cannot specify 'hw:cpu_dedicated_mask' without the 'mixed' policy.")
    }

    /// `resources:PCPU` and the trait of hyperthreads are the older way to say the same.
    private mutating func explicit(_ wishes: GuestWishes) throws(Fault) {
        let (shared, own) = (sum("VCPU", wishes), sum("PCPU", wishes))
        if cpu != nil, shared + own > 0 {
            throw .badRequest(
                "It is not possible to use the 'resources:VCPU' or 'resources:PCPU' extra specs in combination with "
                    + "the 'hw:cpu_policy' extra spec or 'hw_cpu_policy' image metadata property; use one or the other")
        }
        if shared > 0, own > 0 {
            throw .badRequest(
                "It is not possible to specify both 'resources:VCPU' and 'resources:PCPU' extra specs; use one or the "
                    + "other")
        }
        if own > 0 {
            if emulator == .isolate, wishes.vcpus + 1 != own {
                throw .badRequest(
                    "You have requested 'hw:emulator_threads_policy=isolate' but have not requested sufficient PCPUs "
                        + "to handle this policy; you must allocate exactly flavor.vcpus + 1 PCPUs.")
            }
            if emulator != .isolate, wishes.vcpus != own {
                throw .badRequest(
                    "There is a mismatch between the number of PCPUs requested via 'resourcesNN:PCPU' and the flavor); "
                        + "you must allocate exactly flavor.vcpus PCPUs")
            }
            cpu = .dedicated
        }
        if shared > 0 { cpu = .shared }
        guard let trait = GuestPolicies.hyperthreads(wishes) else { return }
        if thread != nil {
            throw .badRequest(
                "It is not possible to use the 'trait:HW_CPU_HYPERTHREADING' extra spec in combination with the "
                    + "'hw:cpu_thread_policy' extra spec or 'hw_cpu_thread_policy' image metadata property; use one or "
                    + "the other")
        }
        if trait == "forbidden" { thread = .isolate }
        if trait == "required" { thread = .require }
    }

    private func sum(_ name: String, _ wishes: GuestWishes) -> Int {
        wishes.extraSpecs.reduce(0) { sum, spec in
            let parts = spec.key.split(separator: ":", maxSplits: 1)
            guard parts.count == 2, parts[1].hasPrefix(name), parts[0].hasPrefix("resources"),
                parts[0].dropFirst("resources".count).allSatisfy(\.isNumber)
            else { return sum }
            return sum + (Int(spec.value) ?? 0)
        }
    }

    private static func hyperthreads(_ wishes: GuestWishes) -> String? {
        for (key, value) in wishes.extraSpecs.sorted(by: { $0.key < $1.key })
        where key.hasPrefix("trait") && key.hasSuffix(":HW_CPU_HYPERTHREADING") { return value }
        return wishes.properties["trait:HW_CPU_HYPERTHREADING"] == "required" ? "required" : nil
    }
}

// MARK: - Each by itself

extension GuestPolicies {
    private static func cpuPolicy(_ wishes: GuestWishes) throws(Fault) -> GuestNUMA.CPUPolicy? {
        let (flavorText, imageText) = wishes.both("cpu_policy")
        let flavor = try read(GuestNUMA.CPUPolicy.self, flavorText, "CPU policy", "flavor extra specs", policies)
        let image = try read(GuestNUMA.CPUPolicy.self, imageText, "CPU policy", "image properties", policies)
        let isForbidden = flavor == .mixed ? image == .dedicated : flavor == .shared && image != nil && image != .shared
        if isForbidden {
            throw .badRequest(
                "Image property 'hw_cpu_policy' is not permitted to override CPU pinning policy set against the flavor")
        }
        return flavor ?? image
    }

    private static func threadPolicy(_ wishes: GuestWishes) throws(Fault) -> GuestNUMA.ThreadPolicy? {
        let (flavorText, imageText) = wishes.both("cpu_thread_policy")
        let flavor = try read(
            GuestNUMA.ThreadPolicy.self, flavorText, "CPU thread policy", "flavor extra specs", threadPolicies)
        let image = try read(
            GuestNUMA.ThreadPolicy.self, imageText, "CPU thread policy", "image properties", threadPolicies)
        if flavor == nil || flavor == .prefer { return flavor ?? image }
        guard image == nil || image == flavor else {
            throw .badRequest(
                "Image property 'hw_cpu_thread_policy' is not permitted to override CPU thread pinning policy set "
                    + "against the flavor")
        }
        return flavor
    }

    private static let policies = "('dedicated', 'shared', 'mixed')"
    private static let threadPolicies = "('prefer', 'isolate', 'require')"

    private static func read<Policy: RawRepresentable<String>>(
        _: Policy.Type, _ text: String?, _ what: String, _ source: String, _ all: String
    ) throws(Fault) -> Policy? {
        guard let text else { return nil }
        guard let policy = Policy(rawValue: text) else {
            throw .badRequest(
                "\(what) requested from '\(source)' is invalid, given: '\(text)', available: '\(all)'.")
        }
        return policy
    }

    private static func emulator(_ wishes: GuestWishes) throws(Fault) -> GuestNUMA.EmulatorPolicy? {
        guard let text = wishes.spec("hw:emulator_threads_policy") else { return nil }
        guard let policy = GuestNUMA.EmulatorPolicy(rawValue: text) else {
            throw .badRequest(
                "CPU emulator threads option requested is invalid, given: '\(text)', available: "
                    + "'('isolate', 'share')'.")
        }
        return policy
    }

    /// `^0` takes from all, `1-2` names them.
    private static func mask(_ text: String, _ vcpus: Int) throws(Fault) -> [Int] {
        let isExclusion = text.first { !$0.isWhitespace } == "^"
        return try CPUSet.parse(isExclusion ? "0-\(vcpus - 1),\(text)" : text)
    }

    private static func realtime(_ wishes: GuestWishes) throws(Fault) -> [Int]? {
        guard GuestWishes.isTrue(wishes.spec("hw:cpu_realtime") ?? "") else { return nil }
        // An image's mask is the more specific one.
        let (flavor, image) = wishes.both("cpu_realtime_mask")
        let all = Array(0..<wishes.vcpus)
        var wanted = all
        if let text = image ?? flavor { wanted = try mask(text, wishes.vcpus) }
        let isOffloaded = try emulator(wishes) != nil
        guard !wanted.isEmpty, isOffloaded || wanted != all else {
            throw .badRequest(
                "Use of realtime CPUs requires either one or more non-realtime CPU(s) or offloaded emulator threads.")
        }
        guard Set(wanted).isSubset(of: all) else {
            throw .badRequest(
                "Realtime policy vCPU(s) mask is configured with RT vCPUs that are not a subset of the vCPUs in the "
                    + "flavor. See hw:cpu_realtime_mask or hw_cpu_realtime_mask")
        }
        return wanted
    }

    private static func dedicated(_ wishes: GuestWishes) throws(Fault) -> [Int]? {
        guard let text = wishes.spec("hw:cpu_dedicated_mask") else { return nil }
        let own = try mask(text, wishes.vcpus)
        let all = Set(0..<wishes.vcpus)
        guard !own.isEmpty, !all.subtracting(own).isEmpty else {
            throw .badRequest(
                "Mixed instance must have at least 1 pinned vCPU and 1 unpinned vCPU. See 'hw:cpu_dedicated_mask'.")
        }
        guard all.isSuperset(of: own) else {
            throw .badRequest(
                "Mixed instance dedicated vCPU(s) mask is not a subset of vCPUs in the flavor. See "
                    + "\"hw:cpu_dedicated_mask\"")
        }
        return own
    }
}
