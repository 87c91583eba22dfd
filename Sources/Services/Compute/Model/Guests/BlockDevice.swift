// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// A disk of a server other than the one its image and flavor give it by themselves: a volume, or a local disk that was
/// asked for (upstream's block device mapping).
struct BlockDevice: Record {
    static let table = "compute_block_devices"

    enum Source: String, Codable, Sendable, CaseIterable { case image, volume, snapshot, blank }
    enum Destination: String, Codable, Sendable, CaseIterable { case local, volume }
    enum State: String, Codable, Sendable {
        /// Asked for; nothing is held yet.
        case wanted
        case attaching, attached, detaching
    }

    let id: String
    let serverID: String
    /// Orders a server's devices.
    let position: Int
    /// 0 is what the server boots from; nil and below are no boot devices.
    var bootIndex: Int?
    var source: Source
    var destination: Destination
    var volumeID: String?
    let snapshotID: String?
    let imageID: String?
    /// In GiB; of swap in MiB.
    var size: Int?
    let volumeType: String?
    let guestFormat: String?
    let bus: String?
    let kind: String?
    var device: String?
    var tag: String?
    var deletesWithServer: Bool
    /// Whether the volume was made for this server, so that a boot that failed takes it away again.
    var isOurs = false
    var attachmentID: String?
    /// Block storage's `connection_info`, once a host has connected.
    var connection: String?
    var isShared = false
    /// While the server moves: a second hold, of the host it goes to or comes from.
    var otherHost: String?
    var otherAttachmentID: String?
    var otherConnection: String?
    /// The secret in the key manager that the volume is encrypted with; nil of a plain one.
    var keyID: String?
    var state: State
    let createdAt: Timestamp
    var updatedAt: Timestamp

    var isRoot: Bool { bootIndex == 0 }
    var isSwap: Bool { destination == .local && source == .blank && guestFormat == "swap" }
    var isEphemeral: Bool { destination == .local && source == .blank && guestFormat != "swap" }

    static let migrations: [Migration] = [
        """
        2026-11-29 compute block devices
        CREATE TABLE compute_block_devices (
            id VARCHAR(36) NOT NULL PRIMARY KEY, server_id VARCHAR(36) NOT NULL, position INTEGER NOT NULL,
            boot_index INTEGER, source VARCHAR(16) NOT NULL, destination VARCHAR(16) NOT NULL, volume_id VARCHAR(36),
            snapshot_id VARCHAR(36), image_id VARCHAR(36), size INTEGER, volume_type VARCHAR(255),
            guest_format VARCHAR(255), bus VARCHAR(255), kind VARCHAR(255), device VARCHAR(255), tag VARCHAR(255),
            deletes_with_server INTEGER NOT NULL, is_ours INTEGER NOT NULL, attachment_id VARCHAR(36), connection TEXT,
            is_shared INTEGER NOT NULL, state VARCHAR(16) NOT NULL, created_at BIGINT NOT NULL,
            updated_at BIGINT NOT NULL);
        CREATE INDEX compute_block_devices_server ON compute_block_devices (server_id, position);
        CREATE INDEX compute_block_devices_volume ON compute_block_devices (volume_id)
        """,
        """
        2026-11-30 compute block devices of servers that move
        ALTER TABLE compute_block_devices ADD COLUMN other_host VARCHAR(255);
        ALTER TABLE compute_block_devices ADD COLUMN other_attachment_id VARCHAR(36);
        ALTER TABLE compute_block_devices ADD COLUMN other_connection TEXT
        """,
        """
        2026-11-30 compute keys of volumes
        ALTER TABLE compute_block_devices ADD COLUMN key_id VARCHAR(255)
        """,
    ]

    /// The devices of a server, in their order.
    static func of(_ server: String, _ database: Database) async throws(Fault) -> [BlockDevice] {
        try await database.all(BlockDevice.self, "server_id = \(server) ORDER BY position, id")
    }

    static func of(_ server: String, _ transaction: Transaction) throws(Fault) -> [BlockDevice] {
        try transaction.all(BlockDevice.self, "server_id = \(server) ORDER BY position, id")
    }

    /// The device as the guest gets it on a host; nil until one has connected to it.
    func guestVolume(at host: String? = nil) throws(Fault) -> GuestVolume? {
        let connection = host != nil && host == otherHost ? otherConnection : connection
        guard let volumeID, let connection else { return nil }
        let document: JSON
        do { document = try JSON.parse(Array(connection.utf8), limits: .trusted) } catch {
            throw .internalError("the connection of volume \(volumeID) cannot be read: \(error.message)")
        }
        let isEncrypted = VolumeConnection.isEncrypted(document)
        // Without its key a guest would write over what is encrypted.
        if isEncrypted, keyID == nil { throw .internalError("the key of volume \(volumeID) is not known") }
        return GuestVolume(
            volumeID: volumeID, connection: try VolumeConnection(document), device: device ?? "", bus: bus, kind: kind,
            isShared: isShared, encryption: isEncrypted ? "luks" : nil)
    }
}

/// The names of a server's disks as the API tells them: `/dev/vda`, `/dev/vdb`, ...
struct DeviceNames {
    private var used: Set<String>
    private let prefix: String

    /// - Parameter used: names given already, with or without `/dev/`.
    init(used: [String], bus: String?) {
        self.used = Set(used.map { DeviceNames.short($0) })
        prefix = bus == "scsi" || bus == "sata" || bus == "usb" ? "sd" : bus == "ide" ? "hd" : "vd"
    }

    /// How many disks there are.
    var count: Int { used.count }

    func isTaken(_ name: String) -> Bool { used.contains(DeviceNames.short(name)) }

    mutating func next() -> String? {
        // As Linux names them: `vdz` is followed by `vdaa`.
        let letters = (UInt8(ascii: "a")...UInt8(ascii: "z")).map { String(UnicodeScalar($0)) }
        for suffix in letters + letters.flatMap({ first in letters.map { first + $0 } }) {
            if used.insert(prefix + suffix).inserted { return "/dev/" + prefix + suffix }
        }
        return nil
    }

    private static func short(_ name: String) -> String {
        name.hasPrefix("/dev/") ? String(name.dropFirst(5)) : name
    }
}

extension Server {
    /// Whether the server's root disk is a volume.
    var isVolumeBacked: Bool { scheduling.isVolumeBacked == true }

    /// The names that a server's own disks have, and those of its devices.
    func deviceNames(_ devices: [BlockDevice]) -> DeviceNames {
        var names = DeviceNames(used: [], bus: imageProperties["hw_disk_bus"])
        var own: [String] = []
        let hasLocal = devices.contains { $0.destination == .local }
        let isBare = !devices.contains { $0.isRoot && $0.destination == .volume }
        let count = (isBare ? 1 : 0) + (hasLocal ? 0 : (flavor.ephemeralGiB > 0 ? 1 : 0) + (flavor.swapMiB > 0 ? 1 : 0))
        for _ in 0..<count { own.append(names.next() ?? "") }
        return DeviceNames(used: own + devices.compactMap(\.device), bus: imageProperties["hw_disk_bus"])
    }
}
