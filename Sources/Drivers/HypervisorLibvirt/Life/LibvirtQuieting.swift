// SPDX-License-Identifier: Apache-2.0
internal import CLibvirt
internal import Compute
package import Kernel

extension LibvirtHypervisor: GuestQuieting {
    package func quiet(_ server: String) async throws(Fault) {
        try await session.call { connection throws(Fault) in
            let domain = try Domain.ours(server, on: connection)
            let state = try domain.state()
            guard state == .running else { throw .guestState(server, state, "quiesce") }
            domain.limitAgent()
            if virDomainFSFreeze(domain.raw, nil, 0, 0) >= 0 { return }
            // A frozen agent knows no freezing; one that a crash left so is woken first.
            virDomainFSThaw(domain.raw, nil, 0, 0)
            guard virDomainFSFreeze(domain.raw, nil, 0, 0) < 0 else { return }
            let fault = LibvirtError.last("freeze the file systems of \(server)", server: server)
            throw .conflict("Failed to quiesce instance: \(fault.message)", code: "InstanceQuiesceFailed")
        }
    }

    package func unquiet(_ server: String) async throws(Fault) {
        try await session.call { connection throws(Fault) in
            guard let domain = try Domain(server, on: connection), domain.isOurs, domain.isActive else { return }
            domain.limitAgent()
            virDomainFSThaw(domain.raw, nil, 0, 0)
        }
    }
}
