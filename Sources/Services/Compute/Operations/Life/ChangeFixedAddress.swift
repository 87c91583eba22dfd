// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Gives a port of a server one more address, or takes one away; then the row learns it.
struct ChangeFixedAddress: Operation {
    static let kind = "compute.fixed-address"

    let server: String
    let port: String
    /// How many addresses the port had before it was to get one more: a repeat that finds more has been here already.
    var had: Int?
    /// The address to give back instead.
    var address: String?

    var subject: String { server }

    var steps: [Step<ComputeSite>] {
        [
            Step("address", attempts: 5, do: change),
            Step("ports", attempts: 5, do: RefreshServer(server: server).refresh),
        ]
    }

    private func change(_ site: ComputeSite) async throws(Fault) {
        let client = site.room.network
        guard let found = try await client.port(port, requestID: site.requestID), found.deviceID == server else {
            throw .notFound("Port id \(port) could not be found.")
        }
        var addresses: [JSON] = found.fixedIPs.map {
            ["subnet_id": .string($0.subnetID), "ip_address": .string($0.address)]
        }
        if let address {
            guard let at = found.fixedIPs.firstIndex(where: { $0.address == address }) else { return }
            addresses.remove(at: at)
        } else {
            guard addresses.count <= had ?? 0, let subnet = found.fixedIPs.first?.subnetID else { return }
            addresses.append(["subnet_id": .string(subnet)])
        }
        try await client.updatePort(port, ["fixed_ips": .array(addresses)], requestID: site.requestID)
    }

    func succeeded(_ site: ComputeSite) async throws(Fault) { try await site.finish(server, nil) }

    func failed(_ site: ComputeSite, _ fault: Fault, step: String) async throws(Fault) {
        try await site.finish(server, fault.message)
    }
}
