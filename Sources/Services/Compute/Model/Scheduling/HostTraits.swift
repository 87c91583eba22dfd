// SPDX-License-Identifier: Apache-2.0
import Kernel

/// A host's abilities by the names of Placement's standard traits: what its driver says, what its processor has, and
/// whether it takes servers.
enum HostTraits {
    static func of(_ facts: HostResources, isDisabled: Bool) -> Set<String> {
        var traits = Set(facts.traits ?? [])
        traits.formUnion(["COMPUTE_NODE", owner])
        if isDisabled { traits.insert("COMPUTE_STATUS_DISABLED") }
        if facts.cpu.threads > 1 { traits.insert("HW_CPU_HYPERTHREADING") }
        traits.insert("HW_ARCH_" + GuestKind.architecture(facts.architecture).uppercased())
        guard GuestKind.architecture(facts.architecture) == "x86_64" else { return traits }
        for feature in facts.cpu.features {
            let word = String(feature.map { $0 == "-" || $0 == "." ? "_" : $0 }).uppercased()
            for name in names[word] ?? [word] { traits.insert("HW_CPU_X86_" + name) }
        }
        return traits
    }

    /// Whether a trait is the host's to set; the operator's own are left alone.
    static func isOwn(_ trait: String) -> Bool {
        trait == owner || ["COMPUTE_", "HW_CPU_", "HW_ARCH_"].contains { trait.hasPrefix($0) }
    }

    /// Whose providers they are, for schedulers of which others write into the same trees.
    static let owner = "OWNER_NOVA"
    static let managedDevice = "COMPUTE_MANAGED_PCI_DEVICE"
    static let liveMigratable = "HW_PCI_LIVE_MIGRATABLE"

    /// Features that libvirt and Placement name differently.
    private static let names: [String: [String]] = [
        "AES": ["AESNI"], "AMX_BF16": ["AMXBF16"], "AMX_INT8": ["AMXINT8"], "AMX_TILE": ["AMXTILE"],
        "AVX512_VNNI": ["AVX512VNNI"], "AVX512_BITALG": ["AVX512BITALG"], "AVX512_VBMI2": ["AVX512VBMI2"],
        "AVX512_VPOPCNTDQ": ["AVX512VPOPCNTDQ"], "BMI1": ["BMI"], "FMA": ["FMA3"], "GFNI": ["AVX512GFNI"],
        "PCLMULDQ": ["CLMUL"], "PNI": ["SSE3"], "RTM": ["TSX"], "SEV": ["AMD_SEV"], "SHA_NI": ["SHA"],
        "SSE4_1": ["SSE41"], "SSE4_2": ["SSE42"], "SVM": ["SVM", "AMD_SVM"], "VAES": ["AVX512VAES"],
        "VMX": ["VMX", "INTEL_VMX"], "VPCLMULQDQ": ["AVX512VPCLMULQDQ"], "IBPB": ["AMD_IBPB"],
        "PCID": ["INTEL_PCID"], "SPEC_CTRL": ["INTEL_SPEC_CTRL"], "SSBD": ["INTEL_SSBD"],
        "MD_CLEAR": ["INTEL_MD_CLEAR"],
    ]
}
