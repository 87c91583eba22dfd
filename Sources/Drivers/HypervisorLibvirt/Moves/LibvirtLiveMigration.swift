// SPDX-License-Identifier: Apache-2.0
internal import CLibvirt
package import Compute
package import Kernel

/// How a host is reached by one that sends it a guest.
private struct LibvirtPlace: Codable {
    let uri: String
    /// Where QEMU listens for memory and disks.
    let host: String
    let dataDirectory: String
    /// What is different over there.
    let changes: ArrivalChanges
}

/// Guests move with all their disks, which the hosts do not share, from daemon to daemon with this process between.
/// When it dies both daemons clear up, and the guest runs on where it was.
extension LibvirtHypervisor: GuestLiveMigration {
    package func expect(_ guest: GuestSpec, disks: [MovingDisk]) async throws(Fault) -> ArrivalPlace {
        let folder = try folder(of: guest.server)
        try await turnstile.pass(guest.server) { () async throws(Fault) in
            guard try await !isHere(guest.server) else { return }
            let settings = settings
            try await pool.run { () throws(Fault) in
                try FileSystem.makeDirectory(settings.dataDirectory + "/vnc", mode: 0o700)
                try FileSystem.makeDirectory(folder.path, mode: 0o700)
            }
            let passphrases = try await passphrases(guest.diskKeys)
            try await unlock(
                disks.compactMap { GuestFiles.keyName(ofFile: $0.name) }.compactMap { guest.diskKeys[$0] })
            if let key = guest.moduleKey { try await unlockModule(of: guest.server, key) }
            // What a module has learnt libvirt brings with the guest.
            for disk in disks where !TrustedModuleState.isName(disk.name) {
                guard let path = GuestFiles.place(disk.name, in: folder) else {
                    throw .internalError("The disk '\(disk.name)' of \(guest.server) is of no kind that is known here.")
                }
                if disk.name == "disk.config" || disk.name == "disk.iso" {
                    // What the guest only reads is not sent with it.
                    let isThere = try await pool.run { () throws(Fault) in FileSystem.exists(path) }
                    if !isThere { try await disk.fetch(path) }
                } else {
                    let passphrase = GuestFiles.keyName(ofFile: disk.name).flatMap { passphrases.disks[$0] }
                    try await pool.run { () throws(Fault) in
                        try GuestFiles.await(disk.name, bytes: disk.size, at: path, passphrase)
                    }
                }
            }
            let (mediated, devices) = (settings.mediated, guest.hostDevices)
            try await pool.run { () throws(Fault) in
                try MediatedDevices.note(devices, in: folder)
                try mediated.make(devices)
            }
            let nics = guest.nics
            try await pool.run { () throws(Fault) in try GuestFiles.note(awaited: nics, in: folder) }
            for nic in nics { try await plug.plug(nic) }
        }
        try await secure(guest.volumes)
        let changes = ArrivalChanges(try await describe(guest, in: folder), volumes: guest.volumes.map(\.volumeID))
        let place = LibvirtPlace(
            uri: settings.uri, host: settings.hostIP, dataDirectory: settings.dataDirectory, changes: changes)
        do {
            return ArrivalPlace(address: try JSON.encode(place).text())
        } catch {
            throw .internalError("A host's address cannot be written: \(error)")
        }
    }

    package func hasLeft(_ server: String) async throws(Fault) -> Bool {
        try await session.call { connection throws(Fault) in
            guard let domain = try Domain(server, on: connection) else { return true }
            return domain.hasMigrated
        }
    }

    package func depart(
        _ server: String, to place: ArrivalPlace, told: @escaping @Sendable (JourneyProgress) async -> Void
    ) async throws(Fault) {
        let there: LibvirtPlace
        do {
            there = try JSON.decode(LibvirtPlace.self, from: JSON.parse(Array(place.address.utf8)))
        } catch {
            throw .badRequest("'\(place.address)' is no place to migrate to.")
        }
        try await turnstile.pass(server) { () async throws(Fault) in
            guard try await !hasLeft(server) else { return }
            let outcome = await withTaskGroup(of: Fault?.self) { group in
                group.addTask {
                    do throws(Fault) {
                        try await self.send(server, to: there)
                        return nil
                    } catch { return error }
                }
                group.addTask { await self.watch(server, told) }
                let first = await group.next() ?? nil
                // Told to stop: the job ends, and with it the call that waits for it.
                if Task.isCancelled { await self.stopJob(of: server) }
                group.cancelAll()
                var last = first
                while let next = await group.next() { last = last ?? next }
                return last
            }
            if let outcome { throw outcome }
        }
    }

