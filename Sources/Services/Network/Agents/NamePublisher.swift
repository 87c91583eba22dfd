// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Tells a DNS service outside of the names that ports and floating addresses have there. What should be there follows
/// from the rows, and what was told is a table: a service that is away delays nobody, and nothing is told twice or
/// forgotten whenever a process ends.
package struct NamePublisher: Sendable {
    private let service: NetworkService
    private let names: any ExternalNames
    /// What was refused for good is tried again so seldom: zones may be made later.
    private let retry: Duration

    package init(_ service: NetworkService, _ names: any ExternalNames, retry: Duration = .seconds(600)) {
        self.service = service
        self.names = names
        self.retry = retry
    }

    /// Runs until cancelled.
    package func run() async {
        var pause = Duration.seconds(1)
        while !Task.isCancelled {
            do throws(Fault) {
                try await publish()
                pause = .seconds(1)
                await service.names.wait(atMost: .seconds(60), service.clock)
            } catch {
                service.log.warning(
                    "names could not be published", ["error": error.message, "again_in_ms": pause.milliseconds])
                guard (try? await service.clock.sleep(pause)) != nil else { return }
                pause = min(pause * 2, .seconds(60))
            }
        }
    }

    /// Makes what is told what should be. Throws when the service cannot be asked; what it refuses is passed over.
    package func publish() async throws(Fault) {
        let wanted = try await WantedNames(service.database, service.options).all()
        var told: [String: ToldName] = [:]
        for name in try await service.database.all(ToldName.self) { told[name.ownerID] = name }
        // First what goes, for another owner may take the name.
        for (owner, name) in told.sorted(by: { $0.key < $1.key }) where wanted[owner] != name.published {
            try await attempt(name) { () async throws(Fault) in try await names.withdraw(name.published) }
            try await service.database.delete(ToldName.self, "owner_id = \(owner)")
            told[owner] = nil
        }
        for (owner, name) in wanted.sorted(by: { $0.key < $1.key }) {
            let known = told[owner]
            guard known == nil || known?.isDue(service.clock.now()) == true else { continue }
            if known == nil { try await service.database.insert(ToldName(owner, name)) }
            let isTaken = try await attempt(ToldName(owner, name)) { () async throws(Fault) in
                try await names.publish(name)
            }
            let again = isTaken ? nil : service.clock.now() + retry
            try await service.database.update(
                ToldName.self, set: "is_told = \(isTaken), again_at = \(again)", where: "owner_id = \(owner)")
        }
    }

    /// Whether the service took it. What it refuses will not be taken by asking again at once.
    @discardableResult
    private func attempt(
        _ name: ToldName, _ deed: () async throws(Fault) -> Void
    ) async throws(Fault) -> Bool {
        do throws(Fault) {
            try await deed()
            return true
        } catch {
            guard [400, 403, 404, 409, 413].contains(error.status) else { throw error }
            service.log.error(
                "a name was refused by the DNS service",
                ["name": name.name, "domain": name.domain, "owner": name.ownerID, "error": error.message])
            return false
        }
    }
}

/// A name as the DNS service was told of it, or is about to be.
struct ToldName: Record {
    static let table = "network_told_names"

    /// The port or the floating address.
    let ownerID: String
    let domain: String, name: String, addresses: String, projectID: String
    let isTold: Bool
    /// When what was refused is tried again.
    let againAt: Timestamp?

    init(_ owner: String, _ name: PublishedName) {
        ownerID = owner
        domain = name.domain
        self.name = name.name
        addresses = name.addresses.map(\.description).joined(separator: " ")
        projectID = name.projectID
        isTold = false
        againAt = nil
    }

    var published: PublishedName {
        PublishedName(
            domain: domain, name: name, addresses: addresses.split(separator: " ").compactMap { IPAddress($0) },
            projectID: projectID)
    }

    func isDue(_ now: Timestamp) -> Bool { !isTold && (againAt.map { $0 <= now } ?? true) }
}

extension ToldName: Resource {
    static let routes: [Route] = []
    static let migrations: [Migration] = [
        """
        2026-11-30 network told names
        CREATE TABLE network_told_names (
            owner_id VARCHAR(36) PRIMARY KEY, domain VARCHAR(255) NOT NULL, name VARCHAR(255) NOT NULL,
            addresses TEXT NOT NULL, project_id VARCHAR(255) NOT NULL, is_told INTEGER NOT NULL, again_at BIGINT)
        """
    ]
}
