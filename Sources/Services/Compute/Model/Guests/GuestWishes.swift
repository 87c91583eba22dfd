// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What a flavor's extra specs and an image's properties ask of a guest. Which of the two goes first is each feature's
/// own rule, and stands with the feature (nova/virt/hardware.py).
package struct GuestWishes: Sendable, Hashable {
    package var vcpus: Int
    package var memoryMiB: Int
    package var flavorName: String
    package var extraSpecs: [String: String]
    package var imageID: String
    package var imageName: String
    package var properties: [String: String]

    package init(
        vcpus: Int, memoryMiB: Int, flavorName: String = "", extraSpecs: [String: String] = [:], imageID: String = "",
        imageName: String = "", properties: [String: String] = [:]
    ) {
        self.vcpus = vcpus
        self.memoryMiB = memoryMiB
        self.flavorName = flavorName
        self.extraSpecs = extraSpecs
        self.imageID = imageID
        self.imageName = imageName
        self.properties = properties
    }

    package init(_ guest: GuestSpec) {
        self.init(
            vcpus: guest.vcpus, memoryMiB: guest.memoryMiB, flavorName: guest.origin.flavorName,
            extraSpecs: guest.extraSpecs, imageID: guest.origin.imageID, properties: guest.properties)
    }

    func spec(_ name: String) -> String? { extraSpecs[name].flatMap { $0.isEmpty ? nil : $0 } }
    func property(_ name: String) -> String? { properties[name].flatMap { $0.isEmpty ? nil : $0 } }

    /// `hw:NAME` of the flavor and `hw_NAME` of the image.
    func both(_ name: String, prefix: String = "hw") -> (flavor: String?, image: String?) {
        (spec("\(prefix):\(name)"), property("\(prefix)_\(name)"))
    }

    /// What both ask for, when they may not contradict each other.
    func agreed(_ name: String, prefix: String = "hw") throws(Fault) -> String? {
        let (flavor, image) = both(name, prefix: prefix)
        if let flavor, let image, flavor != image { throw conflict(name, flavor, image, prefix: prefix) }
        return flavor ?? image
    }

    /// The same for a yes or no.
    func agreedTruth(_ name: String) throws(Fault) -> Bool? {
        let (flavor, image) = truths(name)
        if let flavor, let image, flavor != image { throw conflict(name, flavor.python, image.python) }
        return flavor ?? image
    }

    func truths(_ name: String) -> (flavor: Bool?, image: Bool?) {
        let (flavor, image) = both(name)
        return (flavor.map(GuestWishes.isTrue), image.map(GuestWishes.isTrue))
    }

    private func conflict(_ name: String, _ flavor: String, _ image: String, prefix: String = "hw") -> Fault {
        .badRequest(
            "Flavor \(flavorName) has \(prefix):\(name) extra spec explicitly set to \(flavor), conflicting with image "
                + "\(imageName) which has \(prefix)_\(name) explicitly set to \(image).")
    }

    /// What oslo takes for yes; everything else is no.
    package static func isTrue(_ text: String) -> Bool {
        ["1", "t", "true", "on", "y", "yes"].contains(text.lowercased().filter { !$0.isWhitespace })
    }

    /// A number of a flavor; 0 when it asks for none.
    func number(ofFlavor name: String) throws(Fault) -> Int {
        guard let text = spec("hw:" + name) else { return 0 }
        guard let number = Int(text) else {
            throw .badRequest(
                "Invalid flavor extra spec. Error: invalid literal for int() with base 10: '\(text)'")
        }
        return number
    }

    /// A number of an image; 0 when it asks for none.
    func number(ofImage name: String) throws(Fault) -> Int {
        guard let text = property("hw_" + name) else { return 0 }
        guard let number = Int(text) else {
            throw .badRequest("Invalid image metadata. Error: invalid literal for int() with base 10: '\(text)'")
        }
        return number
    }
}

extension Bool {
    /// As upstream's messages spell it.
    fileprivate var python: String { self ? "True" : "False" }
}
