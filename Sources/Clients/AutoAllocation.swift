// SPDX-License-Identifier: Apache-2.0
package import Kernel

// A project without a network can be given one, made of the cloud's default pools when it is first asked for.

extension NetworkClient {
    private static func path(_ project: String) -> String { "/auto-allocated-topology/\(project)" }

    /// Whether the cloud has what such a network is made of.
    package func canAllocateNetwork(for project: String, requestID: String) async throws(Fault) -> Bool {
        do throws(Fault) {
            _ = try await document("GET", Self.path(project), query: [("fields", "dry-run")], requestID: requestID)
            return true
        } catch {
            guard error.status == 409 else { throw error }
            return false
        }
    }

    /// The project's network of that kind; nil where the cloud cannot make one.
    package func allocatedNetwork(for project: String, requestID: String) async throws(Fault) -> String? {
        do throws(Fault) {
            let answer = try await document("GET", Self.path(project), requestID: requestID)
            return answer["auto_allocated_topology"]?["id"]?.string
        } catch {
            guard error.status == 409 else { throw error }
            return nil
        }
    }
}
