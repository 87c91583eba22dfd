// SPDX-License-Identifier: Apache-2.0
internal import CLibvirt
internal import Compute
internal import Glibc
package import Kernel

/// What a guest leaves behind when it, or we, were ended in the middle of something.
extension LibvirtHypervisor: HostSweeping {
    /// Looks twice, because much of what belongs to nobody belongs to somebody in a moment.
    package func sweep(sparing servers: Set<String>, ports: Set<String>) async throws(Fault) -> [String] {
        let first = try await leftovers(sparing: servers, ports: ports)
        guard !first.isEmpty else { return [] }
        do { try await clock.sleep(.seconds(2)) } catch { return [] }
        let again = try await leftovers(sparing: servers, ports: ports)
        var removed: [String] = []
        for path in first.paths.intersection(again.paths).sorted() {
            // Whoever makes a guest of that name just now is let pass first.
            let server = path.split(separator: "/").last.map(String.init) ?? path
            let isGone = try await turnstile.pass(server) { () async throws(Fault) in
                guard try await state(of: server) == nil else { return false }
                try await pool.run { () throws(Fault) in FileSystem.remove(path) }
                return true
            }
            if isGone { removed.append(path) }
        }
        for nic in again.taps where first.taps.contains(nic) {
            try await plug.unplug(nic)
            removed.append(nic.tap)
        }
        return removed
    }

    private struct Leftovers {
        var paths: Set<String> = []
        var taps: [GuestNIC] = []

        var isEmpty: Bool { paths.isEmpty && taps.isEmpty }
    }

    private func leftovers(sparing servers: Set<String>, ports: Set<String>) async throws(Fault) -> Leftovers {
        let (guests, cards) = try await guestsAndCards()
        var found = Leftovers()
        let folders = [settings.dataDirectory + "/instances", settings.dataDirectory + "/vnc"]
        found.paths = try await pool.run { () throws(Fault) in
            var paths: Set<String> = []
            for folder in folders {
                for name in FileSystem.list(folder)
                where Hex.isUUID(name) && !guests.contains(name) && !servers.contains(name) {
                    paths.insert(folder + "/" + name)
                }
            }
            return paths
        }
        if let lister = plug as? any PlugListing {
            found.taps = try await lister.plugged().filter { !cards.contains($0.portID) && !ports.contains($0.portID) }
        }
        return found
    }
}

extension LibvirtHypervisor {
    /// The guests that are here, and the ports that their cards are.
    func guestsAndCards() async throws(Fault) -> (guests: Set<String>, cards: Set<String>) {
        try await session.call { connection throws(Fault) in
            var guests: Set<String> = []
            var cards: Set<String> = []
            try eachDomain(on: connection) { raw throws(Fault) in
                guard let server = Domain.uuid(of: raw) else { return }
                guests.insert(server)
                guard let domain = try Domain(server, on: connection) else { return }
                cards.formUnion(try domain.nics().map(\.portID))
            }
            return (guests, cards)
        }
    }
}

/// The ability of a plug to tell what is plugged in.
protocol PlugListing: Sendable {
    func plugged() async throws(Fault) -> [GuestNIC]
}

extension OpenVSwitchPlug: PlugListing {
    /// The taps that were made by this plug; a port that others made has no guest's address noted with it.
    func plugged() async throws(Fault) -> [GuestNIC] {
        let text = try await pool.run { () throws(Fault) in
            try Subprocess.check(
                listing("name,external_ids", "find", "Interface", "external_ids:iface-id!=\"\""))
        }
        guard let json = try? JSON.parse(text, limits: .trusted) else { return [] }
        return (json["data"]?.array ?? []).compactMap { row in
            guard let name = row[0]?.string, let pairs = row[1]?[1]?.array else { return nil }
            var ids: [String: String] = [:]
            for pair in pairs { if let key = pair[0]?.string { ids[key] = pair[1]?.string } }
            guard let port = ids["iface-id"], let mac = ids["attached-mac"] else { return nil }
            let nic = GuestNIC(portID: port, mac: mac, mtu: 1500)
            return nic.tap == name ? nic : nil
        }
    }
}
