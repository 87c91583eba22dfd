// SPDX-License-Identifier: Apache-2.0
package import Kernel

// What only some hypervisors can do with a guest that lives: make it anew, boot it from elsewhere, copy its disk, wake
// its kernel's debugger. As with all ports every call may be repeated.

/// The ability to make a guest anew where it is.
package protocol GuestRebuilding: Sendable {
    /// Switches the guest off, makes its disks anew from the image and starts it; its ports stay plugged. One that the
    /// host does not have is made.
    /// - Parameter keepsEphemeral: leaves the ephemeral disk as it is.
    func rebuild(_ guest: GuestSpec, image: ImageSource?, keepsEphemeral: Bool) async throws(Fault)
}

/// The ability to boot a guest from a disk that is not its own, to mend what is.
package protocol GuestRescue: Sendable {
    /// Switches the guest off and starts it from a new disk made of the image, its own beside it.
    func rescue(_ guest: GuestSpec, image: ImageSource?, with disk: GuestRescueDisk) async throws(Fault)
    /// Switches the guest off, forgets the rescue's disk and leaves the guest as it was before, down.
    func unrescue(_ guest: GuestSpec) async throws(Fault)
}

/// How a rescue's disk is attached.
package struct GuestRescueDisk: Sendable, Hashable, Codable {
    /// Where a stable rescue wants it: `virtio`, `scsi`, `usb`, ...; nil takes the guest's usual one.
    package var bus: String?
    /// `disk`, `cdrom` or `floppy`.
    package var device: String
    /// Whether the guest's own disks stay where they were and the rescue's comes last, marked to be booted from;
    /// otherwise the rescue's disk comes first, and of the others only the root disk is there.
    package var isStable: Bool

    package init(bus: String? = nil, device: String = "disk", isStable: Bool = false) {
        self.bus = bus
        self.device = device
        self.isStable = isStable
    }

    /// As the properties of the image to be booted say (`hw_rescue_bus`, `hw_rescue_device`).
    package init(properties: [String: String]) {
        bus = properties["hw_rescue_bus"]
        device = properties["hw_rescue_device"] ?? (bus == nil ? "disk" : "cdrom")
        isStable = properties["hw_rescue_bus"] != nil || properties["hw_rescue_device"] != nil
    }
}

/// The ability to put copies of guests' root disks aside, each a qcow2 file of its own, and to read them.
package protocol GuestSnapshots: Sendable {
    /// Copies the root disk as it is now, unless a copy of that name is complete already.
    /// - Parameter freeze: whether the guest's agent is to quiet its file systems for the moment of the copy.
    func takeSnapshot(_ name: String, of server: String, freeze: GuestFreeze) async throws(Fault)
    func readSnapshot(_ name: String) async throws(Fault) -> GuestSnapshot
    /// Forgets a copy, whole or not; one that is not there is forgotten already.
    func dropSnapshot(_ name: String) async throws(Fault)
}

/// The ability to encrypt guests' local disks, and copies of them, with secrets that are known by their ids.
package protocol EncryptedDisks: GuestSnapshots {
    /// Copies an encrypted root disk as `takeSnapshot` copies a plain one; the copy has a secret of its own.
    func takeSnapshot(_ name: String, of server: String, freeze: GuestFreeze, key: String) async throws(Fault)
}

/// How much a snapshot wants of the guest's agent.
package enum GuestFreeze: String, Sendable, Hashable, Codable {
    case none, wished, needed

    /// As the image's properties say (`os_require_quiesce`, `hw_qemu_guest_agent`).
    package init(properties: [String: String]) {
        func isSet(_ name: String) -> Bool {
            ["yes", "true", "1", "on", "t", "y"].contains(properties[name]?.lowercased() ?? "")
        }
        self = isSet("os_require_quiesce") ? .needed : isSet("hw_qemu_guest_agent") ? .wished : .none
    }
}

/// A copy that is complete, to be read from its beginning to its end.
package struct GuestSnapshot: Sendable {
    package let size: Int
    /// At most so many bytes from there on; fewer only at the end.
    package let read: @Sendable (_ at: Int, _ count: Int) async throws(Fault) -> [UInt8]

    package init(size: Int, read: @escaping @Sendable (_ at: Int, _ count: Int) async throws(Fault) -> [UInt8]) {
        self.size = size
        self.read = read
    }
}

/// The ability to send a guest the interrupt on which its kernel writes a dump, if it is set up so.
package protocol GuestCrashDump: Sendable {
    func triggerCrashDump(_ server: String) async throws(Fault)
}

/// Consoles beside the screen.
package protocol GuestConsoles: Sendable {
    /// Where a guest's console of a kind is served, as raw bytes; 400 when the host does not serve that kind.
    func console(_ kind: GuestConsoleKind, of server: String) async throws(Fault) -> ConsoleEndpoint
}

package enum GuestConsoleKind: String, Sendable, Hashable, Codable, CaseIterable { case vnc, spice, serial, mks }
