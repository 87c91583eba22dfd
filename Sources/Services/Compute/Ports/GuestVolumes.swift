// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// The ability to give guests disks that live elsewhere. Both calls may be repeated.
package protocol GuestVolumes: Sendable {
    /// What the host is called towards storage: Block storage's `connector`.
    func connector() async throws(Fault) -> VolumeConnector
    /// Adds a volume to a guest, running or not.
    func attach(_ volume: GuestVolume, to server: String) async throws(Fault)
    /// Takes a volume from a guest, running or not. A guest that is not there has none.
    func detach(volume: String, from server: String) async throws(Fault)
}

/// The ability to move a guest's disk from one volume to another while it runs.
package protocol GuestVolumeSwap: Sendable {
    /// Copies what the old volume holds to the new one and goes on with that. A guest that uses the new one already is
    /// done.
    func swap(volume old: String, for new: GuestVolume, of server: String) async throws(Fault)
}

/// The ability to take note of a volume that grew.
package protocol GuestVolumeGrowth: Sendable {
    func grow(volume: String, of server: String, toBytes size: Int64) async throws(Fault)
}

/// A host as storage sees it.
package struct VolumeConnector: Sendable, Hashable, Codable {
    package var host: String
    package var ip: String
    /// The host's name as an iSCSI initiator.
    package var initiator: String?

    package init(host: String, ip: String, initiator: String? = nil) {
        self.host = host
        self.ip = ip
        self.initiator = initiator
    }

    package var json: JSON {
        var members: JSONObject = [
            "host": .string(host), "ip": .string(ip), "platform": "x86_64", "os_type": "linux2", "multipath": false,
            "do_local_attach": false,
        ]
        if let initiator { members["initiator"] = .string(initiator) }
        return .object(members)
    }
}

/// A volume as a guest has it.
package struct GuestVolume: Sendable, Hashable, Codable {
    /// Also the disk's serial number inside the guest.
    package var volumeID: String
    package var connection: VolumeConnection
    /// `/dev/vdb`: what the API calls the disk. Drivers whose guests name disks by themselves need not keep to it.
    package var device: String
    /// `virtio`, `scsi`, ...; nil is what the image asks for.
    package var bus: String?
    /// `disk`, `cdrom` or `lun`.
    package var kind: String?
    package var isShared: Bool
    /// `luks` of one that QEMU decrypts, with the secret that the key manager has under the volume's id; nil of a
    /// plain one.
    package var encryption: String?

    package init(
        volumeID: String, connection: VolumeConnection, device: String, bus: String? = nil, kind: String? = nil,
        isShared: Bool = false, encryption: String? = nil
    ) {
        self.volumeID = volumeID
        self.connection = connection
        self.device = device
        self.bus = bus
        self.kind = kind
        self.isShared = isShared
        self.encryption = encryption
    }
}

/// How a host reaches a volume.
package enum VolumeConnection: Sendable, Hashable, Codable {
    /// A file or a device that the host sees; `format` is `raw` or `qcow2`, never guessed.
    case file(path: String, format: String)
    case block(path: String)
    /// A network block device: a server's export, or a socket on this host.
    case nbd(host: String, port: Int, export: String)
    case nbdSocket(path: String, export: String)
    case rbd(name: String, monitors: [Endpoint], user: String?, secret: String?)
    case iscsi(target: String, lun: Int, portal: Endpoint, user: String?, password: String?)

    package struct Endpoint: Sendable, Hashable, Codable {
        package var host: String
        package var port: Int

        package init(host: String, port: Int) {
            self.host = host
            self.port = port
        }
    }
}

extension VolumeConnection {
    /// Reads Block storage's `connection_info`.
    package init(_ json: JSON) throws(Fault) {
        let kind = json["driver_volume_type"]?.string ?? ""
        let data = json["data"] ?? .null
        switch kind {
        case "local":
            let path = try Self.text("device_path", data, kind)
            self = path.hasPrefix("/dev/") ? .block(path: path) : .file(path: path, format: Self.format(data))
        case "file":
            self = .file(path: try Self.text("path", data, kind), format: Self.format(data))
        case "nbd":
            let export = data["export"]?.string ?? ""
            if let path = data["socket"]?.string {
                self = .nbdSocket(path: path, export: export)
            } else {
                self = .nbd(
                    host: try Self.text("host", data, kind), port: data["port"]?.integer ?? 10_809, export: export)
            }
        case "rbd":
            let hosts = (data["hosts"]?.array ?? []).compactMap(\.string)
            let ports = (data["ports"]?.array ?? []).map { $0.integer ?? Int($0.string ?? "") ?? 6789 }
            let monitors = hosts.enumerated().map {
                Endpoint(host: $1, port: $0 < ports.count ? ports[$0] : 6789)
            }
            let isSecret = data["auth_enabled"]?.bool ?? false
            self = .rbd(
                name: try Self.text("name", data, kind), monitors: monitors,
                user: isSecret ? data["auth_username"]?.string : nil,
                secret: isSecret ? data["secret_uuid"]?.string : nil)
        case "iscsi":
            let portal = try Self.text("target_portal", data, kind)
            guard let colon = portal.lastIndex(of: ":"), let port = Int(portal[portal.index(after: colon)...]) else {
                throw .internalError("the target portal '\(portal)' has no port")
            }
            self = .iscsi(
                target: try Self.text("target_iqn", data, kind), lun: data["target_lun"]?.integer ?? 0,
                portal: Endpoint(host: String(portal[..<colon]), port: port),
                user: data["auth_username"]?.string, password: data["auth_password"]?.string)
        default: throw .badRequest("Volumes of the kind '\(kind)' cannot be attached to guests of this cloud.")
        }
    }

    /// Whether what is reached so is encrypted, and is to be decrypted where it is used.
    static func isEncrypted(_ json: JSON) -> Bool { json["data"]?["encrypted"]?.bool ?? false }

    private static func text(_ name: String, _ data: JSON, _ kind: String) throws(Fault) -> String {
        guard let text = data[name]?.string, !text.isEmpty else {
            throw .internalError("the connection of a volume of the kind '\(kind)' is without '\(name)'")
        }
        return text
    }

    private static func format(_ data: JSON) -> String { data["format"]?.string == "qcow2" ? "qcow2" : "raw" }
}
