// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// The key manager's API (Barbican v1) as far as other rooms need it: what a secret is.
package struct SecretsClient: Sendable {
    private let client: ServiceClient

    package init(over transport: any Transport, as caller: Caller) {
        client = ServiceClient("key-manager", base: "/v1", over: transport, as: caller)
    }

    /// The bytes of a secret, as they were kept.
    package func payload(of secret: String, requestID: String) async throws(Fault) -> [UInt8] {
        let response = await client.send(
            "GET", "/secrets/\(secret)/payload", ["Accept": "application/octet-stream"], .empty, requestID: requestID)
        let bytes = try await ServiceClient.collect(response)
        guard response.status < 400 else {
            if response.status == 404 { throw .notFound("Secret \(secret) could not be found in the key manager.") }
            let reason = SecretsClient.reason(bytes) ?? "status \(response.status)"
            throw Fault(response.status, "The key manager gave no secret \(secret): \(reason)")
        }
        guard !bytes.isEmpty else { throw .unavailable("The key manager answered nothing for secret \(secret).") }
        return bytes
    }

    /// Barbican says it twice, in a form of its own.
    private static func reason(_ bytes: [UInt8]) -> String? {
        guard let document = try? JSON.parse(bytes, limits: .trusted) else { return nil }
        return document["description"]?.string ?? document["title"]?.string ?? ServiceClient.message(bytes)
    }
}
