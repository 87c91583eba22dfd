// SPDX-License-Identifier: Apache-2.0
package import Base

/// What a Fernet token says, in Keystone's payload formats, so that tokens of either are read by the other.
package struct TokenPayload: Sendable, Equatable {
    package enum Scope: Sendable, Equatable {
        case unscoped
        case domain(String)
        case project(String)
        case system
        case trust(project: String?, trust: String)
        case applicationCredential(project: String?, credential: String)
        case oauth(project: String?, accessToken: String)
        /// Bound to a client's certificate by the SHA-256 of it.
        case certificate(project: String?, thumbprint: String)
    }

    /// How somebody came here from an identity provider, and the groups that it put them into.
    package struct Federation: Sendable, Equatable {
        package var groupIDs: [String]
        package var identityProvider: String
        package var protocolID: String

        package init(groupIDs: [String], identityProvider: String, protocolID: String) {
            self.groupIDs = groupIDs
            self.identityProvider = identityProvider
            self.protocolID = protocolID
        }
    }

    package var userID: String
    package var methods: [String]
    package var scope: Scope
    package var expiresAt: Timestamp
    /// This token's id, and the id of the first of the chain it was made from when that is another.
    package var auditIDs: [String]
    /// Only unscoped tokens and those for projects and domains say it; upstream has no form for others.
    package var federation: Federation?

    package init(
        userID: String, methods: [String], scope: Scope, expiresAt: Timestamp, auditIDs: [String],
        federation: Federation? = nil
    ) {
        self.userID = userID
        self.methods = methods
        self.scope = scope
        self.expiresAt = expiresAt
        self.auditIDs = auditIDs
        self.federation = federation
    }

    /// Keystone's `[auth] methods`: a method's place in the list is its bit in the payload.
    package static let methods = [
        "external", "password", "token", "oauth1", "mapped", "application_credential",
    ]

    /// A new audit id: 16 random bytes in URL-safe base64.
    package static func auditID(_ chance: any Identifiers) -> String { Base64URL.encode(chance.bytes(16)) }
}

// MARK: - Writing

extension TokenPayload {
    package func bytes(methods known: [String] = TokenPayload.methods) -> [UInt8] {
        var out = MessagePackWriter()
        if let federation, let version = scope.federatedVersion {
            write(federation, version, methods: known, to: &out)
            return out.bytes
        }
        out.array(scope.isUnscoped ? 5 : scope.version == 10 ? 8 : scope.hasTail ? 7 : 6)
        out.integer(scope.version)
        out.identifier(userID)
        out.integer(mask(known))
        switch scope {
        case .unscoped: break
        case .domain(let id):
            // Upstream allows only the default domain not to be a UUID, and writes it as plain text.
            if let packed = TokenPayload.packed(id) { out.binary(packed) } else { out.text(id) }
        case .project(let id): out.identifier(id)
        case .system: out.text("all")
        case .trust(let project, _), .applicationCredential(let project, _): out.identifier(project)
        case .oauth(let project, let token):
            out.identifier(project)
            out.identifier(token)
        case .certificate(let project, _):
            out.identifier(project)
            out.identifier(nil)
        }
        writeTimes(to: &out)
        switch scope {
        case .trust(_, let trust):
            if let packed = TokenPayload.packed(trust) { out.binary(packed) } else { out.text(trust) }
        case .applicationCredential(_, let credential): out.identifier(credential)
        case .certificate(_, let thumbprint):
            out.array(2)
            out.bool(false)
            out.text(thumbprint)
        default: break
        }
        return out.bytes
    }

    private func mask(_ known: [String]) -> Int {
        known.enumerated().reduce(0) { methods.contains($1.element) ? $0 | 1 << $1.offset : $0 }
    }

    private func writeTimes(to out: inout MessagePackWriter) {
        out.double(Double(expiresAt.microseconds) / 1_000_000)
        out.array(auditIDs.count)
        for id in auditIDs { out.binary(Base64URL.decode(id) ?? Array(id.utf8)) }
    }

    private func write(
        _ federation: Federation, _ version: Int, methods known: [String], to out: inout MessagePackWriter
    ) {
        out.array(version == 4 ? 8 : 9)
        out.integer(version)
        out.identifier(userID)
        out.integer(mask(known))
        switch scope {
        case .project(let id), .domain(let id): out.identifier(id)
        default: break
        }
        out.array(federation.groupIDs.count)
        for id in federation.groupIDs { out.identifier(id) }
        out.identifier(federation.identityProvider)
        out.text(federation.protocolID)
        writeTimes(to: &out)
    }

    /// The 16 bytes of an id of 32 hexadecimal digits; upstream's ids are these, but for names of the operator's own.
    fileprivate static func packed(_ id: String) -> [UInt8]? {
        guard id.utf8.count == 32, !id.utf8.contains(where: { (65...70).contains($0) }) else { return nil }
        return Hex.decode(id)
    }
}

