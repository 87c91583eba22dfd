// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A guest's features as flavor and image, put together, ask for them. Made by whoever builds the guest; the API makes
/// the same checks earlier where upstream's does.
package struct GuestFeatures: Sendable, Hashable {
    package struct TPM: Sendable, Hashable {
        package let version: String
        package let model: String
    }

    package struct Randomness: Sendable, Hashable {
        /// 0 sets no limit.
        package let bytes: Int
        package let periodMilliseconds: Int
    }

    package let topology: CPUTopology
    package let numa: GuestNUMA?
    package let realtimeCPUs: [Int]?
    package let firmware: GuestFirmware
    package let hasLockedMemory: Bool
    package let serialPorts: Int
    package let hasMultiqueue: Bool
    package let hasPackedRings: Bool
    package let tpm: TPM?
    /// nil leaves the performance counters to the hypervisor.
    package let hasPMU: Bool?
    /// nil for no watchdog.
    package let watchdog: String?
    /// nil for no source of randomness.
    package let randomness: Randomness?
    package let videoMiB: Int
    package let isHypervisorHidden: Bool
    package let soundModel: String?
    package let usbModel: String?
    /// Ports through which a SPICE client lends the guest its own devices.
    package let redirectedUSBPorts: Int

    /// - Parameter machine: the machine type that the host gives when the image does not say.
    package init(_ wishes: GuestWishes, machine: String? = nil) throws(Fault) {
        let machine = wishes.property("hw_machine_type") ?? machine
        topology = try CPUTopology.best(wishes)
        numa = try GuestNUMA(wishes)
        realtimeCPUs = try GuestPolicies(wishes).realtime
        firmware = try GuestFirmware(wishes, machine: machine)
        hasLockedMemory = try GuestMemory.isLocked(wishes, machine: machine)
        serialPorts = try GuestFeatures.serialPorts(wishes)
        hasMultiqueue = try GuestFeatures.multiqueue(wishes)
        hasPackedRings = try GuestFeatures.packedRings(wishes)
        tpm = try GuestFeatures.tpm(wishes)
        hasPMU = try wishes.agreedTruth("pmu")
        watchdog = try GuestFeatures.watchdog(wishes)
        randomness = GuestFeatures.randomness(wishes)
        videoMiB = try GuestFeatures.video(wishes)
        isHypervisorHidden =
            GuestWishes.isTrue(wishes.spec("hide_hypervisor_id") ?? wishes.spec("hw:hide_hypervisor_id") ?? "")
            || GuestWishes.isTrue(wishes.property("img_hide_hypervisor_id") ?? "")
        soundModel = try GuestFeatures.sound(wishes)
        usbModel = try GuestFeatures.usb(wishes)
        redirectedUSBPorts = try GuestFeatures.usbPorts(wishes)
    }

    /// What the API refuses before anything is made, in upstream's order (`_validate_flavor_image_nostatus`).
    static func check(_ wishes: GuestWishes) throws(Fault) {
        _ = try packedRings(wishes)
        let drive = wishes.property("img_config_drive") ?? "optional"
        guard drive == "optional" || drive == "mandatory" else {
            throw .badRequest("Image's config drive option '\(drive)' is invalid")
        }
        _ = try GuestMemory.encryption(wishes)
        _ = try wishes.agreedTruth("pmu")
        _ = try serialPorts(wishes)
        _ = try GuestPolicies(wishes).realtime
        _ = try CPUTopology.constraints(wishes)
        _ = try multiqueue(wishes)
        _ = try GuestNUMA(wishes)
        _ = try tpm(wishes)
        _ = try GuestFirmware(wishes, machine: nil)
        try DiskEncryption.check(wishes)
        _ = try sound(wishes)
        _ = try usb(wishes)
        _ = try usbPorts(wishes)
    }
}

// MARK: - Each by itself

extension GuestFeatures {
    private static func serialPorts(_ wishes: GuestWishes) throws(Fault) -> Int {
        let image = try wishes.number(ofImage: "serial_port_count")
        guard let text = wishes.spec("hw:serial_port_count") else { return image > 0 ? image : 1 }
        guard let flavor = Int(text) else {
            throw .badRequest(
                "Number of serial ports specified in flavor is invalid: expected an integer, got '\(text)'")
        }
        if flavor > 0, image > flavor {
            throw .badRequest("Forbidden to exceed flavor value of number of serial ports passed in image meta.")
        }
        return image > 0 ? image : max(1, flavor)
    }

