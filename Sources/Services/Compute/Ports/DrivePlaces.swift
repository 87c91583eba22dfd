// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Where tagged devices are in the guest is known once the guest is described, which is after its drive was written:
/// then it is written once more.
extension ConfigDrive {
    private static let name = "meta_data.json"

    /// Whether anything on it could say where it is.
    package var hasTaggedDevices: Bool {
        files.contains { path, bytes in path.hasSuffix(Self.name) && !Self.devices(bytes).isEmpty }
    }

    /// The same drive with the devices' places, by MAC address in small letters and by disk serial.
    package func placed(_ places: [String: GuestDevicePlace]) -> ConfigDrive {
        var drive = self
        for (path, bytes) in files where path.hasSuffix(Self.name) {
            let devices = Self.devices(bytes)
            guard !devices.isEmpty, var document = (try? JSON.parse(bytes, limits: .trusted))?.object else { continue }
            document["devices"] = .array(devices.map { Self.placed($0, places) })
            drive.files[path] = JSON.object(document).bytes()
        }
        return drive
    }

    private static func devices(_ bytes: [UInt8]) -> [JSON] {
        (try? JSON.parse(bytes, limits: .trusted))?["devices"]?.array ?? []
    }

    private static func placed(_ device: JSON, _ places: [String: GuestDevicePlace]) -> JSON {
        guard var members = device.object else { return device }
        let serial = members["serial"]?.string ?? ""
        // A disk's serial is cut where its bus is an old one.
        let place =
            members["mac"]?.string.flatMap { places[$0.lowercased()] } ?? places[serial]
            ?? places[String(serial.prefix(20))]
        guard let place else { return device }
        members["bus"] = .string(place.bus)
        members["address"] = .string(place.address)
        return .object(members)
    }
}
