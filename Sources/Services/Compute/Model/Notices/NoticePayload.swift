// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Upstream's payloads (nova/notifications/objects): objects that carry their name and version.
enum NoticePayload {
    static func object(_ name: String, _ version: String, _ members: JSONObject) -> JSON {
        [
            "nova_object.name": .string(name), "nova_object.namespace": "nova",
            "nova_object.version": .string(version), "nova_object.data": .object(members),
        ]
    }

    static func text(_ value: String?) -> JSON { value.map(JSON.string) ?? .null }
    static func number(_ value: Int?) -> JSON { value.map { .integer(Int64($0)) } ?? .null }
    static func texts(_ values: [String]) -> JSON { .array(values.map(JSON.string)) }

    static func pairs(_ values: [String: String]) -> JSON {
        .object(JSONObject(values.sorted { $0.key < $1.key }.map { ($0, .string($1)) }))
    }

    static func flavor(_ flavor: FlavorSnapshot) -> JSON {
        object(
            "FlavorPayload", "1.4",
            [
                "flavorid": .string(flavor.id), "name": .string(flavor.name), "vcpus": number(flavor.vcpus),
                "memory_mb": number(flavor.memoryMiB), "root_gb": number(flavor.diskGiB),
                "ephemeral_gb": number(flavor.ephemeralGiB), "swap": number(flavor.swapMiB), "rxtx_factor": 1.0,
                "vcpu_weight": 0, "disabled": false, "is_public": true, "extra_specs": pairs(flavor.extraSpecs),
                "projects": .null, "description": .null,
            ])
    }

    static func keypair(
        user: String, name: String, type: Keypair.Kind, publicKey: String?, fingerprint: String?
    ) -> JSON {
        object(
            "KeypairPayload", "1.0",
            [
                "user_id": .string(user), "name": .string(name), "type": .string(type.rawValue),
                "public_key": text(publicKey), "fingerprint": text(fingerprint),
            ])
    }

    static func period(_ beginning: Timestamp, _ ending: Timestamp) -> JSON {
        object(
            "AuditPeriodPayload", "1.0",
            [
                "audit_period_beginning": .string(beginning.iso8601), "audit_period_ending": .string(ending.iso8601),
            ])
    }

    /// - Parameter function: what failed, as upstream names it.
    static func exception(_ function: String, _ message: String) -> JSON {
        let kind = message.hasPrefix("No valid host") ? "NoValidHost" : "NovaException"
        return object(
            "ExceptionPayload", "1.1",
            [
                "module_name": "nova.compute.manager", "function_name": .string(function), "exception": .string(kind),
                "exception_message": .string(message), "traceback": "",
            ])
    }

    static func device(_ device: BlockDevice) -> JSON {
        object(
            "BlockDevicePayload", "1.0",
            [
                "device_name": text(device.device), "boot_index": number(device.bootIndex),
                "delete_on_termination": .bool(device.deletesWithServer), "volume_id": text(device.volumeID),
                "tag": text(device.tag),
            ])
    }
}

// MARK: - Other nouns than servers

extension Notices {
    func flavors(_ changes: RowChanges, _ transaction: Transaction) throws(Fault) {
        for change in changes.of(Flavor.self) {
            guard let flavor = change.new ?? change.old else { continue }
            let verb = change.old == nil ? "create" : change.new == nil ? "delete" : "update"
            try tell("flavor." + verb, .api, flavor.payload(verb), transaction)
        }
    }

    /// What is done to an aggregate is told before, with what it was, and after, with what it is.
    func aggregates(_ changes: RowChanges, _ transaction: Transaction) throws(Fault) {
        for change in changes.of(Aggregate.self) {
            switch (change.old, change.new) {
            case (nil, let new?):
                var members = new.members
                members["id"] = .null
                members["hosts"] = .null
                try tell("aggregate.create.start", .api, Aggregate.payload(members), transaction)
                try tell("aggregate.create.end", .api, Aggregate.payload(new.members), transaction)
            case (let old?, nil):
                for phase in ["start", "end"] {
                    try tell("aggregate.delete." + phase, .api, Aggregate.payload(old.members), transaction)
                }
            case (let old?, let new?):
                for verb in new.verbs(since: old) {
                    // Upstream tells the beginning of a renaming with the new name already.
                    let first = verb == "update_prop" ? new : old
                    try tell("aggregate.\(verb).start", .api, Aggregate.payload(first.members), transaction)
                    try tell("aggregate.\(verb).end", .api, Aggregate.payload(new.members), transaction)
                }
            case (nil, nil): break
            }
        }
    }

