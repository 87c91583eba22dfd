// SPDX-License-Identifier: Apache-2.0
internal import CLibvirt
package import Compute
internal import Glibc
package import Kernel

extension LibvirtHypervisor: GuestRebuilding {
    package func rebuild(_ guest: GuestSpec, image: ImageSource?, keepsEphemeral: Bool) async throws(Fault) {
        let folder = try folder(of: guest.server)
        try await turnstile.pass(guest.server) { () async throws(Fault) in
            try await switchOff(guest.server)
            try await make(guest, in: folder, image: image, keepsEphemeral: keepsEphemeral)
            try await start(guest.server)
        }
    }

    /// Ends a guest that may not be there, with what it had in memory.
    private func switchOff(_ server: String) async throws(Fault) {
        try await session.call { connection throws(Fault) in
            guard let domain = try Domain(server, on: connection) else { return }
            guard domain.isOurs else { throw .guestNotOurs(server) }
            try domain.switchOff()
            if virDomainHasManagedSaveImage(domain.raw, 0) == 1 {
                try domain.check(virDomainManagedSaveRemove(domain.raw, 0), "drop the saved memory of")
            }
        }
    }
}

extension LibvirtHypervisor: GuestRescue {
    package func rescue(_ guest: GuestSpec, image: ImageSource?, with disk: GuestRescueDisk) async throws(Fault) {
        let (server, folder) = (guest.server, try folder(of: guest.server))
        try await turnstile.pass(server) { () async throws(Fault) in
            guard try await !runs(server, from: folder.rescue) else { return }
            try await switchOff(server)
            var base: BaseImage?
            if let image { base = try await self.base(for: image) }
            let source = base
            let passphrases = try await passphrases(guest.diskKeys, image: image)
            try await pool.run { () throws(Fault) in
                try GuestFiles.makeRescue(guest, in: folder, on: source, passphrases)
            }
            var rescued = guest
            rescued.nics = try await nics(of: guest)
            try await define(rescued, in: folder, rescue: disk)
            try await start(server)
        }
    }

    package func unrescue(_ guest: GuestSpec) async throws(Fault) {
        let (server, folder) = (guest.server, try folder(of: guest.server))
        try await turnstile.pass(server) { () async throws(Fault) in
            let isRescued = try await pool.run { () throws(Fault) in FileSystem.exists(folder.rescue) }
            guard isRescued else { return }
            try await switchOff(server)
            var healed = guest
            healed.nics = try await nics(of: guest)
            try await define(healed, in: folder)
            try await pool.run { () throws(Fault) in
                // The disk goes last: while it is there an unrescue that was cut off is repeated.
                FileSystem.remove(folder.rescueConfig)
                FileSystem.remove(folder.rescue)
            }
        }
    }

    /// Whether the guest runs from this file already.
    private func runs(_ server: String, from path: String) async throws(Fault) -> Bool {
        try await session.call { connection throws(Fault) in
            let domain = try Domain.ours(server, on: connection)
            guard domain.isActive else { return false }
            let disks = try domain.xml(running: true)["devices"]?.all("disk") ?? []
            return disks.contains { $0["source"]?.attributes["file"] == path }
        }
    }

    /// The ports the domain has, as the description knows them.
    private func nics(of guest: GuestSpec) async throws(Fault) -> [GuestNIC] {
        let server = guest.server
        let nics = try await session.call { connection throws(Fault) in
            try Domain.ours(server, on: connection).nics()
        }
        return nics.map { nic in guest.nics.first { $0.portID == nic.portID } ?? nic }
    }
}

extension LibvirtHypervisor: GuestSnapshots {
    private func path(of name: String) throws(Fault) -> String {
        guard Hex.isUUID(name), name.utf8.count == 36 else { throw .badRequest("'\(name)' is not a UUID.") }
        return settings.dataDirectory + "/snapshots/" + name
    }

    package func takeSnapshot(_ name: String, of server: String, freeze: GuestFreeze) async throws(Fault) {
        try await takeSnapshot(name, of: server, freeze: freeze, as: nil)
    }

    /// - Parameter key: the secret that the copy of an encrypted disk is encrypted with.
    func takeSnapshot(
        _ name: String, of server: String, freeze: GuestFreeze, as key: String?
    ) async throws(Fault) {
        let (path, folder) = (try path(of: name), settings.dataDirectory + "/snapshots")
        let isThere = try await pool.run { () throws(Fault) in
            try FileSystem.makeDirectory(folder, mode: 0o700)
            return FileSystem.exists(path)
        }
        guard !isThere else { return }
        try await snapshot(server, to: path + ".part", freeze: freeze, key: key)
        try await pool.run { () throws(Fault) in
            guard rename(path + ".part", path) == 0 else { throw SystemError.fault("Cannot rename \(path).part") }
        }
    }

    package func readSnapshot(_ name: String) async throws(Fault) -> GuestSnapshot {
        let (path, pool) = (try path(of: name), pool)
        let file = try await pool.run { () throws(Fault) in try OpenFile.reading(path) }
        return GuestSnapshot(size: file.size) { at, count async throws(Fault) in
            try await pool.run { () throws(Fault) in try file.read(at: at, count: count) }
        }
    }

    package func dropSnapshot(_ name: String) async throws(Fault) {
        let path = try path(of: name)
        try await pool.run { () throws(Fault) in
            FileSystem.remove(path + ".part")
            FileSystem.remove(path)
        }
    }
}

extension LibvirtHypervisor: GuestCrashDump {
    package func triggerCrashDump(_ server: String) async throws(Fault) {
        try await session.call { connection throws(Fault) in
            let domain = try Domain.ours(server, on: connection)
            try domain.check(virDomainInjectNMI(domain.raw, 0), "interrupt")
        }
    }
}

extension LibvirtHypervisor: GuestConsoles {
    package func console(_ kind: GuestConsoleKind, of server: String) async throws(Fault) -> ConsoleEndpoint {
        let folder = try folder(of: server)
        if kind == .vnc { return try await display(of: server) }
        let (state, served, port) = try await session.call { connection throws(Fault) in
            let domain = try Domain.ours(server, on: connection)
            let state = try domain.state()
            guard state == .running || state == .paused else { return (state, [String](), Int?.none) }
            let devices = try domain.xml(running: true)["devices"]
            let spice = devices?.all("graphics").first { $0.attributes["type"] == "spice" }
            let port = spice?.attributes["port"].flatMap { Int($0) }
            let screens = (devices?.all("graphics") ?? []).flatMap { $0.all("listen") }
            let lines = (devices?.all("serial") ?? []).compactMap { $0["source"] }
            let paths = screens.map { $0.attributes["socket"] } + lines.map { $0.attributes["path"] }
            return (state, paths.compactMap { $0 }, port)
        }
        guard state == .running || state == .paused else { throw .guestState(server, state, "open a console of") }
        if kind == .spice, let port, port > 0, let address = settings.spiceListen {
            let isAny = address == "0.0.0.0" || address == "::"
            return .tcp(host: isAny ? settings.hostIP : address, port: port)
        }
        let path = kind == .spice ? folder.spiceSocket : folder.serialSocket
        guard kind != .mks, served.contains(path) else {
            throw .badRequest("Unavailable console type \(kind == .mks ? "webmks" : kind.rawValue).")
        }
        return .unix(path: path)
    }
}