extension TokenPayload.Scope {
    fileprivate var version: Int {
        switch self {
        case .unscoped: 0
        case .domain: 1
        case .project: 2
        case .trust: 3
        case .system: 8
        case .applicationCredential: 9
        case .oauth: 7
        case .certificate: 10
        }
    }
    fileprivate var federatedVersion: Int? {
        switch self {
        case .unscoped: 4
        case .project: 5
        case .domain: 6
        default: nil
        }
    }
    fileprivate var isUnscoped: Bool { self == .unscoped }
    fileprivate var hasTail: Bool { version == 3 || version == 7 || version == 9 }
}

extension MessagePackWriter {
    /// A pair: whether the id is packed, and its 16 bytes or its text.
    mutating func identifier(_ id: String?) {
        array(2)
        guard let id else {
            bool(false)
            return null()
        }
        if let packed = TokenPayload.packed(id) {
            bool(true)
            binary(packed)
        } else {
            bool(false)
            text(id)
        }
    }
}

// MARK: - Reading

extension TokenPayload {
    /// Reads a payload that a genuine token carried. 401 for one of a kind that is not served here.
    package init(_ bytes: [UInt8], methods known: [String] = TokenPayload.methods) throws(Fault) {
        var reader = MessagePackReader(bytes)
        guard let count = reader.array(), let version = reader.integer() else { throw TokenPayload.unreadable }
        let members: Int
        switch version {
        case 0: members = 5
        case 1, 2, 8: members = 6
        case 3, 7, 9: members = 7
        case 4, 10: members = 8
        case 5, 6: members = 9
        default: throw .unauthorized("This is not a recognized Fernet payload version: \(version)")
        }
        guard count == members else { throw TokenPayload.unreadable }
        userID = try reader.identifier() ?? ""
        guard let mask = reader.integer() else { throw TokenPayload.unreadable }
        methods = known.enumerated().reversed().filter { mask & 1 << $0.offset != 0 }.map(\.element)
        let scopeID = try reader.scope(version)
        let second = version == 7 || version == 10 ? try reader.identifier() : nil
        if (4...6).contains(version) { federation = try reader.federation() }
        guard let expires = reader.double(), abs(expires) < 1e12 else { throw TokenPayload.unreadable }
        expiresAt = Timestamp(microseconds: Int64((expires * 1_000_000).rounded(.toNearestOrEven)))
        auditIDs = try reader.auditIDs()
        switch version {
        case 0, 4: scope = .unscoped
        case 5: scope = .project(scopeID ?? "")
        case 6: scope = .domain(scopeID ?? "")
        case 1: scope = .domain(scopeID ?? "")
        case 2: scope = .project(scopeID ?? "")
        case 3: scope = .trust(project: scopeID, trust: try reader.plainIdentifier())
        case 7: scope = .oauth(project: scopeID, accessToken: second ?? "")
        case 10: scope = .certificate(project: scopeID, thumbprint: try reader.identifier() ?? "")
        case 9: scope = .applicationCredential(project: scopeID, credential: try reader.identifier() ?? "")
        default: scope = .system
        }
        guard reader.atEnd, !userID.isEmpty, auditIDs.count <= 2 else { throw TokenPayload.unreadable }
    }

    fileprivate static var unreadable: Fault { .unauthorized("Could not recognize Fernet token") }
}

extension MessagePackReader {
    fileprivate mutating func scope(_ version: Int) throws(Fault) -> String? {
        switch version {
        case 0, 4: return nil
        case 1: return try plainIdentifier()
        case 8:
            guard let (bytes, _) = string(), bytes.elementsEqual("all".utf8) else { throw TokenPayload.unreadable }
            return "all"
        default: return try identifier()
        }
    }

    /// The pair that `MessagePackWriter.identifier` writes.
    mutating func identifier() throws(Fault) -> String? {
        guard array() == 2, let isPacked = bool() else { throw TokenPayload.unreadable }
        if !isPacked, null() { return nil }
        guard let (bytes, _) = string() else { throw TokenPayload.unreadable }
        if isPacked {
            guard bytes.count == 16 else { throw TokenPayload.unreadable }
            return Hex.encode(bytes)
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw TokenPayload.unreadable }
        return text
    }

    fileprivate mutating func federation() throws(Fault) -> TokenPayload.Federation {
        guard let count = array(), count <= 4096 else { throw TokenPayload.unreadable }
        var groups: [String] = []
        for _ in 0..<count {
            guard let id = try identifier() else { throw TokenPayload.unreadable }
            groups.append(id)
        }
        guard let provider = try identifier(), let (bytes, _) = string(),
            let name = String(validating: bytes, as: UTF8.self)
        else { throw TokenPayload.unreadable }
        return TokenPayload.Federation(groupIDs: groups, identityProvider: provider, protocolID: name)
    }

    /// An id without the mark: 16 bytes are packed, text is itself.
    fileprivate mutating func plainIdentifier() throws(Fault) -> String {
        guard let (bytes, isText) = string() else { throw TokenPayload.unreadable }
        if bytes.count == 16, !isText { return Hex.encode(bytes) }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw TokenPayload.unreadable }
        return text
    }

    fileprivate mutating func auditIDs() throws(Fault) -> [String] {
        guard let count = array(), count <= 8 else { throw TokenPayload.unreadable }
        var ids: [String] = []
        for _ in 0..<count {
            guard let (bytes, _) = string() else { throw TokenPayload.unreadable }
            ids.append(Base64URL.encode(bytes))
        }
        return ids
    }
}
