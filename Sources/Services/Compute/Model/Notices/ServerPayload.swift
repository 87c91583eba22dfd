// SPDX-License-Identifier: Apache-2.0
import Kernel

/// A server as notifications tell of it (nova/notifications/objects/instance.py).
struct ServerPayload {
    /// On whose behalf something is done; nobody asked for what the cloud does by itself.
    struct Initiator {
        var request: String?
        var user: String?
        var project: String?

        init(_ action: InstanceAction?) {
            request = action?.requestID
            user = action?.userID
            project = action?.projectID
        }
    }

    private(set) var members: JSONObject

    /// - Parameters:
    ///   - devices: its volumes; nil where nobody asked for them.
    ///   - zone: of its host, or what it was asked for.
    init(_ server: Server, zone: String?, devices: [BlockDevice]?, by initiator: Initiator) {
        typealias Part = NoticePayload
        members = [
            "uuid": .string(server.id), "user_id": .string(server.userID), "tenant_id": .string(server.projectID),
            "reservation_id": .string(server.reservationID), "display_name": .string(server.name),
            "display_description": Part.text(server.description), "host_name": .string(server.hostname),
            "host": Part.text(server.host), "node": Part.text(server.node),
            "os_type": Part.text(server.imageProperties["os_type"]),
            "architecture": Part.text(server.imageProperties["hw_architecture"] ?? server.architecture),
            "availability_zone": Part.text(zone), "flavor": Part.flavor(server.flavor),
            "image_uuid": .string(server.imageID ?? ""), "key_name": Part.text(server.keyName),
            "kernel_id": .string(server.imageProperties["kernel_id"] ?? ""),
            "ramdisk_id": .string(server.imageProperties["ramdisk_id"] ?? ""),
            "created_at": .string(server.createdAt.iso8601), "launched_at": Part.text(server.launchedAt?.iso8601),
            "terminated_at": Part.text(server.terminatedAt?.iso8601),
            "deleted_at": Part.text(server.deletedAt?.iso8601), "updated_at": .string(server.updatedAt.iso8601),
            "state": .string(server.vmState.rawValue), "power_state": .string(ServerPayload.power(server)),
            "task_state": Part.text(server.taskState?.rawValue), "progress": Part.number(server.progress),
            "ip_addresses": .array(ServerPayload.addresses(server)),
            "block_devices": ServerPayload.volumes(devices),
            "metadata": Part.pairs(server.metadata), "locked": .bool(server.locked),
            "locked_reason": Part.text(server.lockedReason), "auto_disk_config": .string(server.diskConfig),
            "request_id": Part.text(initiator.request), "action_initiator_user": Part.text(initiator.user),
            "action_initiator_project": Part.text(initiator.project),
            // There are no shares without a shared file system service.
            "shares": .null,
        ]
    }

    /// With further members, as a payload of a name and a version.
    func object(_ name: String, _ version: String, _ more: JSONObject = [:]) -> JSON {
        var members = members
        for (key, value) in more { members[key] = value }
        return NoticePayload.object(name, version, members)
    }

    private static func volumes(_ devices: [BlockDevice]?) -> JSON {
        guard let devices else { return .null }
        return .array(devices.filter { $0.volumeID != nil }.map(NoticePayload.device))
    }

    private static func power(_ server: Server) -> String {
        switch GuestState(rawValue: server.powerState) {
        case .running: "running"
        case .paused: "paused"
        case .shutdown: "shutdown"
        case .crashed: "crashed"
        case .suspended: "suspended"
        case nil, .some(.none): "pending"
        }
    }

    private static func addresses(_ server: Server) -> [JSON] {
        server.ports.flatMap { port in
            port.addresses.filter { $0.kind == "fixed" }.map { address in
                NoticePayload.object(
                    "IpPayload", "1.0",
                    [
                        "label": .string(port.label), "mac": .string(port.mac), "meta": [:],
                        "port_uuid": .string(port.portID), "version": .integer(Int64(address.version)),
                        "address": .string(address.address), "device_name": .string("tap" + port.portID.prefix(11)),
                    ])
            }
        }
    }
}

extension Server {
    /// Images made for other clouds say it without a prefix.
    fileprivate var architecture: String? { imageProperties["architecture"] }
}
