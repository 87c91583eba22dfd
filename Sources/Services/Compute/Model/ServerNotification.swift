// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What is told of an action on a server, in upstream's versioned form (nova/notifications/objects/instance.py).
struct ServerNotification: Sendable {
    enum Phase: String, Sendable { case start, end, error }

    let action: InstanceAction
    let phase: Phase
    let server: Server
    let zone: String

    /// Upstream's name of what an action does; nil for actions nobody is told of.
    static func event(_ action: String) -> String? { events[action] }

    private static let events: [String: String] = [
        "create": "create", "delete": "delete", "start": "power_on", "stop": "power_off", "reboot": "reboot",
        "pause": "pause", "unpause": "unpause", "suspend": "suspend", "resume": "resume", "rebuild": "rebuild",
        "resize": "resize", "confirmResize": "resize_confirm", "revertResize": "resize_revert", "migrate": "resize",
        "rescue": "rescue", "unrescue": "unrescue", "shelve": "shelve", "shelveOffload": "shelve_offload",
        "unshelve": "unshelve", "createImage": "snapshot", "createBackup": "snapshot", "lock": "lock",
        "unlock": "unlock", "attach_volume": "volume_attach", "detach_volume": "volume_detach",
        "swap_volume": "volume_swap", "attach_interface": "interface_attach", "detach_interface": "interface_detach",
        "live-migration": "live_migration_post", "evacuate": "evacuate", "restore": "restore",
        "softDelete": "soft_delete", "trigger_crash_dump": "trigger_crash_dump", "extend_volume": "volume_extend",
    ]

    /// The whole message; nil when nobody is told.
    var message: JSON? {
        guard let event = Self.event(action.action) else { return nil }
        let isCreate = event == "create"
        return [
            "priority": phase == .error ? "ERROR" : "INFO",
            "event_type": .string("instance.\(event).\(phase.rawValue)"),
            "publisher_id": .string("nova-compute:\(server.host ?? "")"), "timestamp": .string(moment.iso8601Naive),
            "message_id": .string("\(action.requestID)/\(server.id)/\(action.action)/\(phase.rawValue)"),
            "payload": object(
                isCreate ? "InstanceCreatePayload" : "InstanceActionPayload", isCreate ? "1.12" : "1.8",
                members(isCreate: isCreate)),
        ]
    }

    private var moment: Timestamp { phase == .start ? action.startedAt : action.finishedAt ?? action.updatedAt }

    private func object(_ name: String, _ version: String, _ members: JSONObject) -> JSON {
        [
            "nova_object.name": .string(name), "nova_object.namespace": "nova",
            "nova_object.version": .string(version), "nova_object.data": .object(members),
        ]
    }

    private func members(isCreate: Bool) -> JSONObject {
        var members: JSONObject = [
            "uuid": .string(server.id), "user_id": .string(server.userID), "tenant_id": .string(server.projectID),
            "reservation_id": .string(server.reservationID), "display_name": .string(server.name),
            "display_description": text(server.description), "host_name": .string(server.hostname),
            "host": text(server.host), "node": text(server.node),
            "os_type": text(server.imageProperties["os_type"]),
            "architecture": text(server.imageProperties["architecture"]), "availability_zone": .string(zone),
            "flavor": flavor, "image_uuid": .string(server.imageID ?? ""), "key_name": text(server.keyName),
            "kernel_id": "", "ramdisk_id": "", "created_at": .string(server.createdAt.iso8601),
            "launched_at": text(server.launchedAt?.iso8601), "terminated_at": text(server.terminatedAt?.iso8601),
            "deleted_at": text(server.deletedAt?.iso8601), "updated_at": .string(server.updatedAt.iso8601),
            "state": .string(server.vmState.rawValue), "power_state": .string(power),
            "task_state": text(server.taskState?.rawValue), "progress": .integer(Int64(server.progress)),
            "ip_addresses": .array(addresses), "block_devices": [],
            "metadata": .object(JSONObject(server.metadata.sorted { $0.key < $1.key }.map { ($0, .string($1)) })),
            "locked": .bool(server.locked), "locked_reason": text(server.lockedReason),
            "auto_disk_config": .string(server.diskConfig), "request_id": .string(action.requestID),
            "action_initiator_user": .string(action.userID), "action_initiator_project": .string(action.projectID),
            "fault": phase == .error ? fault : .null,
        ]
        if isCreate {
            members["instance_name"] = .string(server.instanceName)
            members["tags"] = .array(server.tags.map(JSON.string))
            members["keypairs"] = []
            members["trusted_image_certificates"] = .null
        }
        return members
    }

    private func text(_ value: String?) -> JSON { value.map(JSON.string) ?? .null }

    private var power: String {
        switch GuestState(rawValue: server.powerState) {
        case .running: "running"
        case .paused: "paused"
        case .shutdown: "shutdown"
        case .crashed: "crashed"
        case .suspended: "suspended"
        case nil, .some(.none): "pending"
        }
    }

    private var flavor: JSON {
        let flavor = server.flavor
        return object(
            "FlavorPayload", "1.4",
            [
                "flavorid": .string(flavor.id), "name": .string(flavor.name), "vcpus": .integer(Int64(flavor.vcpus)),
                "memory_mb": .integer(Int64(flavor.memoryMiB)), "root_gb": .integer(Int64(flavor.diskGiB)),
                "ephemeral_gb": .integer(Int64(flavor.ephemeralGiB)), "swap": .integer(Int64(flavor.swapMiB)),
                "rxtx_factor": 1, "vcpu_weight": 0, "disabled": false, "is_public": true, "projects": .null,
                "description": .null,
                "extra_specs": .object(
                    JSONObject(flavor.extraSpecs.sorted { $0.key < $1.key }.map { ($0, .string($1)) })),
            ])
    }

    private var addresses: [JSON] {
        server.ports.flatMap { port in
            port.addresses.filter { $0.kind == "fixed" }.map { address in
                object(
                    "IpPayload", "1.0",
                    [
                        "label": .string(port.label), "mac": .string(port.mac), "meta": [:],
                        "port_uuid": .string(port.portID), "version": .integer(Int64(address.version)),
                        "address": .string(address.address), "device_name": .null,
                    ])
            }
        }
    }

    private var fault: JSON {
        object(
            "ExceptionPayload", "1.1",
            [
                "module_name": "compute", "function_name": .string(action.action), "exception": "Fault",
                "exception_message": text(action.message), "traceback": "",
            ])
    }
}
