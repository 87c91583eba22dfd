// SPDX-License-Identifier: Apache-2.0
internal import CLibvirt
package import Compute
package import Kernel

// MARK: - Power

extension LibvirtHypervisor {
    package func power(_ server: String, _ change: PowerChange) async throws(Fault) {
        try await turnstile.pass(server) { () async throws(Fault) in
            if try await verdict(server, change) == .apply { try await apply(change, to: server) }
        }
    }

    private func verdict(_ server: String, _ change: PowerChange) async throws(Fault) -> PowerVerdict {
        try await session.call { connection throws(Fault) in
            let state = try Domain.ours(server, on: connection).state()
            let verdict = change.verdict(from: state)
            if verdict == .refuse { throw .guestState(server, state, change.verb) }
            return verdict
        }
    }

    private func apply(_ change: PowerChange, to server: String) async throws(Fault) {
        switch change {
        case .start, .resume:
            try await start(server)
        case .stop:
            try await onDomain(server) { domain throws(Fault) in try domain.switchOff() }
        case .rebootSoft, .rebootHard:
            try await onDomain(server) { domain throws(Fault) in
                try domain.switchOff()
                // What was in memory is what a hard reboot gets rid of.
                if virDomainHasManagedSaveImage(domain.raw, 0) == 1 {
                    try domain.check(virDomainManagedSaveRemove(domain.raw, 0), "drop the saved memory of")
                }
            }
            try await start(server)
        case .pause:
            try await onDomain(server) { domain throws(Fault) in
                try domain.check(virDomainSuspend(domain.raw), "pause")
            }
        case .unpause:
            try await onDomain(server) { domain throws(Fault) in
                try domain.check(virDomainResume(domain.raw), "unpause")
            }
        case .suspend:
            try await onDomain(server, isLong: true) { domain throws(Fault) in
                // Resumed it runs, even if it was paused before.
                let flags = VIR_DOMAIN_SAVE_RUNNING.rawValue
                try domain.check(virDomainManagedSave(domain.raw, flags), "suspend")
            }
        }
    }

    private func onDomain(
        _ server: String, isLong: Bool = false,
        _ body: @Sendable @escaping (borrowing Domain) throws(Fault) -> Void
    ) async throws(Fault) {
        try await session.call(isLong: isLong) { connection throws(Fault) in
            try body(try Domain.ours(server, on: connection))
        }
    }

    /// Starts or restores a domain that is down, its ports first: after the host restarted they are gone.
    func start(_ server: String) async throws(Fault) {
        let nics = try await session.call { connection throws(Fault) in
            try Domain.ours(server, on: connection).nics()
        }
        for nic in nics { try await plug.plug(nic) }
        let (mediated, folder) = (settings.mediated, try folder(of: server))
        try await pool.run { () throws(Fault) in try mediated.make(MediatedDevices.noted(in: folder)) }
        try await unlock(try await diskKeys(of: server).values)
        try await unlock(try await encryptedVolumes(of: server))
        let key = try await module(of: server).key
        try await withModule(key, of: server) { () async throws(Fault) in try await create(server, triesLeft: 2) }
    }

    /// Tried again when the trusted module's process was not there: that of a guest that has just been switched off
    /// holds the module's state for a moment still.
    private func create(_ server: String, triesLeft: Int) async throws(Fault) {
        do throws(Fault) {
            try await onDomain(server) { domain throws(Fault) in
                guard !domain.isActive else { return }
                try domain.check(virDomainCreate(domain.raw), "start")
            }
        } catch {
            guard triesLeft > 0, error.message.contains("swtpm") else { throw error }
            try await create(server, triesLeft: triesLeft - 1)
        }
    }
}

extension LibvirtHypervisor: GuestShutdown {
    package func askToShutDown(_ server: String) async throws(Fault) -> Bool {
        try await session.call { connection throws(Fault) in
            try Domain.ours(server, on: connection).askToShutDown()
        }
    }
}

extension Domain {
    /// - Returns: whether it is down, or hears nothing and has to be switched off.
    fileprivate func askToShutDown() throws(Fault) -> Bool {
        guard isActive else { return true }
        // One that is paused hears nothing, and one that cannot be asked is switched off in the end.
        guard try state() == .running else { return true }
        limitAgent()
        virDomainShutdown(raw)
        return false
    }

    /// By default libvirt waits for the agent in the guest for ever, and so would our thread.
    func limitAgent() { virDomainAgentSetResponseTimeout(raw, 10, 0) }

    /// Ends the guest at once, but lets QEMU write what it has in hand.
    func switchOff() throws(Fault) {
        guard isActive else { return }
        guard virDomainDestroyFlags(raw, VIR_DOMAIN_DESTROY_GRACEFUL.rawValue) < 0 else { return }
        // It refused to end in time, or was gone already.
        guard isActive else { return }
        try check(virDomainDestroy(raw), "stop")
    }
}

