// SPDX-License-Identifier: Apache-2.0
import Kernel
import Synchronization

/// Block storage's API (Cinder v3) as far as Compute calls it: volumes in memory, and who holds them.
final class FakeBlockStorage: Service {
    static let index = ServiceIndex(
        type: "block-storage", name: "cinder", title: "Block storage", port: 8776, mount: "/volume", base: "/v3",
        versions: .storage, envelope: .plain, wording: .nova, resources: [Routes.self])

    struct State {
        var volumes: [String: JSONObject] = [:]
        var snapshots: [String: JSONObject] = [:]
        var attachments: [String: JSONObject] = [:]
        /// Whether volumes that are made stay in the making.
        var isSlow = false
        /// How volumes are reached, where that is not a device.
        var connections: [String: JSON] = [:]
        /// The next call to this path fails with this status.
        var failures: [String: Int] = [:]
        /// And every call to these.
        var refusals: [String: Int] = [:]
        /// How many snapshots a project may have; -1 is any number.
        var snapshotsMax = -1
        /// What the volumes were one after another, each change once.
        var history: [String: [String]] = [:]
    }

    let state = Mutex(State())

    /// A volume that is there from the start.
    func add(_ id: String, _ more: JSONObject = [:]) {
        state.withLock { state in
            var volume: JSONObject = [
                "id": .string(id), "name": "", "status": "available", "size": 1, "multiattach": false,
                "bootable": "true", "availability_zone": "nova", "attachments": [], "metadata": [:],
                "volume_image_metadata": ["hw_rng_model": "virtio"],
            ]
            for (name, value) in more { volume[name] = value }
            state.volumes[id] = volume
        }
    }

    func volume(_ id: String) -> JSONObject? { state.withLock { $0.volumes[id] } }
    var attachments: [JSONObject] { state.withLock { Array($0.attachments.values) } }

    /// The next call that begins so fails with a status.
    func fail(_ call: String, _ status: Int) { state.withLock { $0.failures[call] = status } }

    /// All calls that begin so are refused until something else is said.
    func refuse(_ call: String, _ status: Int?) { state.withLock { $0.refusals[call] = status } }

    fileprivate func run<Value>(
        _ call: String, _ deed: (inout State) throws(Fault) -> Value
    ) throws(Fault) -> Value {
        try state.withLock { state throws(Fault) in
            if let status = state.failures.removeValue(forKey: call) ?? state.refusals[call] {
                throw Fault(status, "storage is out of order")
            }
            return try deed(&state)
        }
    }
}

extension FakeBlockStorage.State {
    fileprivate mutating func set(_ volume: String, _ status: String) {
        guard volumes[volume] != nil else { return }
        volumes[volume]?["status"] = .string(status)
        if history[volume]?.last != status { history[volume, default: []].append(status) }
    }

    fileprivate func hold(_ id: String) throws(Fault) -> JSONObject {
        guard let hold = attachments[id] else { throw .notFound("no attachment \(id)") }
        return hold
    }

    /// Each host has its own way to the volume.
    @discardableResult
    fileprivate mutating func connect(_ id: String, _ connector: JSON) throws(Fault) -> JSONObject {
        var hold = try hold(id)
        hold["connector"] = connector
        let volume = hold["volume_id"]?.string ?? ""
        let path = "/volumes/\(connector["host"]?.string ?? "")/" + volume
        hold["connection_info"] =
            connections[volume] ?? ["driver_volume_type": "local", "device_path": .string(path)]
        hold["status"] = "attaching"
        attachments[id] = hold
        return hold
    }

    /// The status of a volume follows from who holds it.
    fileprivate mutating func settle(_ volume: String) {
        let holds = attachments.values.filter { $0["volume_id"]?.string == volume }
        let used = holds.filter { $0["status"] == "attached" }
        volumes[volume]?["attachments"] = .array(used.map { ["server_id": $0["instance"] ?? .null] })
        set(volume, holds.isEmpty ? "available" : used.isEmpty ? "reserved" : "in-use")
    }
}

extension FakeBlockStorage {
    enum Routes: Resource {
        static let routes: [Route] = volumes + attachments

