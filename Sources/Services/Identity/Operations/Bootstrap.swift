// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What a cloud's identity begins with: a domain, an administrator, the roles, and the catalogue. It may run at each
/// start: what is there stays as it is, and only addresses that have changed are written again.
package struct Bootstrap: Sendable {
    /// Where a service answers: by its index and the interface (`public`, `internal`, `admin`).
    package typealias Address = @Sendable (_ service: ServiceIndex, _ interface: String) -> String?

    /// What the first things are called.
    package struct Names: Sendable {
        package var user = "admin"
        package var project = "admin"
        package var role = "admin"
        package var service = "keystone"
        /// Whether the roles made here cannot be changed afterwards.
        package var locksRoles = true
        /// Whether a user that is there gets the password, and may log in again.
        package var resetsPassword = false

        package init() {}

        package init(
            user: String, project: String, role: String, service: String, locksRoles: Bool, resetsPassword: Bool
        ) {
            self.user = user
            self.project = project
            self.role = role
            self.service = service
            self.locksRoles = locksRoles
            self.resetsPassword = resetsPassword
        }
    }

    private let services: [ServiceIndex]
    private let region: String
    private let names: Names
    private let compliance: SecurityCompliance
    private let address: Address
    private let ids: any Identifiers

    /// - Parameter password: the administrator's first one; a user that is there keeps the password it has.
    package static func run(
        _ identity: IdentityService, password: String, services: [ServiceIndex], region: String = "RegionOne",
        names: Names = Names(), ids: any Identifiers, clock: any WallClock, address: @escaping Address
    ) async throws(Fault) {
        let plan = Bootstrap(
            services: services, region: region, names: names, compliance: identity.options.compliance,
            address: address, ids: ids)
        let domainID = identity.options.defaultDomainID
        let known =
            try await identity.database.count(
                User.self, "name = \(names.user) AND domain_id = \(domainID)") > 0
        let hash: String? = known && !names.resetsPassword ? nil : try await identity.passwords.hash(password)
        let now = clock.now()
        let epoch = identity.tokens.epoch
        try await identity.database.transaction { transaction throws(Fault) in
            try plan.people(transaction, domainID: domainID, hash: hash, now: now)
            try plan.catalog(transaction)
            transaction.afterCommit { epoch.advance() }
        }
    }

    // MARK: People and roles

    private func people(
        _ transaction: Transaction, domainID: String, hash: String?, now: Timestamp
    ) throws(Fault) {
        if try transaction.count(Project.self, "id = \(domainID)") == 0 {
            try transaction.insert(
                Project(
                    id: domainID, name: "Default", domainID: "", parentID: nil, isDomain: true, enabled: true,
                    description: "The default domain", tags: [], options: [:], extra: [:]))
        }
        let admin = try project(names.project, "Bootstrap project for initializing the cloud.", domainID, transaction)
        _ = try project("service", "Project of the services themselves.", domainID, transaction)
        let roles = try roles(transaction)
        let known = try transaction.first(User.self, "name = \(names.user) AND domain_id = \(domainID)")
        let user = known?.id ?? ids.hex()
        if let known, let hash {
            var changed = known
            changed.enabled = true
            changed.setPassword(hash, isOwn: true, at: now, compliance)
            changed.welcome(at: now, compliance)
            try transaction.save(changed, was: known, at: now, compliance)
        }
        if known == nil {
            try transaction.insert(
                User(
                    id: user, name: names.user, domainID: domainID, enabled: true, defaultProjectID: nil,
                    passwordHash: hash, passwordSetAt: now, passwordExpiresAt: nil, failedCount: 0, failedAt: nil,
                    options: [:], extra: [:]))
        }
        let places: [(Assignment.Target, String)] = [(.project, admin), (.system, "system")]
        for (target, id) in places {
            let condition: SQL =
                "actor_id = \(user) AND target_id = \(id) AND role_id = \(roles[names.role] ?? "") AND inherited = 0"
            guard try transaction.count(Assignment.self, condition) == 0 else { continue }
            try transaction.insert(
                Assignment(
                    actor: .user, actorID: user, target: target, targetID: id, roleID: roles[names.role] ?? "",
                    inherited: false))
        }
    }

    private func project(
        _ name: String, _ description: String, _ domainID: String, _ transaction: Transaction
    ) throws(Fault) -> String {
        if let known = try transaction.first(Project.self, "name = \(name) AND domain_id = \(domainID)") {
            return known.id
        }
        let project = Project(
            id: ids.hex(), name: name, domainID: domainID, parentID: domainID, isDomain: false, enabled: true,
            description: description, tags: [], options: [:], extra: [:])
        try transaction.insert(project)
        return project.id
    }

    /// The five roles by name, each of the first four implying the next.
    private func roles(_ transaction: Transaction) throws(Fault) -> [String: String] {
        var byName: [String: String] = [:]
        for name in ["admin", "manager", "member", "reader", "service"] + [names.role] where byName[name] == nil {
            if let known = try transaction.first(Role.self, "name = \(name) AND domain_id = ''") {
                byName[name] = known.id
                continue
            }
            let role = Role(
                id: ids.hex(), name: name, domainID: "", description: nil,
                options: names.locksRoles ? ["immutable": true] : [:], extra: [:])
            try transaction.insert(role)
            byName[name] = role.id
        }
        for (prior, implied) in [("admin", "manager"), ("manager", "member"), ("member", "reader")] {
            let rule = ImpliedRole(priorID: byName[prior] ?? "", impliedID: byName[implied] ?? "")
            let condition: SQL = "prior_id = \(rule.priorID) AND implied_id = \(rule.impliedID)"
            if try transaction.count(ImpliedRole.self, condition) == 0 { try transaction.insert(rule) }
        }
        return byName
    }

    // MARK: Catalogue

    private func catalog(_ transaction: Transaction) throws(Fault) {
        if try transaction.count(Region.self, "id = \(region)") == 0 {
            try transaction.insert(Region(id: region, description: "", parentRegionID: nil, extra: [:]))
        }
        for index in services {
            let service: String
            if let known = try transaction.first(CatalogService.self, "type = \(index.type) ORDER BY id") {
                service = known.id
            } else {
                service = ids.hex()
                try transaction.insert(
                    CatalogService(
                        id: service, type: index.type, name: index.type == "identity" ? names.service : index.name,
                        description: index.title, enabled: true,
                        extra: [:]))
            }
            for interface in ["public", "internal", "admin"] {
                guard let url = address(index, interface) else { continue }
                try endpoint(of: service, interface, at: url, transaction)
            }
        }
    }

    private func endpoint(
        of service: String, _ interface: String, at url: String, _ transaction: Transaction
    ) throws(Fault) {
        let place: SQL = "service_id = \(service) AND interface = \(interface) AND region_id = \(region)"
        guard let known = try transaction.first(Endpoint.self, place + " ORDER BY id") else {
            return try transaction.insert(
                Endpoint(
                    id: ids.hex(), interface: interface, regionID: region, serviceID: service, url: url, enabled: true,
                    extra: [:]))
        }
        if known.url != url {
            try transaction.update(Endpoint.self, set: "url = \(url)", where: "id = \(known.id)")
        }
    }
}
