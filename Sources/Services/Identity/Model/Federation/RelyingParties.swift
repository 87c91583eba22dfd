// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What is agreed with each identity provider, by provider and protocol: a file with a section for each,
/// `[oidc IDP PROTOCOL]` or `[saml2 IDP PROTOCOL]`.
package struct RelyingParties: Sendable {
    /// Where an agreement belongs.
    struct Key: Hashable, Sendable {
        let providerID: String, protocolID: String
    }

    private(set) var openID: [Key: OpenIDSettings] = [:]
    private(set) var saml: [Key: SAMLSettings] = [:]

    package init() {}

    /// - Parameters:
    ///   - name: what the file is called in complaints.
    ///   - read: reads a file that a section names, such as a provider's metadata.
    package init(
        text: String, name: String, read: (String) throws(Fault) -> [UInt8]
    ) throws(Fault) {
        let file = INI(text)
        var mistakes = file.mistakes.map { "\(name):\($0.line): \($0.reason)." }
        for (section, line) in file.sections {
            let words = section.split(separator: " ").map(String.init)
            guard words.count == 3, ["oidc", "saml2"].contains(words[0]) else {
                mistakes.append(
                    "\(name):\(line): a section is [oidc IDP PROTOCOL] or [saml2 IDP PROTOCOL], not [\(section)].")
                continue
            }
            let key = Key(providerID: words[1], protocolID: words[2])
            let source = ConfigurationSource(
                name: name, text: RelyingParties.text(of: section, at: line, kind: words[0], file))
            do {
                if words[0] == "oidc" {
                    openID[key] = try Configuration.load(sources: [source], known: [OpenIDSettings.self])[
                        OpenIDSettings.self]
                } else {
                    saml[key] = try Configuration.load(sources: [source], known: [SAMLSettings.self])[
                        SAMLSettings.self]
                }
            } catch {
                mistakes += error.mistakes
            }
        }
        guard mistakes.isEmpty else { throw .badRequest(mistakes.joined(separator: "\n")) }
        for (key, settings) in saml {
            saml[key]?.metadata = try read(settings.metadataFile)
        }
    }

    /// One section alone, its lines where they were, so that complaints count them right.
    private static func text(of section: String, at line: Int, kind: String, _ file: INI) -> String {
        var lines = Array(repeating: "", count: max(0, line - 1)) + ["[\(kind)]"]
        for entry in file.entries where entry.section == section {
            while lines.count < entry.line - 1 { lines.append("") }
            lines.append(entry.name + " = " + entry.value.replacing("\n", with: "\n  "))
        }
        return lines.joined(separator: "\n")
    }

    /// The providers that can be reached by a protocol.
    func providers(by protocolID: String) -> [String] {
        (Array(openID.keys) + Array(saml.keys)).filter { $0.protocolID == protocolID }.map(\.providerID).sorted()
    }
}

