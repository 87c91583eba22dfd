// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// What a login came to: a token, or the news that another factor is needed.
enum Login: Sendable {
    case token(Token)
    case unfinished(UnfinishedLogin)
}

/// A login that has proved something, and not enough: what its receipt says.
struct UnfinishedLogin: Sendable {
    let text: String
    let receipt: Receipt
    let issuedAt: Timestamp
    let user: User
    let domain: Project
    /// The rules that what was proved is part of.
    let required: [[String]]
}

/// The rules of which factors are enough for a user: any one of them, whole.
struct FactorRules {
    private let rules: [[String]]

    /// - Parameter open: the methods there are. A rule counts as if it named these alone, so that closing a method
    ///   locks nobody out.
    init(_ user: User, open: [String]) {
        let asked = user.options["multi_factor_auth_enabled"]?.bool ?? true
        let listed = user.options["multi_factor_auth_rules"]?.array ?? []
        rules = asked ? listed.map { rule in (rule.array ?? []).compactMap(\.string).filter(open.contains) } : []
    }

    func allow(_ methods: [String]) -> Bool {
        let useful = rules.filter { !$0.isEmpty }
        return useful.isEmpty || useful.contains { $0.allSatisfy(methods.contains) }
    }

    func completing(_ methods: [String]) -> [[String]] {
        rules.filter { $0.contains(where: methods.contains) }
    }
}

extension IdentityService {
    static let receiptHeader = "OpenStack-Auth-Receipt"

    /// The methods that the request's receipt stands for; none without one.
    func receiptMethods(_ request: Request, for userID: String) throws(Fault) -> [String] {
        guard let text = request.header(IdentityService.receiptHeader), !text.isEmpty else { return [] }
        guard let message = keys.receipts.keys.decrypt(text) else { throw .unauthorized() }
        let receipt = try Receipt(message.payload, methods: options.tokens.methods)
        guard receipt.expiresAt > request.now, receipt.userID == userID else { throw .unauthorized() }
        return receipt.methods
    }

    /// A receipt for what was proved; nil when it is enough.
    func unfinished(
        _ userID: String, _ methods: [String], at now: Timestamp
    ) async throws(Fault) -> UnfinishedLogin? {
        guard let user = try await people.user(userID) else { throw .unauthorized() }
        let rules = FactorRules(user, open: options.tokens.methods)
        guard !rules.allow(methods) else { return nil }
        let domain = try await database.one(Project.self, "id = \(user.domainID)", or: .unauthorized())
        let issuedAt = Timestamp(seconds: now.seconds)
        let receipt = Receipt(userID: userID, methods: methods, expiresAt: issuedAt + options.tokens.receiptLifetime)
        let text = keys.receipts.keys.encrypt(receipt.bytes(methods: options.tokens.methods), at: issuedAt)
        return UnfinishedLogin(
            text: text, receipt: receipt, issuedAt: issuedAt, user: user, domain: domain,
            required: rules.completing(methods))
    }
}

extension UnfinishedLogin {
    /// Keystone's 401 that is no refusal.
    var reply: Reply {
        Reply.bare { view in
            view.nest("receipt") {
                $0.put("methods", receipt.methods)
                $0.nest("user") {
                    $0.put("id", user.id)
                    $0.put("name", user.name)
                    $0.nest("domain", domain.reference)
                }
                $0.put("expires_at", receipt.expiresAt.iso8601Micro)
                $0.put("issued_at", issuedAt.iso8601Micro)
            }
            view.put("required_auth_methods", required)
        }
        .status(401)
        .header("Openstack-Auth-Receipt", text)
    }
}
