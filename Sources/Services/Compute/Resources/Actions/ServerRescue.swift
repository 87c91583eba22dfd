// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// `rescue` and `unrescue`: a server booted from another disk, its own beside it, until it is mended.
enum ServerRescue: Resource {
    static let routes: [Route] = [
        .action(
            ServerActions.path, "rescue", "Rescue a server", of: Server.visible, allow: .member("os-rescue"), rescue,
            status: 200),
        .action(
            ServerActions.path, "unrescue", "Unrescue a server", of: Server.visible, allow: .member("os-unrescue"),
            unrescue),
    ]

    private static func rescue(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        var password: String?
        var named: String?
        if request.json?["rescue"]?.isNull != true {
            var body = try request.body("rescue")
            password = try body.take("adminPass", .text(0...255))
            named = try body.take("rescue_image_ref", .imageReference)
            try body.end()
        }
        try server.refuseIfTrusted("rescue")
        try server.refuseIfLocked(request)
        try server.admit(.rescue)
        if let named {
            guard let image = try await request.compute.images.find(named, requestID: request.id, as: request.caller),
                image.status == "active", !image.isOfVolumes
            else { throw .badRequest("Requested rescue image '\(named)' is not supported") }
        }
        if server.isVolumeBacked { try await judgeVolume(named, server, request) }
        let (image, given) = (named ?? server.imageID, password ?? ServerDraft.password(request.ids))
        try await server.begin(.rescue, request) { row, _ in
            ActionStart(
                .rescuing, also: "admin_password = \(given)", work: RescueServer(server: row.id, image: image),
                about: image.map { ["image": $0] })
        }
        guard request.compute.options.life.showsPasswords else { return .bare { _ in } }
        return .bare { $0.put("adminPass", given) }
    }

    /// A server that boots from a volume is rescued since 2.87, from an image that says where its disk goes.
    private static func judgeVolume(_ named: String?, _ server: Server, _ request: Request) async throws(Fault) {
        var isStable = false
        if let named, request.version >= "2.87",
            let image = try await request.compute.images.find(named, requestID: request.id, as: request.caller)
        {
            isStable = image.properties["hw_rescue_bus"] != nil && image.properties["hw_rescue_device"] != nil
        }
        guard isStable else {
            throw .badRequest(
                "Instance \(server.id) cannot be rescued: Cannot rescue a volume-backed instance")
        }
    }

    private static func unrescue(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        try await server.begin(.unrescue, request) { row, _ in
            ActionStart(.unrescuing, work: UnrescueServer(server: row.id))
        }
        return .empty
    }
}
