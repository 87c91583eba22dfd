// SPDX-License-Identifier: Apache-2.0
import Kernel

/// The domain of a port's name where its own or its network's has keywords (`<project_id>.example.org.`): they are
/// replaced by what they mean of whoever wrote the name, as upstream does, at the moment of writing.
struct ResolvedDomain: Record {
    static let table = "network_resolved_domains"

    let portID: String
    let domain: String

    /// What a label may be beside a label.
    static let keywords = ["project_id", "project_name", "user_id", "user_name"]

    static func hasKeywords(_ domain: String) -> Bool { domain.contains("<") }

    /// Keywords that have no meaning now stay, as upstream; such names are told to nobody.
    static func resolve(_ domain: String, _ caller: Caller) -> String {
        let meanings = [caller.projectID, caller.projectName, caller.userID, caller.userName]
        let labels = domain.split(separator: ".", omittingEmptySubsequences: false).map { label in
            guard let at = keywords.firstIndex(where: { label == "<\($0)>" }), let meaning = meanings[at] else {
                return String(label)
            }
            return meaning.lowercased()
        }
        return labels.joined(separator: ".")
    }

    /// Writes down what a port's domain means, as its name is written.
    static func note(_ port: Port, on network: Network, _ transaction: Transaction, _ request: Request) throws(Fault) {
        let domain = port.dnsDomain.isEmpty ? network.dnsDomain : port.dnsDomain
        try forget(port, transaction)
        guard !port.dnsName.isEmpty, hasKeywords(domain) else { return }
        try transaction.insert(ResolvedDomain(portID: port.id, domain: resolve(domain, request.caller)))
    }

    static func forget(_ port: Port, _ transaction: Transaction) throws(Fault) {
        try transaction.delete(ResolvedDomain.self, "port_id = \(port.id)")
    }

    /// The domains of ports, by port.
    static func all(_ database: Database, _ ports: [Port]) async throws(Fault) -> [String: String] {
        let named = ports.filter { !$0.dnsName.isEmpty }.map(\.id)
        guard !named.isEmpty, try await database.count(ResolvedDomain.self) > 0 else { return [:] }
        let rows = try await database.all(ResolvedDomain.self, "port_id", in: named)
        return Dictionary(rows.map { ($0.portID, $0.domain) }, uniquingKeysWith: { $1 })
    }
}

extension ResolvedDomain: Resource {
    static let routes: [Route] = []
    static let migrations: [Migration] = [
        """
        2026-11-30 network resolved domains
        CREATE TABLE network_resolved_domains (port_id VARCHAR(36) PRIMARY KEY, domain VARCHAR(1024) NOT NULL)
        """
    ]
}
