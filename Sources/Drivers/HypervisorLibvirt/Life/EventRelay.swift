// SPDX-License-Identifier: Apache-2.0
internal import CLibvirt
internal import Compute
internal import Kernel
internal import Synchronization

/// Passes what libvirt reports on to whoever listens. Called on libvirt's event thread, so it only sorts and forwards.
final class EventRelay: Sendable {
    private let watchers = Mutex<(all: [Int: AsyncStream<GuestEvent>.Continuation], ever: Int)>(([:], 0))

    func events() -> AsyncStream<GuestEvent> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: GuestEvent.self, bufferingPolicy: .bufferingNewest(GuestEvent.backlog))
        let id = watchers.withLock { watchers in
            watchers.ever += 1
            watchers.all[watchers.ever] = continuation
            return watchers.ever
        }
        continuation.onTermination = { [weak self] _ in
            self?.watchers.withLock { _ = $0.all.removeValue(forKey: id) }
        }
        return stream
    }

    func tell(_ event: GuestEvent) {
        // Yielding may run `onTermination`, which takes the lock: so outside of it.
        for watcher in watchers.withLock({ Array($0.all.values) }) { watcher.yield(event) }
    }

    /// Registers for the events of all domains on a connection; libvirt releases its reference with the connection.
    func attach(to connection: virConnectPtr) {
        let kinds: [(UInt32, virConnectDomainEventGenericCallback)] = [
            (VIR_DOMAIN_EVENT_ID_LIFECYCLE.rawValue, unsafeBitCast(lifecycleChanged, to: Generic.self)),
            (VIR_DOMAIN_EVENT_ID_REBOOT.rawValue, guestRebooted),
            (VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE.rawValue, unsafeBitCast(agentChanged, to: Generic.self)),
        ]
        for (id, callback) in kinds {
            let reference = Unmanaged.passRetained(self).toOpaque()
            let registered = virConnectDomainEventRegisterAny(
                connection, nil, Int32(id), callback, reference, { Unmanaged<EventRelay>.fromOpaque($0!).release() })
            if registered < 0 { Unmanaged<EventRelay>.fromOpaque(reference).release() }
        }
    }

    /// The kind and state that a lifecycle event amounts to; nil when another one follows that says it better.
    static func meaning(event: Int32, detail: Int32) -> (GuestEvent.Kind, GuestState)? {
        switch UInt32(bitPattern: event) {
        case VIR_DOMAIN_EVENT_UNDEFINED.rawValue: (.destroyed, .none)
        case VIR_DOMAIN_EVENT_STARTED.rawValue:
            UInt32(bitPattern: detail) == VIR_DOMAIN_EVENT_STARTED_RESTORED.rawValue
                ? (.resumed, .running) : (.started, .running)
        case VIR_DOMAIN_EVENT_SUSPENDED.rawValue: (.paused, .paused)
        case VIR_DOMAIN_EVENT_RESUMED.rawValue: (.unpaused, .running)
        case VIR_DOMAIN_EVENT_STOPPED.rawValue:
            switch UInt32(bitPattern: detail) {
            case VIR_DOMAIN_EVENT_STOPPED_CRASHED.rawValue, VIR_DOMAIN_EVENT_STOPPED_FAILED.rawValue:
                (.crashed, .crashed)
            case VIR_DOMAIN_EVENT_STOPPED_SAVED.rawValue: (.suspended, .suspended)
            default: (.stopped, .shutdown)
            }
        case VIR_DOMAIN_EVENT_CRASHED.rawValue: (.crashed, .crashed)
        default: nil
        }
    }
}

private typealias Generic = @convention(c) (virConnectPtr?, virDomainPtr?, UnsafeMutableRawPointer?) -> Void

private let lifecycleChanged:
    @convention(c) (virConnectPtr?, virDomainPtr?, Int32, Int32, UnsafeMutableRawPointer?) -> Void = {
        _, domain, event, detail, relay in
        guard let (kind, state) = EventRelay.meaning(event: event, detail: detail) else { return }
        forward(kind, state, of: domain, to: relay)
    }

private let guestRebooted: Generic = { _, domain, relay in forward(.rebooted, .running, of: domain, to: relay) }

private let agentChanged:
    @convention(c) (virConnectPtr?, virDomainPtr?, Int32, Int32, UnsafeMutableRawPointer?) -> Void = {
        _, domain, state, reason, relay in
        // libvirt also tells that the agent of a guest that has just begun is not there yet.
        guard UInt32(bitPattern: reason) == VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_REASON_CHANNEL.rawValue else {
            return
        }
        let isConnected =
            UInt32(bitPattern: state)
            == VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED.rawValue
        forward(isConnected ? .agentConnected : .agentDisconnected, .running, of: domain, to: relay)
    }

private func forward(
    _ kind: GuestEvent.Kind, _ state: GuestState, of domain: virDomainPtr?, to relay: UnsafeMutableRawPointer?
) {
    guard let domain, let relay, let server = Domain.uuid(of: domain) else { return }
    Unmanaged<EventRelay>.fromOpaque(relay).takeUnretainedValue()
        .tell(GuestEvent(server: server, kind: kind, state: state))
}
