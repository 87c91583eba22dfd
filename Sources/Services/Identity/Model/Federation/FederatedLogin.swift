// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// What an identity provider said about somebody, once that has been proved.
struct Assertion: Sendable {
    /// Several values of one attribute are parted by semicolons.
    var attributes: [String: String]
    /// The user's name, for mappings that give none.
    var remoteUser: String?
}

extension IdentityService {
    /// The token of somebody whom a provider vouches for: unscoped, with the groups that the mapping gave.
    func logIn(
        from providerID: String, by protocolID: String, _ assertion: Assertion, _ request: Request
    ) async throws(Fault) -> Token {
        let provider = try await database.one(
            IdentityProvider.self, "id = \(providerID)", or: .noProvider(providerID))
        guard provider.enabled else { throw .forbidden("Identity Provider \(providerID) is disabled") }
        let named = try await database.one(
            FederationProtocol.self, "idp_id = \(providerID) AND id = \(protocolID)",
            or: .noProtocol(protocolID, of: providerID))
        let mapped = try await map(assertion, named, request)
        if mapped.isLocal {
            return try await tokens.issue(to: try await local(mapped).id, methods: ["mapped"], scope: .unscoped)
        }
        let groups = try await groupIDs(mapped, named.mappingID)
        let user = try await shadow(mapped, groups, provider, named, assertion.remoteUser, request)
        return try await tokens.issue(
            to: user.id, methods: ["mapped"], scope: .unscoped,
            federation: TokenPayload.Federation(
                groupIDs: groups, identityProvider: providerID, protocolID: protocolID))
    }

    /// What the mapping makes of an assertion. One that it makes nothing of proves nobody: 401.
    private func map(
        _ assertion: Assertion, _ named: FederationProtocol, _ request: Request
    ) async throws(Fault) -> MappedIdentity {
        let prefix = options.federation.assertionPrefix
        let attributes =
            prefix.isEmpty ? assertion.attributes : assertion.attributes.filter { $0.key.hasPrefix(prefix) }
        let names = try await database.remoteIDs(of: named.idpID)
        let attribute =
            named.remoteIDAttribute.flatMap { $0.isEmpty ? nil : $0 } ?? options.federation.remoteIDAttribute
        if let attribute, !names.isEmpty {
            guard let name = attributes[attribute] else {
                request.log.warning("an assertion does not name its provider", ["attribute": attribute])
                throw .unauthorized()
            }
            guard names.contains(name) else {
                throw .forbidden("Incoming identity provider identifier not included among the accepted identifiers.")
            }
        }
        let mapping = try await database.one(
            FederationMapping.self, "id = \(named.mappingID)", or: .noMapping(named.mappingID))
        let engine = MappingEngine(id: mapping.id, rules: mapping.rules, version: mapping.schemaVersion)
        do {
            return try engine.process(attributes)
        } catch {
            guard error.status == 400 else { throw error }
            request.log.warning(
                "a mapping made nothing of an assertion", ["mapping": mapping.id, "why": error.message])
            throw .unauthorized()
        }
    }

    /// The user that was here before, whom the mapping names.
    private func local(_ mapped: MappedIdentity) async throws(Fault) -> User {
        let user: User?
        if let id = mapped.user["id"]?.string {
            user = try await people.user(id)
        } else {
            guard let name = mapped.user["name"]?.string, let domain = mapped.user["domain"] else {
                throw .unauthorized()
            }
            let domainID = try await self.domainID(domain)
            user = try await people.user(named: name, in: domainID)
        }
        guard let user else { throw .unauthorized() }
        return user
    }

    /// The groups by their ids: those named by id must be there, those named otherwise are left out when they are not.
    private func groupIDs(_ mapped: MappedIdentity, _ mappingID: String) async throws(Fault) -> [String] {
        var ids: [String] = []
        for id in mapped.groupIDs {
            guard try await people.group(id) != nil else {
                throw .internalError("Group \(id) returned by mapping \(mappingID) was not found in the backend.")
            }
            ids.append(id)
        }
        for group in mapped.groupNames {
            let domainID = try await self.domainID(group["domain"] ?? [:])
            let name = group["name"]?.string ?? ""
            guard let found = try await people.group(named: name, in: domainID),
                !ids.contains(found.id)
            else { continue }
            ids.append(found.id)
        }
        return ids
    }

