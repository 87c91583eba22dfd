// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What a guest starts from, and what keeps its memory from the host.
package struct GuestFirmware: Sendable, Hashable {
    package enum SecureBoot: String, Sendable, CaseIterable { case required, disabled, optional }

    package enum Encryption: String, Sendable, CaseIterable {
        case sev = "amd-sev"
        case sevES = "amd-sev-es"
        case sevSNP = "amd-sev-snp"
        case tdx = "intel-tdx"

        var needsLockedMemory: Bool { self == .sev || self == .sevES }
        var needsStatelessFirmware: Bool { self == .sevSNP || self == .tdx }
    }

    package let isUEFI: Bool
    package let isStateless: Bool
    package let secureBoot: SecureBoot?
    package let encryption: Encryption?

    /// - Parameter machine: the machine type that the host gives when the image does not say.
    init(_ wishes: GuestWishes, machine: String?) throws(Fault) {
        isUEFI = wishes.property("hw_firmware_type") == "uefi"
        isStateless = GuestFirmware.isStateless(wishes)
        encryption = try GuestMemory.encryption(wishes, machine: machine)
        guard let text = try wishes.agreed("secure_boot", prefix: "os") else {
            secureBoot = nil
            return
        }
        guard let policy = SecureBoot(rawValue: text) else {
            throw .badRequest(
                "Invalid secure boot policy '\(text)'. Allowed values: required, disabled, optional.")
        }
        secureBoot = policy
    }

    /// Only UEFI keeps a state that can be forbidden.
    static func isStateless(_ wishes: GuestWishes) -> Bool {
        wishes.property("hw_firmware_type") == "uefi"
            && GuestWishes.isTrue(wishes.property("hw_firmware_stateless") ?? "")
    }
}
