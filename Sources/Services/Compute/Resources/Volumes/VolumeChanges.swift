// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// A change of a server's hold on a volume: of what becomes of it with the server, or to another volume altogether.
struct VolumeChange: ProjectOwned {
    let server: Server
    var projectID: String { server.projectID }
    /// The volume there is to be; another one than the path's is a swap.
    let volume: String
    let deletesWithServer: Bool?

    static func from(_ request: Request) async throws(Fault) -> VolumeChange {
        let server = try await Server.visible(request)
        let change = try VolumeChange(request, server)
        guard change.isSwap(request) else { return change }
        // A swap is not for users: Block storage asks for it while it migrates a volume.
        let rule = "os-volumes-attachments:swap"
        guard request.may(rule, on: Anything()) else {
            throw request.index.envelope.refusal(request.index.ruleName(rule))
        }
        return change
    }

    private init(_ request: Request, _ server: Server) throws(Fault) {
        self.server = server
        var body = try request.body("volumeAttachment")
        volume = try body.need("volumeId", .uuid)
        deletesWithServer = try body.take("delete_on_termination", .bool, since: "2.85")
        // What cannot be changed may be sent along as it is.
        var given: [(String, String?)] = []
        for name in ["id", "serverId", "device", "tag"] {
            given.append((name, try body.option(name, .text(0...255), since: "2.85")))
        }
        self.given = given
        try body.end()
    }

    private let given: [(name: String, value: String?)]

    fileprivate func isSwap(_ request: Request) -> Bool {
        request.version < "2.85" || volume != request["volume_id"]
    }

    /// Refuses other values for members that stay as they are.
    fileprivate func check(_ device: BlockDevice) throws(Fault) {
        let known = ["id": device.volumeID, "serverId": device.serverID, "device": device.device, "tag": device.tag]
        for (name, value) in given {
            if let value, value != known[name] ?? nil { throw .badRequest("The \(name) property is not mutable") }
        }
    }
}

extension VolumeAttachments {
    static func update(_ request: Request, _ change: VolumeChange) async throws(Fault) -> Reply {
        let isSwap = change.isSwap(request)
        if request.version >= "2.85" {
            let device = try await find(request, change.server)
            try change.check(device)
            if let wanted = change.deletesWithServer {
                try await request.database.update(
                    BlockDevice.self, set: "deletes_with_server = \(wanted), updated_at = \(request.now)",
                    where: "id = \(device.id)")
            }
        }
        if isSwap { try await swap(request, change) }
        return .empty
    }

    private static func swap(_ request: Request, _ change: VolumeChange) async throws(Fault) {
        let (old, new) = (request["volume_id"], change.volume)
        let storage = request.compute.storage.acting(as: request.caller)
        guard let from = try await storage.volume(old, requestID: request.id) else {
            throw .notFound("Volume \(old) could not be found.")
        }
        guard !from.migrationStatus.isEmpty else {
            throw .conflict("volume \(old) is not migrating; this API should only be called by Cinder")
        }
        guard let to = try await storage.volume(new, requestID: request.id) else {
            throw .badRequest("Volume \(new) could not be found.")
        }
        // While it is moved its status is what Block storage does with it: `retyping`, or still `in-use`.
        guard from.servers.contains(change.server.id) else {
            throw .badRequest("Invalid volume: Old volume is attached to a different instance.")
        }
        guard to.servers.isEmpty else {
            throw .badRequest("Invalid volume: New volume must be detached in order to swap.")
        }
        guard to.size >= from.size else {
            throw .badRequest("Invalid volume: New volume must be the same size or larger.")
        }
        guard from.servers.count == 1 else {
            throw .badRequest(
                "Swapping multi-attach volumes with more than one read/write attachment is not supported.")
        }
        let device = try await find(request, change.server)
        try await change.server.begin("swap_volume", request) { server, transaction throws(Fault) in
            try server.require([.active, .paused, .resized], "swap_volume")
            try refuseIfHeld(to, server, transaction)
            let count = try transaction.update(
                BlockDevice.self, set: "state = 'attaching'", where: "id = \(device.id) AND state = 'attached'")
            guard count == 1 else { throw .badRequest("Invalid volume: Volume \(old) is being changed already.") }
            return ActionStart(
                work: SwapVolume(server: server.id, device: device.id, old: old, new: new),
                about: ["volume": old, "new_volume": new])
        }
    }
}
