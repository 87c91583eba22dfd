// SPDX-License-Identifier: Apache-2.0
import Kernel

extension Step.Pace where Site == ComputeSite {
    /// Of a step that makes a server's guest: it takes long when the host has to fetch the image first.
    /// - Parameters:
    ///   - image: which image; nil is that of the server.
    ///   - migration: the move whose destination it is about; nil is the server's host.
    static func making(_ server: String, from image: String? = nil, movedBy migration: String? = nil) -> Self {
        .long { site in
            guard let row = try? await site.server(server), let image = image ?? row.ownImage else { return false }
            var host = row.host
            if let migration { host = try? await site.migration(migration).dest }
            guard let host, let keeper = try? site.room.hosts.find(host) as? any ImageKeeping else { return false }
            return await !keeper.hasImage(image)
        }
    }
}

extension Server {
    /// What its own disk is made from.
    fileprivate var ownImage: String? { shelvedImage ?? (isVolumeBacked ? nil : imageID) }
}
