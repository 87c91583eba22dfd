// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Trusted modules of servers (TPM): what a module has learnt is on its server's host, encrypted with a secret of the
/// server's.
enum TrustedModule {
    /// Under which name a server's secret for its module stands beside those of its disks.
    static let keyName = "tpm"

    /// The module that a server has; nil of one without.
    static func of(_ server: Server) throws(Fault) -> GuestFeatures.TPM? { try GuestFeatures.tpm(GuestWishes(server)) }

    /// The module that it would have with another flavor.
    static func of(_ server: Server, with flavor: FlavorSnapshot) throws(Fault) -> GuestFeatures.TPM? {
        var other = server
        other.flavor = flavor
        return try of(other)
    }

    /// Who may see the secret: `user` if the flavor says nothing, `host` or `deployment`.
    static func security(_ flavor: FlavorSnapshot) -> String { flavor.extraSpecs["hw:tpm_secret_security"] ?? "user" }

    /// A secret is its user's or the deployment's, and stays so.
    static func checkChange(of server: Server, to flavor: FlavorSnapshot) throws(Fault) {
        guard try of(server) != nil, try of(server, with: flavor) != nil else { return }
        let (old, new) = (security(server.flavor), security(flavor))
        guard old != new, old == "deployment" || new == "deployment" else { return }
        throw .badRequest(
            "Resize between 'deployment' TPM secret security and other TPM secret security modes is not supported.")
    }
}

extension Server {
    /// What a module has learnt cannot be made again, and does not go with an image: such verbs are refused.
    func refuseIfTrusted(_ operation: String) throws(Fault) {
        guard try TrustedModule.of(self) != nil else { return }
        throw .badRequest("Operation '\(operation)' not supported for vTPM-enabled instance (\(id)).")
    }

    /// A module travels alive only where the host may know its secret.
    func refuseIfModuleStays() throws(Fault) {
        guard TrustedModule.security(flavor) != "host" else { return }
        try refuseIfTrusted("live-migration")
    }
}

// MARK: - Secrets

extension ComputeService {
    /// The secret of a server's module, made when there is to be a module that was not there before. One that has
    /// learnt something already, before there were secrets, stays as it is.
    func moduleKey(of server: Server) async throws(Fault) -> String? {
        guard try TrustedModule.of(server) != nil else { return nil }
        if let known = try await moduleKeyRow(server.id) { return known.secretID }
        if server.launchedAt != nil {
            // On its way to another size it is not yet what it is to be.
            guard let row = try await database.first(Server.self, "id = \(server.id)"),
                try TrustedModule.of(row) == nil
            else { return nil }
        }
        return try await newKey(for: TrustedModule.keyName, of: server.id)
    }

    /// Destroys the secret of a module that a server lost with its size, or did not get after all.
    func forgetUnusedModuleKey(of server: String) async throws(Fault) {
        guard let key = try await moduleKeyRow(server),
            let row = try await database.first(Server.self, "id = \(server)"), try TrustedModule.of(row) == nil
        else { return }
        try await forget(key)
    }

    private func moduleKeyRow(_ server: String) async throws(Fault) -> DiskKey? {
        let name = TrustedModule.keyName
        return try await database.first(DiskKey.self, "server_id = \(server) AND disk = \(name)")
    }
}
