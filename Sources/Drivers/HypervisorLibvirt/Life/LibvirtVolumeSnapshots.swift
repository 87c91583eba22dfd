// SPDX-License-Identifier: Apache-2.0
internal import CLibvirt
package import Compute
package import Kernel

/// Volumes that are qcow2 files: a snapshot is a further file over the one in use, and goes when two of them are made
/// one. Guests that are down have theirs changed as well, in their descriptions.
extension LibvirtHypervisor: GuestVolumeSnapshots {
    package func snapshot(
        volume: String, of server: String, to file: String, freeze: GuestFreeze
    ) async throws(Fault) {
        try await turnstile.pass(server) { () async throws(Fault) in
            try await session.call { connection throws(Fault) in
                let domain = try Domain.ours(server, on: connection)
                let xml = try domain.xml(running: domain.isActive)
                let chain = try VolumeChain(volume, in: xml, of: server)
                // A repeated call finds the guest in the new file.
                guard chain.current != file else { return }
                try domain.snapshot(chain.xml(snapshotTo: file, beside: xml), freeze)
            }
        }
    }

    package func merge(_ merge: VolumeMerge, ofVolume volume: String, of server: String) async throws(Fault) {
        try await turnstile.pass(server) { () async throws(Fault) in
            let target = try await session.call { connection throws(Fault) in
                try Self.begin(merge, volume, try Domain.ours(server, on: connection))
            }
            switch target {
            case .job(let name):
                try await waitForMerge(name, of: server)
                // A job that failed, or went down with its guest, is no longer there either.
                try await session.call { connection throws(Fault) in
                    try Self.requireMerged(merge, volume, try Domain.ours(server, on: connection))
                }
            case .rebase(let path):
                try await longPool.run { () throws(Fault) in try Self.rebase(path, onto: merge.file) }
            case nil: break
            }
        }
    }

    private enum Merging {
        /// libvirt does it, to the disk of that name.
        case job(String)
        /// The guest is down: nobody else has the file at that path open.
        case rebase(String)
    }

    /// Nil when it is done already.
    private static func begin(
        _ merge: VolumeMerge, _ volume: String, _ domain: borrowing Domain
    ) throws(Fault) -> Merging? {
        let isActive = domain.isActive
        let chain = try VolumeChain(volume, in: try domain.xml(running: isActive), of: domain.server)
        if isActive, domain.hasBlockJob(chain.target) { return .job(chain.target) }
        if let target = merge.target {
            guard isActive else {
                throw .conflict("Files of volume \(volume) cannot be merged while instance \(domain.server) is down.")
            }
            guard let file = merge.file, chain.files.contains(file) else { return nil }
            guard chain.files.contains(target) else {
                throw .conflict("Volume \(volume) of instance \(domain.server) has no file \(target).")
            }
            try domain.check(
                virDomainBlockCommit(
                    domain.raw, chain.target, chain.path(target), chain.path(file), 0,
                    VIR_DOMAIN_BLOCK_COMMIT_RELATIVE.rawValue), "merge files of a volume of")
            return .job(chain.target)
        }
        guard isActive else { return .rebase(chain.path(chain.current)) }
        guard chain.files.count > 1, chain.files.dropFirst().first != merge.file else { return nil }
        if let base = merge.file {
            try domain.check(
                virDomainBlockRebase(
                    domain.raw, chain.target, chain.path(base), 0, VIR_DOMAIN_BLOCK_REBASE_RELATIVE.rawValue),
                "merge files of a volume of")
        } else {
            try domain.check(
                virDomainBlockRebase(domain.raw, chain.target, nil, 0, 0), "merge files of a volume of")
        }
        return .job(chain.target)
    }

