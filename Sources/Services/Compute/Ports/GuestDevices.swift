// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Where a device is in its guest: `pci` and `0000:00:03.0`.
package struct GuestDevicePlace: Sendable, Hashable, Codable {
    package let bus: String
    package let address: String

    package init(bus: String, address: String) { (self.bus, self.address) = (bus, address) }
}

/// The ability to say where devices are in a guest.
package protocol GuestDevices: Sendable {
    /// By MAC address in small letters, and by disk serial.
    func devicePlaces(of server: String) async throws(Fault) -> [String: GuestDevicePlace]
}
