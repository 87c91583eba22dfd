// SPDX-License-Identifier: Apache-2.0
internal import CLibvirt
package import Compute
package import Kernel

extension LibvirtHypervisor: GuestImaging {
    /// Of a running guest by a push backup: the copy is of one moment and the guest goes on writing meanwhile.
    package func snapshot(_ server: String, to path: String) async throws(Fault) {
        try await snapshot(server, to: path, freeze: .none)
    }

    /// - Parameter key: the secret that the copy is encrypted with; an encrypted disk is not copied without one.
    func snapshot(
        _ server: String, to path: String, freeze: GuestFreeze, key: String? = nil
    ) async throws(Fault) {
        let folder = try folder(of: server)
        let own = try await diskKeys(of: server)["root"]
        guard (own == nil) == (key == nil) else {
            throw .conflict("The disk of \(server) is encrypted, and its copy would not be, or the other way round.")
        }
        var phrases: (own: EncryptedDisk.Passphrase, copy: EncryptedDisk.Passphrase)?
        if let own, let key {
            phrases = (try await passphrase(own), try await passphrase(key))
            try await unlock([key])
        }
        let passphrases = phrases
        try await turnstile.pass(server) { () async throws(Fault) in
            let isRunning = try await session.call { connection throws(Fault) in
                let domain = try Domain.ours(server, on: connection)
                guard domain.isActive else { return false }
                let disks = try domain.xml(running: true)["devices"]?.all("disk") ?? []
                // A repeated call finds its job begun.
                guard try Self.job(of: domain) == nil else {
                    // Whether the run that began it let the guest go on is not known.
                    if freeze != .none { domain.thaw() }
                    return true
                }
                FileSystem.remove(path)
                var flags: UInt32 = 0
                if let passphrases, case .qcow2(let size, _, _) = try DiskHeader.read(folder.root) {
                    try EncryptedDisk.create(path, bytes: size, passphrases.copy)
                    flags = VIR_DOMAIN_BACKUP_BEGIN_REUSE_EXTERNAL.rawValue
                }
                let isFrozen = try domain.freeze(freeze)
                defer { if isFrozen { domain.thaw() } }
                let xml = Self.backup(of: disks, root: folder.root, to: path, key: key)
                try domain.check(virDomainBackupBegin(domain.raw, xml, nil, flags), "begin to copy the disk of")
                return true
            }
            guard isRunning else { return try await copyStopped(folder, to: path, passphrases) }
            do throws(Fault) { try await waitForCopy(of: server) } catch {
                _ = try? await session.call { connection throws(Fault) in
                    _ = virDomainAbortJob(try Domain.ours(server, on: connection).raw)
                }
                throw error
            }
        }
    }

    private func copyStopped(
        _ folder: GuestFolder, to path: String,
        _ passphrases: (own: EncryptedDisk.Passphrase, copy: EncryptedDisk.Passphrase)?
    ) async throws(Fault) {
        try await longPool.run { () throws(Fault) in
            FileSystem.remove(path)
            if let passphrases {
                return try EncryptedDisk.copy(folder.root, passphrases.own, to: path, passphrases.copy)
            }
            _ = try Subprocess.check(
                ["qemu-img", "convert", "-q", "-f", "qcow2", "-O", "qcow2", folder.root, path],
                timeout: .seconds(3600))
        }
    }

    private func waitForCopy(of server: String) async throws(Fault) {
        while true {
            let running = try await session.call { connection throws(Fault) in
                try Self.job(of: try Domain.ours(server, on: connection))
            }
            if running == nil { break }
            do { try await clock.sleep(.milliseconds(200)) } catch {
                throw .unavailable("Copying the disk of \(server) was cancelled.")
            }
        }
        let outcome = try await session.call { connection throws(Fault) in
            let domain = try Domain.ours(server, on: connection)
            var list: virTypedParameterPtr?
            var count: Int32 = 0
            var kind: Int32 = 0
            let flags = VIR_DOMAIN_JOB_STATS_COMPLETED.rawValue
            try domain.check(
                virDomainGetJobStats(domain.raw, &kind, &list, &count, flags), "tell how the copy went of")
            virTypedParamsFree(list, count)
            return UInt32(bitPattern: kind)
        }
        guard outcome == VIR_DOMAIN_JOB_COMPLETED.rawValue else {
            throw .unavailable("Copying the disk of \(server) failed.")
        }
    }

