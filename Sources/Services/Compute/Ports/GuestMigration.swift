// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A disk on its way to another host.
package struct MovingDisk: Sendable {
    /// `root`, `ephemeral`: means the same on every host of one driver.
    package let name: String
    /// What it holds, in short, where a driver can tell; empty otherwise.
    package let mark: String
    /// Bytes that the guest sees.
    package let size: Int64
    /// Writes the disk, complete in itself, to a file that does not exist yet.
    package let fetch: @Sendable (_ path: String) async throws(Fault) -> Void

    package init(
        name: String, mark: String = "", size: Int64,
        fetch: @escaping @Sendable (_ path: String) async throws(Fault) -> Void
    ) {
        self.name = name
        self.mark = mark
        self.size = size
        self.fetch = fetch
    }
}

/// The ability to hand guests over while they are down, and to go back to a size they had.
package protocol GuestMigration: GuestResizing {
    /// The disks of a guest that is here, as another host takes them over while it is down.
    func disks(of server: String) async throws(Fault) -> [MovingDisk]

    /// Makes a guest from another host's disks and leaves it down. One that is here already stays as it is.
    func receive(_ guest: GuestSpec, disks: [MovingDisk]) async throws(Fault)

    /// Keeps the disks of a guest that is down as they are, beside those it goes on with. What is kept already stays.
    func keepDisks(of server: String) async throws(Fault)

    /// Puts the kept disks back under a guest that is switched off for it, and gives it the description; nothing kept
    /// changes nothing.
    func restoreDisks(_ guest: GuestSpec) async throws(Fault)

    /// Forgets what is kept.
    func dropKeptDisks(of server: String) async throws(Fault)
}

/// Where a host awaits a guest that comes running.
package struct ArrivalPlace: Sendable, Hashable {
    /// As the departing host's driver understands it.
    package let address: String

    package init(address: String) { self.address = address }
}

/// How far a guest is on its way, in bytes.
package struct JourneyProgress: Sendable, Hashable, Codable {
    package var memoryTotal: Int64 = 0
    package var memoryProcessed: Int64 = 0
    package var memoryRemaining: Int64 = 0
    package var diskTotal: Int64 = 0
    package var diskProcessed: Int64 = 0
    package var diskRemaining: Int64 = 0

    package init() {}
}

/// The ability to hand guests over while they run.
///
///     let place = try await there.expect(guest, disks: here.disks(of: id))
///     try await here.depart(id, to: place) { progress in ... }
///     try await there.arrive(guest, as: .running)
package protocol GuestLiveMigration: GuestMigration {
    /// Makes room for a guest that will come running from another host. One that is awaited already stays so.
    func expect(_ guest: GuestSpec, disks: [MovingDisk]) async throws(Fault) -> ArrivalPlace

    /// Sends a guest off and returns when it lives there and not here any more; one that has left before is fine.
    /// A call that is cancelled leaves the guest running here.
    func depart(
        _ server: String, to place: ArrivalPlace, told: @escaping @Sendable (JourneyProgress) async -> Void
    ) async throws(Fault)

    /// Whether a guest that was here has been sent off and lives elsewhere; what is left of it, `destroy` removes.
    func hasLeft(_ server: String) async throws(Fault) -> Bool

    /// Lets a guest under way arrive at once, whatever that costs it. 409 when it is not under way.
    func hasten(_ server: String) async throws(Fault)

    /// Takes a guest in that has left the other host; `state` is what it was there.
    func arrive(_ guest: GuestSpec, as state: GuestState) async throws(Fault)
}
