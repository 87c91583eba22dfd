// SPDX-License-Identifier: Apache-2.0
internal import CLibvirt
package import Compute
package import Kernel

extension LibvirtHypervisor: GuestMigration {
    package func disks(of server: String) async throws(Fault) -> [MovingDisk] {
        let (folder, longPool, pool) = (try folder(of: server), longPool, pool)
        try await session.call { connection throws(Fault) in _ = try Domain.ours(server, on: connection) }
        let keys = try await diskKeys(of: server)
        let passphrases = try await passphrases(keys)
        let named = try await pool.run { () throws(Fault) in try GuestFiles.named(in: folder) }
        return try await moduleFiles(of: server)
            + named.map { name, disk, size in
                // There it is encrypted with what it is encrypted with here.
                let passphrase = GuestFiles.keyName(ofFile: name).flatMap { passphrases.disks[$0] }
                return MovingDisk(name: name, size: size) { path async throws(Fault) in
                    try await longPool.run { () throws(Fault) in try GuestFiles.copy(disk, to: path, passphrase) }
                }
            }
    }

    /// What the guest's trusted module has learnt goes along; it is encrypted already, or never was.
    private func moduleFiles(of server: String) async throws(Fault) -> [MovingDisk] {
        guard let mark = try await module(of: server).mark else { return [] }
        let (state, pool) = (moduleState(of: server), pool)
        return try await pool.run { () throws(Fault) in try state.found() }.map { name, file, size in
            MovingDisk(name: name, mark: mark, size: size) { path async throws(Fault) in
                try await pool.run { () throws(Fault) in
                    _ = try Subprocess.check(["cp", file, path], timeout: .seconds(60))
                }
            }
        }
    }

    package func receive(_ guest: GuestSpec, disks: [MovingDisk]) async throws(Fault) {
        let folder = try folder(of: guest.server)
        try await turnstile.pass(guest.server) { () async throws(Fault) in
            guard try await !isHere(guest.server) else { return }
            try await makeRoom(in: folder)
            let (state, module) = (moduleState(of: guest.server), try GuestFeatures.tpm(GuestWishes(guest)))
            try await pool.run { () throws(Fault) in state.remove() }
            for disk in disks {
                if TrustedModuleState.isName(disk.name) {
                    // A module of another kind begins anew.
                    guard disk.mark == module?.mark else { continue }
                    let path = try await pool.run { () throws(Fault) in try state.place(disk.name) }
                    try await disk.fetch(path)
                    continue
                }
                guard let path = GuestFiles.place(disk.name, in: folder) else {
                    throw .internalError("The disk '\(disk.name)' of \(guest.server) is of no kind that is known here.")
                }
                try await disk.fetch(path)
            }
            try await define(guest, in: folder)
        }
    }

    /// Whether the host has the guest; somebody else's of that id is refused.
    func isHere(_ server: String) async throws(Fault) -> Bool {
        try await session.call { connection throws(Fault) in
            guard let domain = try Domain(server, on: connection) else { return false }
            guard domain.isOurs else { throw .guestNotOurs(server) }
            return true
        }
    }

    /// An empty folder for a guest that comes, whatever an attempt that was cut off has left.
    private func makeRoom(in folder: GuestFolder) async throws(Fault) {
        let settings = settings
        try await pool.run { () throws(Fault) in
            try FileSystem.makeDirectory(settings.dataDirectory + "/vnc", mode: 0o700)
            FileSystem.remove(folder.path)
            try FileSystem.makeDirectory(folder.path, mode: 0o700)
        }
    }

    // MARK: - Sizes

    package func keepDisks(of server: String) async throws(Fault) {
        let folder = try folder(of: server)
        try await turnstile.pass(server) { () async throws(Fault) in
            try await requireDown(server, "keep the disks of")
            let module = moduleState(of: server)
            try await pool.run { () throws(Fault) in try GuestFiles.keep(folder, module) }
        }
    }

    package func restoreDisks(_ guest: GuestSpec) async throws(Fault) {
        let folder = try folder(of: guest.server)
        try await turnstile.pass(guest.server) { () async throws(Fault) in
            try await requireDown(guest.server, "restore the disks of")
            guard try await pool.run({ () throws(Fault) in GuestFiles.isKept(folder) }) else { return }
            // The kept disks go last: until then a second attempt knows that there is something to restore.
            try await define(guest, in: folder)
            let module = moduleState(of: guest.server)
            try await pool.run { () throws(Fault) in try GuestFiles.restore(folder, module) }
            try await define(guest, in: folder)
        }
    }

    package func dropKeptDisks(of server: String) async throws(Fault) {
        let folder = try folder(of: server)
        try await turnstile.pass(server) { () async throws(Fault) in
            try await pool.run { () throws(Fault) in GuestFiles.dropKept(folder) }
        }
    }

    private func requireDown(_ server: String, _ wanted: String) async throws(Fault) {
        try await session.call { connection throws(Fault) in
            let state = try Domain.ours(server, on: connection).state()
            guard state == .shutdown || state == .crashed else { throw .guestState(server, state, wanted) }
        }
    }
}
