// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Moves of servers between hosts: none has been asked for, because this cloud does not move servers yet.
enum Migrations: Resource {
    static let routes: [Route] = [
        .get(
            "/os-migrations", "List migrations", of: OwnScope.from,
            allow: .rule("os-migrations:index", "rule:project_manager_or_admin")
        ) { _, _ in .list("migrations", []) },
        .get(
            "/servers/{server_id}/migrations", "List a server's migrations", of: Server.visible,
            allow: .rule("servers:migrations:index", "rule:project_manager_or_admin"),
            { _, _ in .list("migrations", []) }, since: "2.23"),
    ]
}

/// Volumes of a server: there are none without Block Storage.
enum VolumeAttachments: Resource {
    static let routes: [Route] = [
        .get(
            "/servers/{server_id}/os-volume_attachments", "List a server's volumes", of: Server.visible,
            allow: .reader("os-volumes-attachments:index")
        ) { _, _ in .list("volumeAttachments", []) },
        .get(
            "/servers/{server_id}/os-volume_attachments/{volume_id}", "Show a volume of a server", of: Server.visible,
            allow: .reader("os-volumes-attachments:show")
        ) { request, server async throws(Fault) in
            throw .notFound("Instance \(server.id) is not attached to volume \(request["volume_id"])")
        },
    ]
}
