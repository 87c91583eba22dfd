// SPDX-License-Identifier: Apache-2.0
internal import Compute
internal import Kernel

/// Secrets of trusted modules. libvirt knows one only while it starts the guest; nobody reads it from there.
extension LibvirtHypervisor {
    func moduleState(of server: String) -> TrustedModuleState {
        TrustedModuleState(path: "\(settings.moduleDirectory)/\(server)")
    }

    /// What the domain says of its module: a mark of its kind, and its secret.
    func module(of server: String) async throws(Fault) -> (mark: String?, key: String?) {
        try await session.call { connection throws(Fault) in
            guard let domain = try Domain(server, on: connection) else { return (nil, nil) }
            let xml = try domain.xml(running: false)
            return (xml.moduleMark, xml.moduleKey)
        }
    }

    /// Does what starts a guest while libvirt knows its module's secret.
    func withModule(
        _ key: String?, of server: String, _ body: () async throws(Fault) -> Void
    ) async throws(Fault) {
        guard let key else { return try await body() }
        try await unlockModule(of: server, key)
        do throws(Fault) { try await body() } catch {
            try? await lockModule(of: server)
            throw error
        }
        try await lockModule(of: server)
    }

    func unlockModule(of server: String, _ id: String) async throws(Fault) {
        let bytes = try await passphrase(id)
        // Under the server's name there may still be the secret of a module that it had before.
        try await lockModule(of: server)
        try await keep(GuestSecret(use: .vtpm, name: server, id: id), bytes)
    }

    func lockModule(of server: String) async throws(Fault) { try await forget(GuestSecret(use: .vtpm, name: server)) }
}
