// SPDX-License-Identifier: Apache-2.0
internal import CLibvirt
internal import Compute
internal import Kernel

/// A domain on the thread that asks about it; gone with the scope.
struct Domain: ~Copyable {
    let raw: virDomainPtr
    let server: String

    /// Finds a guest by its server's UUID; nil when the host does not have it.
    init?(_ server: String, on connection: virConnectPtr) throws(Fault) {
        guard let raw = virDomainLookupByUUIDString(connection, server) else {
            if LibvirtError.lastCode == VIR_ERR_NO_DOMAIN.rawValue { return nil }
            throw LibvirtError.last("look for domain \(server)", server: server)
        }
        self.raw = raw
        self.server = server
    }

    deinit { virDomainFree(raw) }

    /// The guest, which must be there and ours.
    static func ours(_ server: String, on connection: virConnectPtr) throws(Fault) -> Domain {
        guard let domain = try Domain(server, on: connection) else { throw .guestNotFound(server) }
        guard domain.isOurs else { throw .guestNotOurs(server) }
        return domain
    }

    var isOurs: Bool {
        guard
            let mark = virDomainGetMetadata(
                raw, Int32(VIR_DOMAIN_METADATA_ELEMENT.rawValue), DomainXML.markNamespace, 0)
        else { return false }
        mark.deallocate()
        return true
    }

    /// Throws what libvirt said about a call that answered less than zero.
    func check(_ answer: Int32, _ doing: String) throws(Fault) {
        if answer < 0 { throw LibvirtError.last("\(doing) \(server)", server: server) }
    }

    var isActive: Bool { virDomainIsActive(raw) == 1 }

    func state() throws(Fault) -> GuestState { try Domain.state(of: raw, server: server) }

    /// - Parameter running: of the domain as it runs, otherwise as it will start the next time.
    func xml(running: Bool) throws(Fault) -> XMLElement {
        let flags = running ? 0 : UInt32(VIR_DOMAIN_XML_INACTIVE.rawValue)
        guard let text = virDomainGetXMLDesc(raw, flags) else {
            throw LibvirtError.last("describe \(server)", server: server)
        }
        defer { text.deallocate() }
        guard let root = XMLElement.parse(String(cString: text)) else {
            throw .internalError("libvirt's description of \(server) cannot be read.")
        }
        return root
    }

    /// The ports that the domain has, now or after its next start.
    func nics() throws(Fault) -> [GuestNIC] {
        var nics = GuestNIC.all(in: try xml(running: false))
        guard isActive else { return nics }
        for nic in GuestNIC.all(in: try xml(running: true)) where !nics.contains(where: { $0.portID == nic.portID }) {
            nics.append(nic)
        }
        return nics
    }

    static func uuid(of raw: virDomainPtr) -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(VIR_UUID_STRING_BUFLEN)) { buffer in
            guard virDomainGetUUIDString(raw, buffer.baseAddress) == 0 else { return nil }
            return String(cString: buffer.baseAddress!)
        }
    }

    static func state(of raw: virDomainPtr, server: String) throws(Fault) -> GuestState {
        var state: Int32 = 0
        var reason: Int32 = 0
        guard virDomainGetState(raw, &state, &reason, 0) == 0 else {
            throw LibvirtError.last("tell the state of \(server)", server: server)
        }
        switch UInt32(bitPattern: state) {
        case VIR_DOMAIN_RUNNING.rawValue, VIR_DOMAIN_BLOCKED.rawValue, VIR_DOMAIN_SHUTDOWN.rawValue: return .running
        case VIR_DOMAIN_PAUSED.rawValue: return .paused
        case VIR_DOMAIN_CRASHED.rawValue: return .crashed
        case VIR_DOMAIN_PMSUSPENDED.rawValue: return .suspended
        case VIR_DOMAIN_SHUTOFF.rawValue:
            if virDomainHasManagedSaveImage(raw, 0) == 1 { return .suspended }
            let why = UInt32(bitPattern: reason)
            let isCrash =
                why == VIR_DOMAIN_SHUTOFF_CRASHED.rawValue || why == VIR_DOMAIN_SHUTOFF_FAILED.rawValue
            return isCrash ? .crashed : .shutdown
        default: return .none
        }
    }
}