    func domainID(_ domain: JSON) async throws(Fault) -> String {
        if let id = domain["id"]?.string { return id }
        let name = domain["name"]?.string ?? ""
        return try await database.one(
            Project.self, "name = \(name) AND is_domain = 1", or: .notFound("domain", name)
        ).id
    }

    /// The user of somebody who came from a provider, made when it is the first time, with what the assertion says now.
    private func shadow(
        _ mapped: MappedIdentity, _ groups: [String], _ provider: IdentityProvider, _ named: FederationProtocol,
        _ remoteUser: String?, _ request: Request
    ) async throws(Fault) -> User {
        let nickname = mapped.user["name"]?.string ?? remoteUser
        guard let id = mapped.user["id"]?.string ?? nickname, !id.isEmpty else { throw .unauthorized() }
        let domain = mapped.user["domain"].flatMap { $0.isNull ? nil : $0 }
        let domainID = if let domain { try await self.domainID(domain) } else { provider.domainID }
        let projects = try await projects(mapped, provider, userDomainID: domainID)
        let guest = Guest(
            name: FederatedUser.Name(idpID: provider.id, protocolID: named.id, uniqueID: Percent.encodePath(id)),
            displayName: nickname ?? id, email: mapped.user["email"]?.string, domainID: domainID, groups: groups,
            membershipLife: provider.membershipLife(options.federation), projects: projects,
            syncsProjects: try await database.first(FederationMapping.self, "id = \(named.mappingID)")?.schemaVersion
                == "3.0")
        let (now, fresh) = (request.now, projects.map { _ in request.ids.hex() })
        let epoch = tokens.epoch
        return try await database.transaction { transaction throws(Fault) in
            transaction.afterCommit { epoch.advance() }
            return try transaction.receive(guest, at: now, projectIDs: fresh)
        }
    }

    /// The projects that the mapping gives with roles; all roles must be there before anything is made.
    private func projects(
        _ mapped: MappedIdentity, _ provider: IdentityProvider, userDomainID: String
    ) async throws(Fault) -> [Guest.Share] {
        guard !mapped.projects.isEmpty else { return [] }
        let roles = try await database.all(Role.self)
        var shares: [Guest.Share] = []
        for project in mapped.projects {
            var ids: [String] = []
            for item in project["roles"]?.array ?? [] {
                let name = item["name"]?.string ?? ""
                let same = roles.filter { $0.name == name }
                guard let role = same.first(where: { $0.ownDomainID == nil }) ?? same.first else {
                    throw .notFound("role", name)
                }
                guard role.ownDomainID == nil || role.ownDomainID == userDomainID else {
                    throw .forbidden(
                        "role: \(name) must be within the same domain as the identity provider: \(provider.id).")
                }
                ids.append(role.id)
            }
            let domain = project["domain"].flatMap { $0.isNull ? nil : $0 }
            let domainID = if let domain { try await self.domainID(domain) } else { provider.domainID }
            shares.append(
                Guest.Share(name: project["name"]?.string ?? "", domainID: domainID, roleIDs: ids))
        }
        return shares
    }

    /// A token from an identity provider is worth another one only while provider, protocol and groups are there.
    func requireRescopable(_ federation: TokenPayload.Federation) async throws(Fault) {
        let id = federation.identityProvider
        let provider = try await database.one(IdentityProvider.self, "id = \(id)", or: .noProvider(id))
        guard provider.enabled else { throw .forbidden("Identity Provider \(id) is disabled") }
        _ = try await database.one(
            FederationProtocol.self, "idp_id = \(id) AND id = \(federation.protocolID)",
            or: .noProtocol(federation.protocolID, of: id))
        for group in federation.groupIDs where try await people.group(group) == nil {
            throw .internalError("Group \(group) of a federated token was not found in the backend.")
        }
    }
}
