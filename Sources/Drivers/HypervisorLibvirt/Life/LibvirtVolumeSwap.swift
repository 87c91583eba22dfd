// SPDX-License-Identifier: Apache-2.0
internal import CLibvirt
package import Compute
package import Kernel

/// A running guest's disk goes from one volume to another: QEMU mirrors the one to the other until they are alike, and
/// then turns to the new one.
extension LibvirtHypervisor: GuestVolumeSwap {
    package func swap(volume old: String, for new: GuestVolume, of server: String) async throws(Fault) {
        try await secure([new])
        try await turnstile.pass(server) { () async throws(Fault) in
            let target = try await session.call { connection throws(Fault) in
                try Self.begin(old, new, try Domain.ours(server, on: connection))
            }
            if let target {
                do throws(Fault) { try await pivot(target, of: server) } catch {
                    try? await session.call { connection throws(Fault) in
                        let domain = try Domain.ours(server, on: connection)
                        _ = virDomainBlockJobAbort(domain.raw, target, 0)
                    }
                    throw error
                }
            }
            try await session.call { connection throws(Fault) in
                let domain = try Domain.ours(server, on: connection)
                guard let disk = try domain.xml(running: false).disk(of: old) else { return }
                // What the guest is at its next start.
                try domain.check(
                    virDomainUpdateDeviceFlags(
                        domain.raw, Self.xml(new, in: disk, serial: old), VIR_DOMAIN_AFFECT_CONFIG.rawValue),
                    "swap a volume of")
            }
        }
    }

    /// Starts the copy unless it is under way; nil when the guest uses the new volume already.
    private static func begin(_ old: String, _ new: GuestVolume, _ domain: borrowing Domain) throws(Fault) -> String? {
        guard domain.isActive else {
            throw .conflict("Volume \(old) cannot be swapped while instance \(domain.server) is down.")
        }
        let disks = try domain.xml(running: true)
        guard let disk = disks.disk(of: old) ?? disks.disk(of: new.volumeID),
            let target = disk["target"]?.attributes["dev"]
        else { throw .notFound("Instance \(domain.server) has no volume \(old).") }
        let text = xml(new, in: disk, serial: old)
        let wanted = XMLElement.parse(text)?["source"]?.attributes ?? [:]
        let now = disk["source"]?.attributes ?? [:]
        if wanted.allSatisfy({ now[$0.key] == $0.value }) { return nil }
        guard disk["mirror"] == nil else { return target }
        // The new volume is there; libvirt is not to make it. The copy ends with the guest.
        let flags = VIR_DOMAIN_BLOCK_COPY_REUSE_EXT.rawValue | VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB.rawValue
        try domain.check(virDomainBlockCopy(domain.raw, target, text, nil, 0, flags), "swap a volume of")
        return target
    }

    private func pivot(_ target: String, of server: String) async throws(Fault) {
        while true {
            let isReady = try await session.call { connection throws(Fault) in
                let domain = try Domain.ours(server, on: connection)
                var facts = virDomainBlockJobInfo()
                let count = virDomainGetBlockJobInfo(domain.raw, target, &facts, 0)
                guard count > 0 else {
                    throw Fault.unavailable("Copying the volume at \(target) of instance \(server) failed.")
                }
                let mirror = try domain.xml(running: true)["devices"]?.all("disk").first {
                    $0["target"]?.attributes["dev"] == target
                }?["mirror"]
                return facts.end > 0 && facts.cur == facts.end && mirror?.attributes["ready"] == "yes"
            }
            if isReady { break }
            do { try await clock.sleep(.milliseconds(250)) } catch {
                throw .unavailable("Swapping a volume of instance \(server) was cancelled.")
            }
        }
        try await session.call { connection throws(Fault) in
            let domain = try Domain.ours(server, on: connection)
            try domain.check(
                virDomainBlockJobAbort(domain.raw, target, VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT.rawValue),
                "swap a volume of")
        }
    }

    /// The new volume as the disk that the old one is. The guest goes on seeing the number that the disk began with.
    private static func xml(_ volume: GuestVolume, in disk: XMLElement, serial: String) -> String {
        var xml = XMLWriter()
        var volume = volume
        volume.volumeID = disk["serial"]?.text ?? serial
        volume.kind = disk.attributes["device"]
        volume.write(
            to: &xml,
            target: (disk["target"]?.attributes["dev"] ?? "", disk["target"]?.attributes["bus"] ?? "virtio"))
        return xml.text
    }
}
