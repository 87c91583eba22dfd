// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Ports that two hosts have while their server moves from one to the other (Neutron's port bindings).
extension NetworkClient {
    /// Binds a port to one more host. False when it is bound to it already.
    @discardableResult
    package func bind(
        _ port: Port, to host: String, profile: JSONObject? = nil, requestID: String
    ) async throws(Fault) -> Bool {
        var binding: JSONObject = ["host": .string(host), "vnic_type": .string(port.vnicType)]
        binding["profile"] = .object(profile ?? port.profile)
        do throws(Fault) {
            _ = try await document(
                "POST", "/ports/\(port.id)/bindings", ["binding": .object(binding)], requestID: requestID)
            return true
        } catch {
            guard error.status == 409 else { throw error }
            return false
        }
    }

    /// Makes a host the one that has the port. False when it was never bound to it.
    package func activate(_ port: Port, on host: String, requestID: String) async throws(Fault) -> Bool {
        do throws(Fault) {
            _ = try await document("PUT", "/ports/\(port.id)/bindings/\(host)/activate", requestID: requestID)
            return true
        } catch {
            // It is active already.
            if error.status == 409 { return true }
            guard error.status == 404 else { throw error }
            return false
        }
    }

    /// Takes a host's binding away, if there is one.
    package func unbind(_ port: Port, from host: String, requestID: String) async throws(Fault) {
        do throws(Fault) {
            _ = try await document("DELETE", "/ports/\(port.id)/bindings/\(host)", requestID: requestID)
        } catch {
            guard error.status == 404 else { throw error }
        }
    }
}