        private static let volumes: [Route] = [
            .open("GET", "/types", "Types") { _ in
                .json(["volume_types": [["id": "t1", "name": "fast"]]])
            },
            .open("GET", "/volumes/detail", "List") { request async throws(Fault) in
                let all = try request.storage.run("list") { Array($0.volumes.values) }
                return .json(["volumes": .array(all.map(JSON.object))])
            },
            .open("GET", "/volumes/{id}", "Show") { request async throws(Fault) in
                guard let volume = try request.storage.run("show", { $0.volumes[request["id"]] }) else {
                    throw .notFound("no volume")
                }
                return .json(["volume": .object(volume)])
            },
            .open("POST", "/volumes", "Create", status: 202) { request async throws(Fault) in
                let wanted = request.json?["volume"]?.object ?? [:]
                let id = request.ids.uuid()
                request.storage.add(id, wanted)
                request.storage.state.withLock { if $0.isSlow { $0.set(id, "creating") } }
                return .json(["volume": .object(request.storage.volume(id) ?? [:])])
            },
            .open("DELETE", "/volumes/{id}", "Delete", status: 202) { request async throws(Fault) in
                try request.storage.run("delete") { state throws(Fault) in
                    guard state.volumes[request["id"]]?["status"] == "available" else {
                        throw Fault.badRequest("the volume is in use")
                    }
                    state.volumes[request["id"]] = nil
                }
                return .empty
            },
            .open("POST", "/volumes/{id}/action", "Act", status: 202) { request async throws(Fault) in
                let (id, verb) = (request["id"], request.json?.object?.keys.first ?? "")
                return try request.storage.run(verb) { state throws(Fault) in
                    switch verb {
                    case "os-begin_detaching": state.set(id, "detaching")
                    case "os-roll_detaching": state.set(id, "in-use")
                    case "os-reimage":
                        guard state.volumes[id]?["status"] == "reserved",
                            request.json?[verb]?["reimage_reserved"]?.bool == true
                        else { throw Fault.badRequest("the volume is not reserved") }
                        state.volumes[id]?["volume_image_metadata"] = [
                            "image_id": request.json?[verb]?["image_id"] ?? .null
                        ]
                    case "os-migrate_volume_completion":
                        let new = request.json?[verb]?["new_volume"]?.string ?? ""
                        return .json(["save_volume_id": .string(new)])
                    default: throw Fault.badRequest("no such action")
                    }
                    return .empty
                }
            },
            .open("GET", "/limits", "Limits") { request async throws(Fault) in
                let (most, used) = try request.storage.run("limits") { ($0.snapshotsMax, $0.snapshots.count) }
                return .json([
                    "limits": [
                        "absolute": [
                            "maxTotalSnapshots": .integer(Int64(most)), "totalSnapshotsUsed": .integer(Int64(used)),
                        ]
                    ]
                ])
            },
            .open("GET", "/snapshots/detail", "List") { request async throws(Fault) in
                let volume = request.query("volume_id")
                let all = try request.storage.run("snapshots") { state in
                    state.snapshots.values.filter { $0["volume_id"]?.string == volume }
                }
                return .json(["snapshots": .array(all.map(JSON.object))])
            },
            .open("POST", "/snapshots", "Create", status: 202) { request async throws(Fault) in
                let id = request.ids.uuid()
                let made = try request.storage.run("snapshot-create") { state throws(Fault) in
                    var snapshot = request.json?["snapshot"]?.object ?? [:]
                    guard let volume = state.volumes[snapshot["volume_id"]?.string ?? ""],
                        snapshot["force"] == true || volume["status"] == "available"
                    else { throw Fault.badRequest("the volume cannot be snapshotted") }
                    (snapshot["id"], snapshot["size"]) = (.string(id), volume["size"] ?? 1)
                    state.snapshots[id] = snapshot
                    return snapshot
                }
                return .json(["snapshot": .object(made)])
            },
            .open("POST", "/snapshots/{id}/action", "Act", status: 202) { request async throws(Fault) in
                let told = request.json?["os-update_snapshot_status"]?["status"] ?? .null
                try request.storage.run("snapshot-act") { state in
                    // What it heard of is done with it.
                    state.snapshots[request["id"]]?["told"] = told
                    state.snapshots[request["id"]]?["status"] = told == "creating" ? "available" : told
                }
                return .empty
            },
            .open("DELETE", "/snapshots/{id}", "Delete", status: 202) { request async throws(Fault) in
                try request.storage.run("snapshot-delete") { $0.snapshots[request["id"]] = nil }
                return .empty
            },
            .open("GET", "/snapshots/{id}", "Show") { request async throws(Fault) in
                guard let snapshot = try request.storage.run("snapshot", { $0.snapshots[request["id"]] }) else {
                    throw .notFound("no snapshot")
                }
                return .json(["snapshot": .object(snapshot)])
            },
        ]

