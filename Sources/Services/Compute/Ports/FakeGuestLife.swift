// SPDX-License-Identifier: Apache-2.0
package import Kernel

extension FakeHypervisor: GuestRebuilding {
    package func rebuild(_ spec: GuestSpec, image: ImageSource?, keepsEphemeral: Bool) async throws(Fault) {
        try await image?.prove?()
        try await change { () throws(Fault) in
            if let old = guestsByID[spec.server] {
                guard old.isOurs else { throw Fault.guestNotOurs(spec.server) }
            }
            guestsByID[spec.server] = Guest(spec: spec, state: .shutdown)
            start(spec.server, as: .started)
        }
    }
}

extension FakeHypervisor: GuestRescue {
    package func rescue(_ spec: GuestSpec, image: ImageSource?, with disk: GuestRescueDisk) async throws(Fault) {
        try await image?.prove?()
        try await change { () throws(Fault) in
            _ = try ours(spec.server)
            guestsByID[spec.server]?.rescue = disk
            guestsByID[spec.server]?.state = .shutdown
            start(spec.server, as: .started)
        }
    }

    package func unrescue(_ spec: GuestSpec) async throws(Fault) {
        try await change { () throws(Fault) in
            guard try ours(spec.server).rescue != nil else { return }
            guestsByID[spec.server]?.rescue = nil
            enter(.shutdown, spec.server, as: .stopped)
        }
    }

    /// What a guest is rescued with; nil when it is not.
    package func rescueDisk(of server: String) -> GuestRescueDisk? { guestsByID[server]?.rescue }
}

extension FakeHypervisor: EncryptedDisks {
    package func takeSnapshot(_ name: String, of server: String, freeze: GuestFreeze) async throws(Fault) {
        try await change { () throws(Fault) in
            guard snapshots[name] == nil else { return }
            let guest = try ours(server)
            if freeze == .needed, guest.state == .running, guest.spec.properties["hw_qemu_guest_agent"] == "no" {
                throw .conflict(
                    "Unable to quiesce instance: QEMU guest agent is not connected", code: "InstanceQuiesceFailed")
            }
            snapshots[name] = Self.emptyDisk(bytes: max(1, guest.spec.rootDiskGiB) << 30)
        }
    }

    package func takeSnapshot(
        _ name: String, of server: String, freeze: GuestFreeze, key: String
    ) async throws(Fault) {
        try await takeSnapshot(name, of: server, freeze: freeze)
        snapshotKeys[name] = key
    }

    package func readSnapshot(_ name: String) throws(Fault) -> GuestSnapshot {
        try reachable()
        guard let bytes = snapshots[name] else { throw .notFound("Snapshot \(name) is not on this host.") }
        return GuestSnapshot(size: bytes.count) { at, count in
            Array(bytes[min(at, bytes.count)..<min(at + count, bytes.count)])
        }
    }

    package func dropSnapshot(_ name: String) async throws(Fault) {
        try await change { () throws(Fault) in snapshots[name] = nil }
    }

    /// Copies that lie on the host.
    package var snapshotNames: [String] { snapshots.keys.sorted() }

    /// A qcow2 image in which nothing is written: header, table of reference counts, its only block, and an L1 table.
    private static func emptyDisk(bytes: Int) -> [UInt8] {
        let cluster = 65_536
        let entries = max(1, (bytes + (cluster / 8 * cluster) - 1) / (cluster / 8 * cluster))
        let tables = (entries * 8 + cluster - 1) / cluster
        var disk = [UInt8](repeating: 0, count: (3 + tables) * cluster)
        func put(_ value: UInt64, _ width: Int, at offset: Int) {
            for byte in 0..<width { disk[offset + byte] = UInt8(truncatingIfNeeded: value >> ((width - 1 - byte) * 8)) }
        }
        put(0x5146_49FB, 4, at: 0)
        put(2, 4, at: 4)
        put(16, 4, at: 20)
        put(UInt64(bytes), 8, at: 24)
        put(UInt64(entries), 4, at: 36)
        put(UInt64(3 * cluster), 8, at: 40)
        put(UInt64(cluster), 8, at: 48)
        put(1, 4, at: 56)
        put(UInt64(2 * cluster), 8, at: cluster)
        for at in 0..<(3 + tables) { put(1, 2, at: 2 * cluster + at * 2) }
        return disk
    }
}

extension FakeHypervisor: GuestQuieting {
    package func quiet(_ server: String) async throws(Fault) {
        try await change { () throws(Fault) in
            let guest = try ours(server)
            guard guest.state == .running else { throw .guestState(server, guest.state, "quiesce") }
            guard guest.spec.properties["hw_qemu_guest_agent"] == "yes" else {
                throw .conflict("QEMU guest agent is not enabled", code: "QemuGuestAgentNotEnabled")
            }
            guestsByID[server]?.isQuiet = true
            quietsEver += 1
        }
    }

    package func unquiet(_ server: String) async throws(Fault) {
        try await change { () throws(Fault) in guestsByID[server]?.isQuiet = false }
    }

    /// Whether a guest's file systems are at rest.
    package func isQuiet(_ server: String) -> Bool { guestsByID[server]?.isQuiet ?? false }
}

extension FakeHypervisor: GuestCrashDump {
    package func triggerCrashDump(_ server: String) async throws(Fault) {
        try await change { () throws(Fault) in
            let guest = try ours(server)
            guard guest.state == .running || guest.state == .paused else {
                throw .guestState(server, guest.state, "trigger a crash dump of")
            }
            guestsByID[server]?.crashDumps += 1
        }
    }

    /// How often a guest was sent the interrupt.
    package func crashDumps(of server: String) -> Int { guestsByID[server]?.crashDumps ?? 0 }

    /// What a guest's agent was told last.
    package func password(of server: String) -> String? { guestsByID[server]?.password }
}

extension FakeHypervisor: GuestConsoles {
    package func console(_ kind: GuestConsoleKind, of server: String) throws(Fault) -> ConsoleEndpoint {
        try reachable()
        let guest = try ours(server)
        guard kind != .mks else { throw .badRequest("Unavailable console type webmks.") }
        guard guest.state == .running || guest.state == .paused else {
            throw .guestState(server, guest.state, "open a console of")
        }
        return .unix(path: "/run/fake/\(server).\(kind.rawValue)")
    }
}