    private static func requireMerged(
        _ merge: VolumeMerge, _ volume: String, _ domain: borrowing Domain
    ) throws(Fault) {
        let isActive = domain.isActive
        if isActive {
            let files = try VolumeChain(volume, in: try domain.xml(running: true), of: domain.server).files
            let isMerged =
                merge.target == nil
                ? files.dropFirst().first == merge.file : !files.contains { $0 == merge.file }
            if isMerged { return }
        }
        throw .conflict(
            "Merging files of volume \(volume) of instance \(domain.server) ended early"
                + (isActive ? ": look into the log of its QEMU." : ": the instance went down meanwhile."))
    }

    private func waitForMerge(_ target: String, of server: String) async throws(Fault) {
        while try await session.call({ connection throws(Fault) in
            let domain = try Domain.ours(server, on: connection)
            return domain.isActive && domain.hasBlockJob(target)
        }) {
            do { try await clock.sleep(.milliseconds(250)) } catch {
                throw .unavailable("Merging files of a volume of \(server) was cancelled.")
            }
        }
    }

    /// The formats are stated: one that is guessed from what a guest wrote is a way out of the guest.
    private static func rebase(_ path: String, onto base: String?) throws(Fault) {
        var argv = ["qemu-img", "rebase", "-q", "-f", "qcow2", "-b", base ?? ""]
        if let base {
            let below = path.split(separator: "/").dropLast().map { "/" + $0 }.joined() + "/" + base
            if case .qcow2 = try DiskHeader.read(below) { argv += ["-F", "qcow2"] } else { argv += ["-F", "raw"] }
        }
        _ = try Subprocess.check(argv + [path], timeout: .seconds(3600))
    }
}

/// The files of a volume as a domain has them, the one in use first.
private struct VolumeChain {
    let target: String
    let folder: String
    let files: [String]

    var current: String { files[0] }
    func path(_ file: String) -> String { folder + file }

    init(_ volume: String, in domain: XMLElement, of server: String) throws(Fault) {
        guard let disk = domain.disk(of: volume), let target = disk["target"]?.attributes["dev"],
            let path = disk["source"]?.attributes["file"], let slash = path.lastIndex(of: "/")
        else { throw .notAFile(volume, of: server) }
        self.target = target
        folder = String(path[...slash])
        var files = [String(path[path.index(after: slash)...])]
        var below = disk["backingStore"]
        while let file = below?["source"]?.attributes["file"] {
            files.append(String(file[file.index(after: file.lastIndex(of: "/") ?? file.startIndex)...]))
            below = below?["backingStore"]
        }
        self.files = files
    }

    /// Of this disk alone.
    func xml(snapshotTo file: String, beside domain: XMLElement) -> String {
        var xml = XMLWriter()
        xml.element("domainsnapshot") { xml in
            xml.element("disks") { xml in
                for disk in domain["devices"]?.all("disk") ?? [] {
                    guard let name = disk["target"]?.attributes["dev"] else { continue }
                    guard name == target else {
                        xml.element("disk", ["name": name, "snapshot": "no"])
                        continue
                    }
                    xml.element("disk", ["name": name, "snapshot": "external", "type": "file"]) { xml in
                        xml.element("driver", ["type": "qcow2"])
                        xml.element("source", ["file": path(file)])
                    }
                }
            }
        }
        return xml.text
    }
}

extension Domain {
    /// As quiet as the image wants it.
    fileprivate borrowing func snapshot(_ xml: String, _ freeze: GuestFreeze) throws(Fault) {
        let flags =
            VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY.rawValue | VIR_DOMAIN_SNAPSHOT_CREATE_NO_METADATA.rawValue
            | VIR_DOMAIN_SNAPSHOT_CREATE_REUSE_EXT.rawValue
        let isQuiet = try self.freeze(freeze)
        defer { if isQuiet { thaw() } }
        guard let made = virDomainSnapshotCreateXML(raw, xml, flags) else {
            throw LibvirtError.last("snapshot a volume of \(server)", server: server)
        }
        virDomainSnapshotFree(made)
    }

    fileprivate borrowing func hasBlockJob(_ target: String) -> Bool {
        var facts = virDomainBlockJobInfo()
        return virDomainGetBlockJobInfo(raw, target, &facts, 0) > 0
    }
}