    /// The call that takes as long as the journey.
    private func send(_ server: String, to place: LibvirtPlace) async throws(Fault) {
        let settings = settings
        try await session.call(isLong: true) { connection throws(Fault) in
            let domain = try Domain.ours(server, on: connection)
            let state = try domain.state()
            guard state == .running || state == .paused else { throw .guestState(server, state, "migrate") }
            let flags =
                VIR_DOMAIN_XML_MIGRATABLE.rawValue | VIR_DOMAIN_XML_INACTIVE.rawValue
                | VIR_DOMAIN_XML_SECURE.rawValue
            guard let text = virDomainGetXMLDesc(domain.raw, flags) else {
                throw LibvirtError.last("describe \(server)", server: server)
            }
            defer { text.deallocate() }
            let own = String(cString: text).replacing(settings.dataDirectory + "/", with: place.dataDirectory + "/")
            let xml = place.changes.apply(to: own)
            // Only what is this host's alone is copied: volumes are reached from there as well.
            let local = try domain.xml(running: true).localDisks(besides: Set(place.changes.volumes.keys))
            guard let other = virConnectOpen(place.uri) else { throw LibvirtError.last("connect to \(place.uri)") }
            defer { virConnectClose(other) }
            virConnectSetKeepAlive(other, 5, 5)
            var list: virTypedParameterPtr?
            var (count, room): (Int32, Int32) = (0, 0)
            defer { virTypedParamsFree(list, count) }
            for (name, value) in [
                (VIR_MIGRATE_PARAM_DEST_XML, xml), (VIR_MIGRATE_PARAM_PERSIST_XML, xml),
                (VIR_MIGRATE_PARAM_URI, "tcp://" + place.host),
            ] where virTypedParamsAddString(&list, &count, &room, name, value) < 0 {
                throw LibvirtError.last("describe the migration of \(server)", server: server)
            }
            for disk in local
            where virTypedParamsAddString(&list, &count, &room, VIR_MIGRATE_PARAM_MIGRATE_DISKS, disk) < 0 {
                throw LibvirtError.last("describe the migration of \(server)", server: server)
            }
            let secrecy = settings.migratesWithTLS ? VIR_MIGRATE_TLS.rawValue : 0
            let how =
                secrecy | VIR_MIGRATE_LIVE.rawValue | VIR_MIGRATE_PERSIST_DEST.rawValue
                | VIR_MIGRATE_AUTO_CONVERGE.rawValue
                | (local.isEmpty ? 0 : VIR_MIGRATE_NON_SHARED_DISK.rawValue)
            guard let arrived = virDomainMigrate3(domain.raw, other, list, UInt32(count), how) else {
                throw LibvirtError.last("migrate \(server)", server: server)
            }
            virDomainFree(arrived)
        }
    }

    /// Tells how far the journey is until it is cancelled, which is when it is over.
    private func watch(_ server: String, _ told: @Sendable (JourneyProgress) async -> Void) async -> Fault? {
        while (try? await clock.sleep(.milliseconds(500))) != nil {
            let progress = try? await session.call { connection throws(Fault) in
                try Domain.ours(server, on: connection).journey()
            }
            if let progress { await told(progress) }
        }
        return nil
    }

    private func stopJob(of server: String) async {
        try? await session.call { connection throws(Fault) in
            _ = virDomainAbortJob(try Domain.ours(server, on: connection).raw)
        }
    }

    /// A guest that stands still has no memory left to send.
    package func hasten(_ server: String) async throws(Fault) {
        try await session.call { connection throws(Fault) in
            let domain = try Domain.ours(server, on: connection)
            guard try domain.journey() != nil else {
                throw .conflict("Instance \(server) is not being migrated.")
            }
            try domain.check(virDomainSuspend(domain.raw), "hasten the migration of")
        }
    }

    package func arrive(_ guest: GuestSpec, as state: GuestState) async throws(Fault) {
        let (server, folder) = (guest.server, try folder(of: guest.server))
        try await turnstile.pass(server) { () async throws(Fault) in
            try await lockModule(of: server)
            try await pool.run { () throws(Fault) in try GuestFiles.note(awaited: [], in: folder) }
            try await session.call { connection throws(Fault) in
                let domain = try Domain.ours(server, on: connection)
                guard state == .running, try domain.state() == .paused else { return }
                try domain.check(virDomainResume(domain.raw), "resume")
            }
        }
    }
}

extension XMLElement {
    /// The names of a domain's disks that are files of the host's own and that the guest writes to.
    fileprivate func localDisks(besides volumes: Set<String>) -> [String] {
        (self["devices"]?.all("disk") ?? []).filter { disk in
            disk.attributes["device"] == "disk" && disk["readonly"] == nil && disk["source"] != nil
                && !volumes.contains(disk["serial"]?.text ?? "")
        }.compactMap { $0["target"]?.attributes["dev"] }
    }
}

extension Domain {
    /// Whether it is down because it runs on another host.
    var hasMigrated: Bool {
        var state: Int32 = 0
        var reason: Int32 = 0
        return virDomainGetState(raw, &state, &reason, 0) == 0
            && UInt32(bitPattern: state) == VIR_DOMAIN_SHUTOFF.rawValue
            && UInt32(bitPattern: reason) == VIR_DOMAIN_SHUTOFF_MIGRATED.rawValue
    }

    /// How far a migration is; nil when there is none.
    fileprivate func journey() throws(Fault) -> JourneyProgress? {
        var facts = virDomainJobInfo()
        try check(virDomainGetJobInfo(raw, &facts), "tell what is being done to")
        guard UInt32(bitPattern: facts.type) != VIR_DOMAIN_JOB_NONE.rawValue else { return nil }
        var progress = JourneyProgress()
        progress.memoryTotal = Int64(clamping: facts.memTotal)
        progress.memoryProcessed = Int64(clamping: facts.memProcessed)
        progress.memoryRemaining = Int64(clamping: facts.memRemaining)
        progress.diskTotal = Int64(clamping: facts.fileTotal)
        progress.diskProcessed = Int64(clamping: facts.fileProcessed)
        progress.diskRemaining = Int64(clamping: facts.fileRemaining)
        return progress
    }
}