        private static let attachments: [Route] = [
            .open("GET", "/attachments/detail", "List") { request async throws(Fault) in
                let (volume, server) = (request.query("volume_id"), request.query("instance_id"))
                let all = try request.storage.run("attachments") { state in
                    state.attachments.values.filter {
                        $0["volume_id"]?.string == volume && $0["instance"]?.string == server
                    }
                }
                return .json(["attachments": .array(all.map(JSON.object))])
            },
            .open("GET", "/attachments/{id}", "Show") { request async throws(Fault) in
                .json([
                    "attachment": .object(
                        try request.storage.run("hold") { state throws(Fault) in
                            try state.hold(request["id"])
                        })
                ])
            },
            .open("POST", "/attachments", "Reserve") { request async throws(Fault) in
                let (wanted, id) = (request.json?["attachment"] ?? .null, request.ids.uuid())
                return try request.storage.run("reserve") { state throws(Fault) in
                    let volume = wanted["volume_uuid"]?.string ?? ""
                    guard let found = state.volumes[volume] else { throw Fault.notFound("no volume \(volume)") }
                    let server = wanted["instance_uuid"]?.string
                    let others = state.attachments.values.filter { hold in
                        hold["volume_id"]?.string == volume && hold["instance"]?.string != server
                    }
                    let isOwn = found["status"] != "available" && others.isEmpty
                    guard found["status"] == "available" || isOwn || found["multiattach"] == true else {
                        throw Fault.badRequest("the volume is not available")
                    }
                    state.attachments[id] = [
                        "id": .string(id), "volume_id": .string(volume), "instance": wanted["instance_uuid"] ?? .null,
                        "status": "reserved", "connection_info": [:],
                    ]
                    if let connector = wanted["connector"], connector != .null {
                        if let status = state.failures.removeValue(forKey: "connect") {
                            state.attachments[id] = nil
                            throw Fault(status, "storage is out of order")
                        }
                        try state.connect(id, connector)
                    }
                    state.settle(volume)
                    return .json(["attachment": .object(state.attachments[id] ?? [:])])
                }
            },
            .open("PUT", "/attachments/{id}", "Connect") { request async throws(Fault) in
                try request.storage.run("connect") { state throws(Fault) in
                    let id = request["id"]
                    let volume = try state.hold(id)["volume_id"]
                    // As Cinder has it: a second hold comes with its host, or is not connected to one.
                    let others = state.attachments.values.filter { $0["volume_id"] == volume && $0["connector"] != nil }
                    let isShared = state.volumes[volume?.string ?? ""]?["multiattach"] == true
                    guard isShared || others.allSatisfy({ $0["id"]?.string == id }) else {
                        throw Fault.conflict("Resource conflict: duplicate connectors detected on volume")
                    }
                    let hold = try state.connect(id, request.json?["attachment"]?["connector"] ?? .null)
                    return .json(["attachment": .object(hold)])
                }
            },
            .open("POST", "/attachments/{id}/action", "Complete", status: 204) { request async throws(Fault) in
                try request.storage.run("complete") { state throws(Fault) in
                    var hold = try state.hold(request["id"])
                    hold["status"] = "attached"
                    state.attachments[request["id"]] = hold
                    state.settle(hold["volume_id"]?.string ?? "")
                }
                return .empty
            },
            .open("DELETE", "/attachments/{id}", "Release") { request async throws(Fault) in
                try request.storage.run("release") { state throws(Fault) in
                    let hold = try state.hold(request["id"])
                    state.attachments[request["id"]] = nil
                    state.settle(hold["volume_id"]?.string ?? "")
                }
                return .json(["attachments": []])
            },
        ]
    }
}

extension Request {
    fileprivate var storage: FakeBlockStorage { room(FakeBlockStorage.self) }
}

extension VersionHistory {
    fileprivate static let storage = VersionHistory(
        "volume", ["3.0": "The beginning.", "3.67": "No project in paths.", "3.68": "Images replaced."])
}
