// SPDX-License-Identifier: Apache-2.0
package import Kernel

// What only some hypervisors can do. A room asks `hypervisor as? any GuestImaging` and answers 501 or 409 without it.

/// The ability to reach an agent inside the guest.
package protocol GuestAgent: Sendable {
    /// Sets a user's password inside the guest. 409 when no agent answers.
    func changePassword(of server: String, user: String, to password: String) async throws(Fault)
}

/// The ability to copy a guest's root disk into a file of its own, without its base image.
package protocol GuestImaging: Sendable {
    /// Writes the root disk as it is now to `path` as qcow2; the guest is paused for no longer than the copy needs.
    func snapshot(_ server: String, to path: String) async throws(Fault)
}

/// The ability to give a guest another size.
package protocol GuestResizing: Sendable {
    /// Gives a guest that is down the description's vCPUs, memory and root disk; its ports and other disks stay. A disk
    /// only grows.
    func resize(_ guest: GuestSpec) async throws(Fault)
}

/// The ability to keep images on the host before and after guests need them.
package protocol ImageKeeping: Sendable {
    /// Fetches an image unless the host has it, so that the first boot from it need not wait.
    func keep(_ image: ImageSource) async throws(Fault)
    /// Whether a boot from the image need not fetch it first.
    func hasImage(_ id: String) async -> Bool
    /// Drops images that no guest stands on and that no boot has asked for this long; returns how many.
    @discardableResult
    func pruneImages(unusedFor: Duration) async throws(Fault) -> Int
}
