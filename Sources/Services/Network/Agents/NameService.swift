// SPDX-License-Identifier: Apache-2.0
import Kernel

extension NetworkService {
    /// Answers a question for a name that a guest of a network asks: what OVN does not answer by itself, such as the
    /// IPv6 address of a name that has only one of IPv4. Nobody waits for an answer that never comes: names that are
    /// none of the network's are refused. Nil when it was no question.
    package func answer(names message: [UInt8], network: String) async -> [UInt8]? {
        guard let question = NameQuestion(message) else { return nil }
        do throws(Fault) {
            return question.reply(try await resolve(question, network))
        } catch {
            log.warning("a name was not looked up", ["network": network, "error": error.message])
            return question.reply(.refused)
        }
    }

    private func resolve(_ question: NameQuestion, _ network: String) async throws(Fault) -> NameQuestion.Answer {
        guard let network = try await database.first(Network.self, "id = \(network)") else { return .refused }
        let isEach = ResolvedDomain.hasKeywords(network.dnsDomain)
        let named = (network.dnsDomain.isEmpty || isEach ? options.dnsDomain : network.dnsDomain).lowercased()
        let domain = named.hasSuffix(".") ? String(named.dropLast()) : named
        if let address = question.reversed { return try await name(of: address, network.id, domain) }
        var host = question.name
        if !domain.isEmpty, host.hasSuffix("." + domain) { host.removeLast(domain.count + 1) }
        guard !host.contains("."), !host.isEmpty else { return .refused }
        let ports = try await database.all(
            Port.self, "network_id = \(network.id) AND LOWER(dns_name) = \(host) ORDER BY id LIMIT 20")
        guard !ports.isEmpty else { return .unknown }
        return .addresses(ports.flatMap { $0.fixedIPs.entries.map(\.address) })
    }

    private func name(
        of address: IPAddress, _ network: String, _ domain: String
    ) async throws(Fault) -> NameQuestion.Answer {
        let subnets = try await database.all(Subnet.self, "network_id = \(network)")
        guard let subnet = subnets.first(where: { $0.cidr.contains(address) }) else { return .refused }
        let held = try await database.first(
            HeldAddress.self, "subnet_id = \(subnet.id) AND address = \(address.description)")
        guard let held, let port = try await database.first(Port.self, "id = \(held.portID)"), !port.dnsName.isEmpty
        else { return .unknown }
        let host = port.dnsName.lowercased()
        return .name(domain.isEmpty ? host : "\(host).\(domain)")
    }
}
