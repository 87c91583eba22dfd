// SPDX-License-Identifier: Apache-2.0
internal import CLibvirt
package import Compute
package import Kernel

extension LibvirtHypervisor: GuestVolumes {
    package func connector() async throws(Fault) -> VolumeConnector {
        let line = FileSystem.text("/etc/iscsi/initiatorname.iscsi")?
            .split(separator: "\n").first { $0.hasPrefix("InitiatorName=") }
        return VolumeConnector(
            host: settings.hostName, ip: settings.hostIP,
            initiator: line.map { String($0.dropFirst("InitiatorName=".count)) })
    }

    package func attach(_ volume: GuestVolume, to server: String) async throws(Fault) {
        try await secure([volume])
        try await turnstile.pass(server) { () async throws(Fault) in
            try await session.call { connection throws(Fault) in
                let domain = try Domain.ours(server, on: connection)
                let kept = try domain.xml(running: false)
                var text = ""
                for isRunning in domain.isActive ? [true, false] : [false] {
                    let now = isRunning ? try domain.xml(running: true) : kept
                    guard now.disk(of: volume.volumeID) == nil else { continue }
                    // The kept description gets the name that the running guest has got.
                    if text.isEmpty { text = Self.xml(volume, beside: now) }
                    let scope = isRunning ? VIR_DOMAIN_AFFECT_LIVE : VIR_DOMAIN_AFFECT_CONFIG
                    try domain.check(
                        virDomainAttachDeviceFlags(domain.raw, text, scope.rawValue), "attach a volume to")
                }
            }
        }
    }

    private static func xml(_ volume: GuestVolume, beside domain: XMLElement) -> String {
        let machine = domain["os", "type"]?.attributes["machine"] ?? "pc"
        // The bus of the guest's own disks, unless the volume wants another.
        let own = domain["devices"]?.all("disk").first { $0.attributes["device"] == "disk" }
        let bus = volume.bus ?? own?["target"]?.attributes["bus"] ?? "virtio"
        var names = DiskNames(beside: domain, machine: machine, properties: [:])
        var xml = XMLWriter()
        volume.write(to: &xml, target: names.next(isCDROM: volume.kind == "cdrom", bus: bus == "ide" ? "virtio" : bus))
        return xml.text
    }

    package func detach(volume: String, from server: String) async throws(Fault) {
        try await turnstile.pass(server) { () async throws(Fault) in
            let isThere = try await session.call { connection throws(Fault) in
                guard let domain = try Domain(server, on: connection) else { return false }
                guard domain.isOurs else { throw .guestNotOurs(server) }
                if let disk = try domain.xml(running: false).disk(of: volume) {
                    let scope = VIR_DOMAIN_AFFECT_CONFIG.rawValue
                    try domain.check(
                        virDomainDetachDeviceFlags(domain.raw, Self.naming(disk), scope), "detach a volume from")
                }
                return true
            }
            if isThere { try await detachRunning(volume, from: server) }
            try await forget(.password(of: volume))
            try await lock([volume])
        }
    }

    /// A running guest has to let a disk go, and says so by its going: nothing else tells of success.
    private func detachRunning(_ volume: String, from server: String) async throws(Fault) {
        let watch = Stopwatch()
        repeat {
            let isGone = try await session.call { connection throws(Fault) in
                let domain = try Domain.ours(server, on: connection)
                guard domain.isActive, let disk = try domain.xml(running: true).disk(of: volume) else { return true }
                // Asking while an earlier request is open is refused, and harmless.
                virDomainDetachDeviceFlags(domain.raw, Self.naming(disk), VIR_DOMAIN_AFFECT_LIVE.rawValue)
                return false
            }
            if isGone { return }
            do { try await clock.sleep(.milliseconds(250)) } catch {
                throw .unavailable("Detaching volume \(volume) was cancelled.")
            }
        } while watch.elapsed < .seconds(20)
        throw .conflict(
            "Volume \(volume) could not be detached: the guest of \(server) did not release the device.",
            code: "DeviceDetachFailed")
    }

    /// As much of a disk as libvirt finds it by: its target.
    private static func naming(_ disk: XMLElement) -> String {
        var xml = XMLWriter()
        xml.element(
            "disk", ["type": disk.attributes["type"], "device": disk.attributes["device"]]
        ) { xml in
            if let source = disk["source"] {
                let place = source.attributes
                xml.element(
                    "source",
                    [
                        "file": place["file"], "dev": place["dev"], "protocol": place["protocol"],
                        "name": place["name"],
                    ]
                ) { xml in
                    for host in source.all("host") {
                        let address = host.attributes
                        xml.element(
                            "host",
                            [
                                "name": address["name"], "port": address["port"], "transport": address["transport"],
                                "socket": address["socket"],
                            ])
                    }
                }
            }
            xml.element(
                "target", ["dev": disk["target"]?.attributes["dev"], "bus": disk["target"]?.attributes["bus"]])
        }
        return xml.text
    }
}

extension LibvirtHypervisor: GuestVolumeGrowth {
    /// Only a running guest has to be told: one that is down looks at its next start.
    package func grow(volume: String, of server: String, toBytes size: Int64) async throws(Fault) {
        try await turnstile.pass(server) { () async throws(Fault) in
            try await session.call { connection throws(Fault) in
                let domain = try Domain.ours(server, on: connection)
                guard domain.isActive,
                    let name = try domain.xml(running: true).disk(of: volume)?["target"]?.attributes["dev"]
                else { return }
                let flags = VIR_DOMAIN_BLOCK_RESIZE_BYTES.rawValue
                let header = try domain.encryptedVolumes(running: true).contains(volume) ? domain.headerSize(name) : 0
                try domain.check(
                    virDomainBlockResize(domain.raw, name, UInt64(size) - header, flags), "grow a volume of")
            }
        }
    }
}

extension Domain {
    fileprivate borrowing func encryptedVolumes(running: Bool) throws(Fault) -> [String] {
        try xml(running: running).encryptedVolumes
    }

    /// What of an encrypted volume the guest does not see: volumes are whole GiB, and a header is a few MiB.
    fileprivate borrowing func headerSize(_ name: String) -> UInt64 {
        var facts = virDomainBlockInfo()
        guard virDomainGetBlockInfo(raw, name, &facts, 0) == 0 else { return 0 }
        let rest = UInt64(facts.capacity) % (1 << 30)
        return rest == 0 ? 0 : (1 << 30) - rest
    }
}