    func groups(_ changes: RowChanges, _ transaction: Transaction) throws(Fault) {
        for change in changes.of(ServerGroup.self) {
            if change.old == nil, let group = change.new {
                try tell("server_group.create", .api, group.payload([]), transaction)
            } else if change.new == nil, let group = change.old {
                let gone = changes.of(ServerGroup.Member.self).compactMap(\.old).filter { $0.groupID == group.id }
                try tell("server_group.delete", .api, group.payload(gone.map(\.serverID)), transaction)
            }
        }
        var joined: [String] = []
        for member in changes.of(ServerGroup.Member.self) where member.old == nil {
            if let group = member.new?.groupID, !joined.contains(group) { joined.append(group) }
        }
        for id in joined {
            guard let group = try transaction.first(ServerGroup.self, "id = \(id)") else { continue }
            let members = try transaction.all(ServerGroup.Member.self, "group_id = \(id)").map(\.serverID)
            try tell("server_group.add_member", .api, group.payload(members), transaction)
        }
    }

    func services(_ changes: RowChanges, _ transaction: Transaction) throws(Fault) {
        for change in changes.of(ComputeHost.self) {
            guard let host = change.new ?? change.old else { continue }
            let verb = change.old == nil ? "create" : change.new == nil ? "delete" : "update"
            try tell("service." + verb, .compute, on: host.name, host.payload, transaction)
        }
    }

    /// Making a key is told before there is one; bringing one, with it.
    func keypair(_ keypair: Keypair, _ verb: String, _ transaction: Transaction) throws(Fault) {
        let whole = NoticePayload.keypair(
            user: keypair.userID, name: keypair.name, type: keypair.type, publicKey: keypair.publicKey,
            fingerprint: keypair.fingerprint)
        let first =
            verb == "delete"
            ? whole
            : NoticePayload.keypair(
                user: keypair.userID, name: keypair.name, type: keypair.type,
                publicKey: verb == "import" ? keypair.publicKey : nil, fingerprint: nil)
        try tell("keypair.\(verb).start", .api, first, transaction)
        try tell("keypair.\(verb).end", .api, whole, transaction)
    }
}

extension Flavor {
    /// Upstream does not know of a flavor's extra specs when it is made, nor of anything beyond its size when it goes.
    fileprivate func payload(_ verb: String) -> JSON {
        NoticePayload.object(
            "FlavorPayload", "1.4",
            [
                "flavorid": .string(id), "name": .string(name), "vcpus": NoticePayload.number(vcpus),
                "memory_mb": NoticePayload.number(memoryMB), "root_gb": NoticePayload.number(diskGB),
                "ephemeral_gb": NoticePayload.number(ephemeralGB), "swap": NoticePayload.number(swapMB),
                "rxtx_factor": .double(rxtxFactor), "vcpu_weight": 0, "disabled": false, "is_public": .bool(isPublic),
                "extra_specs": verb == "update" ? NoticePayload.pairs(extraSpecs) : .null,
                "projects": verb == "delete" ? .null : NoticePayload.texts(projects),
                "description": NoticePayload.text(description),
            ])
    }
}

extension Aggregate {
    fileprivate var members: JSONObject {
        [
            "id": NoticePayload.number(id), "uuid": .string(uuid), "name": .string(name),
            "hosts": NoticePayload.texts(hosts), "metadata": NoticePayload.pairs(metadata),
        ]
    }

    fileprivate static func payload(_ members: JSONObject) -> JSON {
        NoticePayload.object("AggregatePayload", "1.1", members)
    }

    var payload: JSON { Aggregate.payload(members) }

    /// What was done, told by what is different.
    fileprivate func verbs(since old: Aggregate) -> [String] {
        var verbs: [String] = []
        if name != old.name { verbs.append("update_prop") }
        if metadata != old.metadata { verbs.append("update_metadata") }
        if hosts.contains(where: { !old.hosts.contains($0) }) { verbs.append("add_host") }
        if old.hosts.contains(where: { !hosts.contains($0) }) { verbs.append("remove_host") }
        return verbs
    }
}

extension ServerGroup {
    func payload(_ members: [String]) -> JSON {
        NoticePayload.object(
            "ServerGroupPayload", "1.1",
            [
                "uuid": .string(id), "name": .string(name), "user_id": .string(userID),
                "project_id": .string(projectID), "policies": NoticePayload.texts([policy.rawValue]),
                "policy": .string(policy.rawValue),
                "rules": .object(perHostMax.map { ["max_server_per_host": .string(String($0))] } ?? [:]),
                "members": NoticePayload.texts(members), "hosts": .null,
            ])
    }
}

extension ComputeHost {
    fileprivate var payload: JSON {
        NoticePayload.object(
            "ServiceStatusPayload", "1.1",
            [
                "host": .string(name), "binary": .string(ComputeServices.binary), "topic": "compute",
                "report_count": 0, "disabled": .bool(isDisabled),
                "disabled_reason": NoticePayload.text(disabledReason), "availability_zone": .null,
                "last_seen_up": .string(reportedAt.iso8601), "forced_down": .bool(isForcedDown),
                // Upstream's number of the service's version (nova/objects/service.py).
                "version": 74, "uuid": .string(serviceID),
            ])
    }
}
