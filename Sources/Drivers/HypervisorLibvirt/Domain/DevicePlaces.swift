// SPDX-License-Identifier: Apache-2.0
package import Compute
package import Kernel

extension LibvirtHypervisor: GuestDevices {
    package func devicePlaces(of server: String) async throws(Fault) -> [String: GuestDevicePlace] {
        let devices = try await session.call { connection throws(Fault) in
            let domain = try Domain.ours(server, on: connection)
            return try domain.xml(running: domain.isActive)["devices"]
        }
        var places: [String: GuestDevicePlace] = [:]
        for card in devices?.all("interface") ?? [] {
            guard let mac = card["mac"]?.attributes["address"], let place = Self.place(card) else { continue }
            places[mac.lowercased()] = place
        }
        for disk in devices?.all("disk") ?? [] {
            guard let serial = disk["serial"]?.text, let place = Self.place(disk) else { continue }
            places[serial] = place
        }
        return places
    }

    /// libvirt tells numbers as `0x00`; guests know them as `0000:00:03.0` or `0:0:0:1`.
    private static func place(_ device: XMLElement) -> GuestDevicePlace? {
        guard let address = device["address"]?.attributes else { return nil }
        func part(_ name: String, _ digits: Int) -> String {
            let text = address[name] ?? "0"
            let plain = text.hasPrefix("0x") ? String(text.dropFirst(2)) : text
            return String(repeating: "0", count: max(0, digits - plain.count)) + plain
        }
        switch address["type"] {
        case "pci":
            return GuestDevicePlace(
                bus: "pci", address: "\(part("domain", 4)):\(part("bus", 2)):\(part("slot", 2)).\(part("function", 1))")
        case "drive":
            let bus = device["target"]?.attributes["bus"] ?? "scsi"
            guard bus == "scsi" || bus == "ide" else { return nil }
            return GuestDevicePlace(
                bus: bus,
                address: bus == "ide"
                    ? "\(part("bus", 1)):\(part("unit", 1))"
                    : "\(part("controller", 1)):\(part("bus", 1)):\(part("target", 1)):\(part("unit", 1))")
        case "usb": return GuestDevicePlace(bus: "usb", address: "\(part("bus", 1)):\(part("port", 1))")
        default: return nil
        }
    }
}