    private static func multiqueue(_ wishes: GuestWishes) throws(Fault) -> Bool {
        guard wishes.vcpus > 1 else { return false }
        return try wishes.agreedTruth("vif_multiqueue_enabled") ?? false
    }

    private static func packedRings(_ wishes: GuestWishes) throws(Fault) -> Bool {
        let (flavor, image) = wishes.truths("virtio_packed_ring")
        if let flavor, let image, flavor != image {
            throw .badRequest(
                "Flavor has hw:virtio_packed_ring extra spec explicitly set to \(flavor ? "True" : "False"), "
                    + "conflicting with image which has hw_virtio_packed_ring explicitly set to "
                    + "\(image ? "True" : "False")."
            )
        }
        return flavor ?? image ?? false
    }

    package static func tpm(_ wishes: GuestWishes) throws(Fault) -> TPM? {
        guard let version = try wishes.agreed("tpm_version") else { return nil }
        guard version == "1.2" || version == "2.0" else {
            throw .badRequest("Invalid TPM version '\(version)'. Allowed values: 1.2, 2.0.")
        }
        let model = try wishes.agreed("tpm_model") ?? "tpm-tis"
        guard model == "tpm-tis" || model == "tpm-crb" else {
            throw .badRequest("Invalid TPM model '\(model)'. Allowed values: tpm-tis, tpm-crb.")
        }
        guard model != "tpm-crb" || version == "2.0" else {
            throw .badRequest("TPM model CRB is only valid with TPM version 2.0.")
        }
        return TPM(version: version, model: model)
    }

    /// The image goes before the flavor.
    private static func watchdog(_ wishes: GuestWishes) throws(Fault) -> String? {
        let (flavor, image) = wishes.both("watchdog_action")
        let action = image ?? flavor ?? "disabled"
        guard action != "disabled" else { return nil }
        guard ["none", "pause", "poweroff", "reset"].contains(action) else {
            throw .badRequest("Provided watchdog action (\(action)) is not supported.")
        }
        return action
    }

    /// Guests have one unless the flavor forbids it.
    private static func randomness(_ wishes: GuestWishes) -> Randomness? {
        guard GuestWishes.isTrue(wishes.spec("hw_rng:allowed") ?? "True") else { return nil }
        func number(_ name: String) -> Int { wishes.spec("hw_rng:" + name).flatMap { Int($0) } ?? 0 }
        let bytes = max(0, number("rate_bytes"))
        return Randomness(bytes: bytes, periodMilliseconds: bytes > 0 ? number("rate_period") : 0)
    }

    private static func sound(_ wishes: GuestWishes) throws(Fault) -> String? {
        let known = ["ac97", "es1370", "ich6", "ich9", "pcspk", "sb16", "usb", "virtio"]
        guard let model = try wishes.agreed("sound_model") else { return nil }
        guard known.contains(model) else {
            throw .badRequest(
                "Invalid sound device model '\(model)'. Allowed values: \(known.joined(separator: ", ")).")
        }
        return model
    }

    private static func usb(_ wishes: GuestWishes) throws(Fault) -> String? {
        let known = ["none", "nec-xhci", "qemu-xhci"]
        guard let model = try wishes.agreed("usb_model") else { return nil }
        guard known.contains(model) else {
            throw .badRequest(
                "Invalid USB controller model '\(model)'. Allowed values: \(known.joined(separator: ", ")).")
        }
        return model
    }

    private static func usbPorts(_ wishes: GuestWishes) throws(Fault) -> Int {
        guard let text = try wishes.agreed("redirected_usb_ports") else { return 0 }
        guard let count = Int(text) else { throw .badRequest("\"\(text)\" is not a valid integer.") }
        guard count >= 0 else { throw .badRequest("You cannot have a negative number of USB ports.") }
        // More an XHCI controller has not.
        guard count <= 15 else { throw .badRequest("Nova only supports up to 15 USB ports.") }
        return count
    }

    private static func video(_ wishes: GuestWishes) throws(Fault) -> Int {
        let wanted = try wishes.number(ofImage: "video_ram")
        let most = wishes.spec("hw_video:ram_max_mb").flatMap { Int($0) } ?? 0
        guard wanted <= most else {
            throw .badRequest(
                "The requested amount of video memory \(wanted) is higher than the maximum allowed by flavor \(most).")
        }
        return wanted
    }
}