    /// The kind of job that runs on a domain; nil when none does.
    private static func job(of domain: borrowing Domain) throws(Fault) -> Int32? {
        var facts = virDomainJobInfo()
        try domain.check(virDomainGetJobInfo(domain.raw, &facts), "tell what is being done to")
        return UInt32(bitPattern: facts.type) == VIR_DOMAIN_JOB_NONE.rawValue ? nil : facts.type
    }

    private static func backup(
        of disks: [XMLElement], root: String, to path: String, key: String?
    ) -> String {
        var xml = XMLWriter()
        xml.element("domainbackup", ["mode": "push"]) { xml in
            xml.element("disks") { xml in
                for disk in disks {
                    guard let name = disk["target"]?.attributes["dev"], disk.attributes["device"] == "disk" else {
                        continue
                    }
                    guard disk["source"]?.attributes["file"] == root else {
                        xml.element("disk", ["name": name, "backup": "no"])
                        continue
                    }
                    xml.element("disk", ["name": name, "backup": "yes", "type": "file"]) { xml in
                        xml.element("driver", ["type": "qcow2"])
                        xml.element("target", ["file": path]) { xml in if let key { xml.encryption(key) } }
                    }
                }
            }
        }
        return xml.text
    }
}

extension Domain {
    /// Has the guest's agent bring its file systems to a state that can be copied. False when it cannot and need not.
    borrowing func freeze(_ wish: GuestFreeze) throws(Fault) -> Bool {
        guard wish != .none, try state() == .running else { return false }
        limitAgent()
        if virDomainFSFreeze(raw, nil, 0, 0) >= 0 { return true }
        guard wish == .needed else { return false }
        let fault = LibvirtError.last("freeze the file systems of \(server)", server: server)
        throw .conflict("Failed to quiesce instance: \(fault.message)", code: "InstanceQuiesceFailed")
    }

    borrowing func thaw() {
        limitAgent()
        virDomainFSThaw(raw, nil, 0, 0)
    }
}

extension LibvirtHypervisor: GuestResizing {
    package func resize(_ guest: GuestSpec) async throws(Fault) {
        let server = guest.server
        let folder = try folder(of: server)
        try await turnstile.pass(server) { () async throws(Fault) in
            let nics = try await session.call { connection throws(Fault) in
                let domain = try Domain.ours(server, on: connection)
                let state = try domain.state()
                guard state == .shutdown || state == .crashed else { throw .guestState(server, state, "resize") }
                return try domain.nics()
            }
            var resized = guest
            // The domain knows which ports the guest has; the description knows their addresses.
            resized.nics = nics.map { nic in guest.nics.first { $0.portID == nic.portID } ?? nic }
            let passphrases = try await passphrases(guest.diskKeys)
            try await pool.run { () throws(Fault) in try GuestFiles.grow(folder, to: guest, passphrases) }
            // A module of another kind begins anew, and one that is gone leaves nothing.
            let (old, state) = (try await module(of: server).mark, moduleState(of: server))
            let new = try GuestFeatures.tpm(GuestWishes(guest))?.mark
            if old != new { try await pool.run { () throws(Fault) in state.remove() } }
            try await define(resized, in: folder)
        }
    }
}

extension LibvirtHypervisor: ImageKeeping {
    package func keep(_ image: ImageSource) async throws(Fault) { _ = try await images.base(for: image) }

    package func hasImage(_ id: String) async -> Bool { await images.has(id) }

    @discardableResult
    package func pruneImages(unusedFor age: Duration) async throws(Fault) -> Int {
        let instances = settings.dataDirectory + "/instances"
        return try await images.prune(unusedSince: clock.now() - age) {
            Set(
                FileSystem.list(instances).flatMap { guest in
                    ["disk", "disk.rescue"].compactMap { DiskHeader.backingFile(of: "\(instances)/\(guest)/\($0)") }
                })
        }
    }
}