/// An agreement with an OpenID Connect provider, in the notions of mod_auth_openidc.
package struct OpenIDSettings: Options {
    package static let section = "oidc"

    enum BearerCheck: String, CaseIterable, Sendable { case off, introspection, jwt }
    enum ClientAuthentication: String, CaseIterable, Sendable { case basic, post, none }

    let baseURL: String, issuer: String, metadataURL: String, clientID: String, clientSecret: String
    let clientAuthentication: ClientAuthentication
    let scope: String, usesPKCE: Bool, asksUserinfo: Bool
    let claimPrefix: String, claimDelimiter: String, remoteUserClaim: String
    let algorithms: [String]
    let slack: Duration
    let bearer: BearerCheck, bearerAudience: String?

    package init(_ read: inout OptionReader) {
        baseURL = read.base()
        issuer = read.address("issuer", help: "The provider's name, as its metadata and its tokens spell it.")
        let end = issuer.hasSuffix("/") ? "" : "/"
        metadataURL =
            read.string("metadata_url", help: "Its metadata; by default below the issuer, where discovery has it.")
            ?? issuer + end + ".well-known/openid-configuration"
        if !RelyingParties.isSafe(metadataURL) { read.refuse("metadata_url is no https address.") }
        clientID = read.string("client_id", default: "", help: "What this cloud is called there.")
        if clientID.isEmpty { read.refuse("client_id is missing.") }
        clientSecret = read.string("client_secret", default: "", help: "And how it proves that.")
        clientAuthentication = read.choice(
            "client_auth", default: ClientAuthentication.basic, help: "Whether the secret goes in a header or a form.")
        scope = read.string("scope", default: "openid email profile", help: "What is asked for.")
        usesPKCE = read.bool("pkce", default: true, help: "Whether the code is bound to this cloud by a challenge.")
        asksUserinfo = read.bool(
            "userinfo", default: true, help: "Whether claims that the ID token lacks are asked for.")
        claimPrefix = read.string(
            "claim_prefix", default: "OIDC-",
            help: "What attributes of the assertion begin with: OIDC-email, and HTTP_OIDC_EMAIL as well.")
        claimDelimiter = read.string("claim_delimiter", default: ";", help: "What parts several values of one claim.")
        remoteUserClaim = read.string(
            "remote_user_claim", default: "sub", help: "The claim that names the user where a mapping does not.")
        algorithms = read.list(
            "algorithms", default: ["RS256", "PS256", "ES256", "RS384", "PS384", "ES384", "RS512", "PS512", "ES512"],
            help: "The signatures that are accepted.")
        for name in algorithms where !WebKey.algorithms.contains(name) {
            read.refuse("algorithms: '\(name)' is none of \(WebKey.algorithms.joined(separator: ", ")).")
        }
        slack = read.duration("clock_slack", default: .seconds(60), help: "How far the clocks may be apart.")
        bearer = read.choice(
            "bearer", default: BearerCheck.off,
            help: "How access tokens that clients bring are checked: by asking the provider, or as signed tokens.")
        bearerAudience = read.string(
            "bearer_audience", help: "Whom such a token must be for; by default a signed one for client_id.")
    }
}

/// An agreement with a SAML 2.0 identity provider.
package struct SAMLSettings: Options {
    package static let section = "saml2"

    let baseURL: String, entityID: String, metadataFile: String
    let acceptsUnsolicited: Bool, acceptsSHA1: Bool
    let slack: Duration
    /// The file's content.
    var metadata: [UInt8] = []

    package init(_ read: inout OptionReader) {
        baseURL = read.base()
        entityID = read.string("entity_id", default: "", help: "What this cloud is called there.")
        if entityID.isEmpty { read.refuse("entity_id is missing.") }
        metadataFile = read.string(
            "metadata_file", default: "", help: "The provider's metadata: its name, addresses and certificates.")
        if metadataFile.isEmpty { read.refuse("metadata_file is missing.") }
        acceptsUnsolicited = read.bool(
            "unsolicited", default: false,
            help: "Whether assertions are taken that this cloud did not ask for; other clouds' users bring such.")
        acceptsSHA1 = read.bool(
            "sha1", default: false, help: "Whether SHA-1 signatures are taken, which upstream's Keystone makes.")
        slack = read.duration("clock_slack", default: .seconds(60), help: "How far the clocks may be apart.")
    }
}

extension RelyingParties {
    /// Whether nobody on the way can read along or answer instead: https, or this machine itself.
    static func isSafe(_ url: String) -> Bool {
        if url.hasPrefix("https://") { return true }
        guard url.hasPrefix("http://") else { return false }
        let rest = url.dropFirst(7)
        let host = rest.prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        guard !host.contains("@") else { return false }
        let name = host.hasPrefix("[") ? host.prefix { $0 != "]" } + "]" : host.prefix { $0 != ":" }
        return ["localhost", "127.0.0.1", "[::1]"].contains(String(name))
    }
}

extension OptionReader {
    fileprivate mutating func address(_ name: String, help: String) -> String {
        let text = string(name, default: "", help: help)
        if !RelyingParties.isSafe(text) { refuse("\(name) = '\(text)' is no https address.") }
        return text
    }

    fileprivate mutating func base() -> String {
        let text = string(
            "base_url", default: "", help: "This cloud's Identity as browsers reach it: https://cloud:5000/v3.")
        if !text.hasPrefix("https://"), !text.hasPrefix("http://") { refuse("base_url = '\(text)' is no address.") }
        return text.hasSuffix("/") ? String(text.dropLast()) : text
    }
}
