// SPDX-License-Identifier: Apache-2.0
import Kernel

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
