// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A name with its addresses, for a DNS service that the world asks.
package struct PublishedName: Sendable, Hashable {
    /// The zone, with its dot at the end.
    package let domain: String
    /// The name within the zone.
    package let name: String
    package let addresses: [IPAddress]
    /// Whose the zone is, as far as is known.
    package let projectID: String

    package init(domain: String, name: String, addresses: [IPAddress], projectID: String) {
        self.domain = domain
        self.name = name
        self.addresses = addresses
        self.projectID = projectID
    }

    package var fullName: String { name.hasSuffix(".") ? name : "\(name).\(domain)" }
}

/// A DNS service outside the cloud's networks (upstream's `external_dns_driver`). Every call may be repeated. A fault
/// of 404 says that there is no such zone, one of 409 that somebody else has the name.
package protocol ExternalNames: Sendable {
    func publish(_ name: PublishedName) async throws(Fault)
    /// Takes back what was published; what is not there is left alone.
    func withdraw(_ name: PublishedName) async throws(Fault)
}

/// Names in memory.
package actor FakeExternalNames: ExternalNames {
    /// Addresses by full name, in the zones that there are.
    package private(set) var names: [String: Set<IPAddress>] = [:]
    private var zones: Set<String>
    private var refusal: Fault?

    package init(zones: Set<String>) { self.zones = zones }

    /// Fails from now on; nil ends that.
    package func refuse(_ fault: Fault?) { refusal = fault }
    package func add(zone: String) { zones.insert(zone) }

    package func publish(_ name: PublishedName) async throws(Fault) {
        if let refusal { throw refusal }
        guard zones.contains(name.domain) else { throw .notFound("There is no zone \(name.domain) (fake).") }
        let held = names[name.fullName]
        guard held == nil || held == Set(name.addresses) else { throw .conflict("\(name.fullName) is there (fake).") }
        names[name.fullName] = Set(name.addresses)
    }

    package func withdraw(_ name: PublishedName) async throws(Fault) {
        if let refusal { throw refusal }
        guard let held = names[name.fullName], !held.isDisjoint(with: name.addresses) else { return }
        names[name.fullName] = nil
    }
}
