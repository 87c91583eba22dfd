// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What is asked of a guest's memory beyond its size: to be locked, to be encrypted.
enum GuestMemory {
    /// Whether the host may never swap it out. What encrypts memory needs that as well.
    static func isLocked(_ wishes: GuestWishes, machine: String? = nil) throws(Fault) -> Bool {
        let (flavor, image) = wishes.truths("locked_memory")
        if let flavor, let image, flavor != image {
            throw .badRequest(
                "locked_memory value in image (\(image ? "True" : "False")) and flavor (\(flavor ? "True" : "False")) "
                    + "conflict. A consistent value is expected if both specified.")
        }
        let isLocked = flavor ?? image ?? false
        let pages = wishes.both("mem_page_size")
        if isLocked, pages.flavor == nil, pages.image == nil {
            throw .badRequest(
                "locked_memory value in image or flavor is forbidden when mem_page_size is not set.")
        }
        let encryption = try encryption(wishes, machine: machine)
        return isLocked || (encryption?.needsLockedMemory ?? false)
    }

    /// The way in which memory is to be encrypted; nil when nobody asks for it.
    static func encryption(
        _ wishes: GuestWishes, machine: String? = nil
    ) throws(Fault) -> GuestFirmware.Encryption? {
        let (flavor, image) = wishes.truths("mem_encryption")
        guard flavor == true || image == true else { return nil }
        if let flavor, let image, flavor != image {
            throw clash(
                "mem_encryption", wishes.extraSpecs["hw:mem_encryption"] ?? "", image ? "True" : "False", wishes)
        }
        var asking: [String] = []
        if flavor == true { asking.append("hw:mem_encryption extra spec in \(wishes.flavorName) flavor") }
        if image == true { asking.append("hw_mem_encryption property of image \(name(wishes))") }
        let (flavorModel, imageModel) = wishes.both("mem_encryption_model")
        if let flavorModel, let imageModel, flavorModel != imageModel {
            throw clash("mem_encryption_model", flavorModel, imageModel, wishes)
        }
        let text = imageModel ?? flavorModel ?? GuestFirmware.Encryption.sev.rawValue
        guard let model = GuestFirmware.Encryption(rawValue: text) else {
            let all = GuestFirmware.Encryption.allCases.map(\.rawValue).joined(separator: ", ")
            throw .badRequest("Invalid memory encryption model '\(text)'. Allowed values: \(all).")
        }
        guard wishes.property("hw_firmware_type") == "uefi" else {
            throw .badRequest(
                "Memory encryption is requested by \(asking.joined(separator: " and ")) but the image metadata doesn't "
                    + "have the 'hw_firmware_type' property set to 'uefi'")
        }
        if let machine = machine ?? wishes.property("hw_machine_type"), !machine.contains("q35") {
            throw .badRequest(
                "Machine type '\(machine)' is not compatible with image \(wishes.imageName) (\(name(wishes))): q35 "
                    + "type is required for \(model.rawValue) to work")
        }
        if model.needsStatelessFirmware, !GuestFirmware.isStateless(wishes) {
            throw .badRequest(
                "The \(model.rawValue) memory encryption model requires stateless firmware but the image metadata "
                    + "doesn't have the 'hw_firmware_stateless' property set to True")
        }
        return model
    }

    private static func name(_ wishes: GuestWishes) -> String { wishes.imageID.isEmpty ? "<no-id>" : wishes.imageID }

    private static func clash(_ key: String, _ flavor: String, _ image: String, _ wishes: GuestWishes) -> Fault {
        .badRequest(
            "Flavor \(wishes.flavorName) has hw:\(key) extra spec explicitly set to \(flavor), conflicting with image "
                + "\(wishes.imageName) which has hw_\(key) property explicitly set to \(image)")
    }
}
