// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Where services are, as Identity's catalog says it.
package struct CatalogClient: Sendable {
    private let identity: ServiceClient

    package init(over transport: any Transport, as caller: Caller) {
        identity = ServiceClient("identity", base: "/v3", over: transport, as: caller)
    }

    /// The address under which clients reach a service of a type; nil when the catalog has none.
    package func address(
        of type: String, interface: String = "public", requestID: String
    ) async throws(Fault) -> String? {
        let found = try await identity.call("GET", "/services", query: [("type", type)], requestID: requestID)
        for service in found["services"]?.array ?? [] {
            guard let id = service["id"]?.string else { continue }
            let query = [("service_id", id), ("interface", interface)]
            let answer = try await identity.call("GET", "/endpoints", query: query, requestID: requestID)
            if let url = answer["endpoints"]?[0]?["url"]?.string { return url }
        }
        return nil
    }
}
