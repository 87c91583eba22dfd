// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Identity (Keystone): who is who, who may do what where, and where each service answers.
package final class IdentityService: Service {
    package static let index = ServiceIndex(
        type: "identity", name: "keystone", title: "Identity", port: 5000, mount: "/identity", base: "/v3",
        versions: VersionHistory(nil, ["3.14": "The third version of the API, as of its fourteenth revision."]),
        envelope: .keystone, wording: .keystone, rulePrefix: "identity:", baseRules: IdentityRules.base,
        memberRules: IdentityRules.members,
        resources: [
            IdentityVersions.self, AuthTokens.self, AuthScopes.self, Revocation.self, Domains.self, Project.self,
            ProjectTags.self, User.self, UserPasswords.self, Group.self, Membership.self, Role.self, ImpliedRole.self,
            Assignment.self, SystemGrants.self, RoleAssignments.self, CatalogService.self, Endpoint.self, Region.self,
            Credential.self, PolicyDocument.self, ApplicationCredential.self, StoredAccessRule.self,
            EC2Credentials.self,
            EC2Tokens.self, Trust.self, DomainConfigs.self, RegisteredLimit.self, Limit.self,
            EndpointGroup.self, EndpointFilters.self, PolicyAssociation.self, RemovedCalls.self,
            IdentityProvider.self, FederationProtocol.self, FederationMapping.self, ServiceProvider.self,
            FederatedUser.self, FederationAuth.self, FederationReplay.self,
            IdentityMapping.self,
            OAuthConsumer.self, OAuthTokens.self, OAuthAccessTokens.self, ClientTokens.self,
            FederationSession.self, SAMLAssertions.self, IdentityNotice.self,
        ])

    package let database: Database
    package let options: IdentityOptions
    /// Everything that knows who somebody is; the kernel asks it about each token.
    package let authority: IdentityAuthority
    /// What domains have set for themselves; a back end of their own is opened with it.
    package let domainConfigurations: DomainConfigurations
    /// Users and groups, wherever they are kept.
    let people: People
    let tokens: TokenProvider
    let passwords: PasswordCheck
    let keys: IdentityKeys
    let clock: any WallClock
    let log: Log
    let auditor: Auditor
    /// How identity providers are spoken to, and each of those that speak OpenID Connect.
    let doors: FederationDoors
    let openID: [RelyingParties.Key: OpenIDProvider]
    var saml: [RelyingParties.Key: SAMLProvider] { doors.saml }

    /// - Parameters:
    ///   - pool: where passwords are hashed, which takes a quarter of a second each; its queue is bounded.
    ///   - keys: those of tokens and receipts, and of credentials, which outlive any rotation of the former.
    ///   - directories: opens the directories of domains that are kept elsewhere.
    ///   - notifications: where changes and logins are told of at once; the log when nil.
    ///   - domainFiles: the settings of domains that are kept in files, by the domain's name.
    package init(
        database: Database, clock: any WallClock, ids: any Identifiers, log: Log, pool: BlockingPool,
        keys: IdentityKeys, options: IdentityOptions = IdentityOptions(),
        domainFiles: [String: String] = [:], directories: (any DirectoryOpener)? = nil,
        notifications: (any Notifications)? = nil, doors: FederationDoors = FederationDoors()
    ) {
        self.database = database
        self.doors = doors
        openID = doors.openID(clock)
        self.options = options
        self.keys = keys
        self.clock = clock
        self.log = log
        auditor = Auditor(
            notifications: notifications ?? LoggedNotifications(log), options: options.notifications,
            database: database)
        domainConfigurations = DomainConfigurations(
            database: database, options: options.domains, files: domainFiles)
        passwords = PasswordCheck(options, chance: ids, on: pool)
        people = People(
            database, Directories(domainConfigurations, opener: directories, options: options, log: log), clock: clock)
        tokens = TokenProvider(people: people, clock: clock, ids: ids, keys: keys, options: options)
        authority = IdentityAuthority(tokens)
    }

    /// The same with the keys of a directory, which is filled when it is empty.
    package convenience init(
        database: Database, clock: any WallClock, ids: any Identifiers, log: Log, pool: BlockingPool,
        keyDirectory: String, options: IdentityOptions = IdentityOptions(), domainFiles: [String: String] = [:],
        directories: (any DirectoryOpener)? = nil, notifications: (any Notifications)? = nil,
        doors: FederationDoors = FederationDoors()
    ) throws(Fault) {
        let places = KeyPlaces(directory: keyDirectory, options.tokens)
        self.init(
            database: database, clock: clock, ids: ids, log: log, pool: pool,
            keys: try IdentityKeys(places, ids: ids), options: options, domainFiles: domainFiles,
            directories: directories, notifications: notifications, doors: doors)
    }
}

extension IdentityService {
    /// Forgets what was remembered of users, roles and tokens: somebody else may have changed the rows.
    package func forget() { tokens.epoch.advance() }

    /// What the blobs of credentials are kept under.
    var credentialKeys: FernetKeys { keys.credentials.keys }
}

extension Request {
    var identity: IdentityService { room(IdentityService.self) }

    /// A transaction whose outcome may change what a token is worth: answers given before are forgotten with it.
    func change<T: Sendable>(
        _ body: @escaping @Sendable (Transaction) throws(Fault) -> T
    ) async throws(Fault) -> T {
        let epoch = identity.tokens.epoch
        return try await database.transaction { transaction throws(Fault) in
            transaction.afterCommit { epoch.advance() }
            return try body(transaction)
        }
    }
}
