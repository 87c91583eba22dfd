// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Where secrets are kept that guests' disks are encrypted with: a key manager.
package protocol SecretStore: Sendable {
    /// Keeps a secret under an id. One that is kept under it already stays.
    func keep(_ secret: [UInt8], as id: String) async throws(Fault)

    /// 404 for one that is not kept.
    func secret(_ id: String) async throws(Fault) -> [UInt8]

    /// Destroys a secret; one that is not kept is destroyed already.
    func forget(_ id: String) async throws(Fault)
}

extension Fault {
    package static func secretNotFound(_ id: String) -> Fault {
        .notFound("Failed to find encryption secret \(id) in the key manager")
    }
}

/// Secrets in memory.
package actor FakeSecretStore: SecretStore {
    package private(set) var secrets: [String: [UInt8]] = [:]

    package init() {}

    package func keep(_ secret: [UInt8], as id: String) { if secrets[id] == nil { secrets[id] = secret } }
    package func secret(_ id: String) throws(Fault) -> [UInt8] {
        guard let secret = secrets[id] else { throw .secretNotFound(id) }
        return secret
    }
    package func forget(_ id: String) { secrets[id] = nil }
}