// MARK: - Ports

extension LibvirtHypervisor {
    package func plug(_ nic: GuestNIC, into server: String) async throws(Fault) {
        let settings = settings
        try await turnstile.pass(server) { () async throws(Fault) in
            let style = try await session.call { connection throws(Fault) in
                let domain = try Domain.ours(server, on: connection)
                let mark = try domain.xml(running: false)["metadata", "apus:guest"]?.attributes ?? [:]
                return CardStyle(mark: mark, hasOffloads: !settings.userspaceDatapath)
            }
            var nic = nic
            nic.queues = style.queues
            let card = nic
            try await plug.plug(card)
            try await onDomain(server) { domain throws(Fault) in
                var xml = XMLWriter()
                card.write(to: &xml, style)
                for isRunning in domain.isActive ? [true, false] : [false] {
                    let nics = GuestNIC.all(in: try domain.xml(running: isRunning))
                    guard !nics.contains(where: { $0.portID == card.portID }) else { continue }
                    let scope = isRunning ? VIR_DOMAIN_AFFECT_LIVE : VIR_DOMAIN_AFFECT_CONFIG
                    try domain.check(
                        virDomainAttachDeviceFlags(domain.raw, xml.text, scope.rawValue), "attach a port to")
                }
            }
        }
        relay.tell(GuestEvent(server: server, kind: .portPlugged, state: try await state(of: server) ?? .none))
    }

    package func unplug(port: String, from server: String) async throws(Fault) {
        let settings = settings
        try await turnstile.pass(server) { () async throws(Fault) in
            let found = try await session.call { connection throws(Fault) in
                guard let domain = try Domain(server, on: connection) else { return nil as GuestNIC? }
                guard domain.isOurs else { throw .guestNotOurs(server) }
                return try domain.nics().first { $0.portID == port }
            }
            guard let nic = found else { return try await unplugUnheard(port) }
            var xml = XMLWriter()
            nic.write(to: &xml, CardStyle(hasOffloads: !settings.userspaceDatapath))
            let text = xml.text
            try await onDomain(server) { domain throws(Fault) in
                guard GuestNIC.all(in: try domain.xml(running: false)).contains(where: { $0.portID == port }) else {
                    return
                }
                let scope = VIR_DOMAIN_AFFECT_CONFIG.rawValue
                try domain.check(virDomainDetachDeviceFlags(domain.raw, text, scope), "detach a port from")
            }
            try await detachRunning(nic, xml: text, from: server)
            try await plug.unplug(nic)
        }
        relay.tell(GuestEvent(server: server, kind: .portUnplugged, state: try await state(of: server) ?? .none))
    }

    /// Takes away the tap of a card that no guest has: it was made, and libvirt ended before it heard of the card.
    private func unplugUnheard(_ port: String) async throws(Fault) {
        guard try await !guestsAndCards().cards.contains(port) else { return }
        try await plug.unplug(GuestNIC(portID: port, mac: "", mtu: 0))
    }

    /// A running guest has to let a card go, and says so by its going: nothing else tells of success.
    private func detachRunning(_ nic: GuestNIC, xml: String, from server: String) async throws(Fault) {
        let watch = Stopwatch()
        let patience = Duration.seconds(20)
        repeat {
            let isGone = try await session.call { connection throws(Fault) in
                let domain = try Domain.ours(server, on: connection)
                guard domain.isActive else { return true }
                guard GuestNIC.all(in: try domain.xml(running: true)).contains(where: { $0.portID == nic.portID })
                else { return true }
                // Asking while an earlier request is open is refused, and harmless.
                virDomainDetachDeviceFlags(domain.raw, xml, VIR_DOMAIN_AFFECT_LIVE.rawValue)
                return false
            }
            if isGone { return }
            do { try await clock.sleep(.milliseconds(250)) } catch {
                throw .unavailable("Detaching port \(nic.portID) was cancelled.")
            }
        } while watch.elapsed < patience
        throw .conflict(
            "Port \(nic.portID) could not be detached: the guest of \(server) did not release the device.",
            code: "DeviceDetachFailed")
    }
}

extension LibvirtHypervisor: GuestAgent {
    package func changePassword(of server: String, user: String, to password: String) async throws(Fault) {
        try await onDomain(server) { domain throws(Fault) in
            let state = try domain.state()
            guard state == .running else { throw .guestState(server, state, "change the password of") }
            domain.limitAgent()
            try domain.check(virDomainSetUserPassword(domain.raw, user, password, 0), "change a password in")
        }
    }
}
