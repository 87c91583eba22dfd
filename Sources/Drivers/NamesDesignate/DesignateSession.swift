// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Calls to Designate with a token that is got anew when it is refused.
actor DesignateSession {
    /// In whose name a call is made.
    enum Role: Sendable {
        /// The project's own zones.
        case project(String)
        /// Zones of all projects, with what the cloud keeps in them.
        case everybody
    }

    private static let patience = Duration.seconds(30)
    private let url: String
    private let login: DesignateOptions.Login
    private let client: HTTPClient
    private var token: String?

    init(_ url: String, _ login: DesignateOptions.Login, _ client: HTTPClient) {
        var url = url
        while url.hasSuffix("/") { url.removeLast() }
        self.url = url.hasSuffix("/v2") ? url : url + "/v2"
        self.login = login
        self.client = client
    }

    /// What the service answered, whatever its status; a service that cannot be asked is a fault.
    func call(
        _ method: String, _ path: String, _ body: JSON? = nil, as role: Role
    ) async throws(Fault) -> (status: Int, json: JSON) {
        for _ in 0..<2 {
            var headers = [("X-Auth-Token", try await current())]
            switch role {
            case .project(let id) where !id.isEmpty: headers.append(("X-Auth-Sudo-Project-ID", id))
            default:
                headers.append(("X-Auth-All-Projects", "true"))
                headers.append(("X-Designate-Edit-Managed-Records", "true"))
            }
            if body != nil { headers.append(("Content-Type", "application/json")) }
            let reply = try await client.send(
                method, url + path, headers: headers, body: body?.bytes() ?? [], timeout: DesignateSession.patience)
            if reply.status == 401 {
                token = nil
                continue
            }
            guard reply.status < 500, reply.status != 429 else {
                throw .unavailable("Designate answered \(method) \(path) with \(reply.status).")
            }
            return (reply.status, (try? JSON.parse(reply.body, limits: .trusted)) ?? .null)
        }
        throw .unavailable("Designate does not take the token of \(login.user).")
    }

    private func current() async throws(Fault) -> String {
        if let token { return token }
        let user: JSON = [
            "name": .string(login.user), "password": .string(login.password),
            "domain": ["name": .string(login.userDomain)],
        ]
        let project: JSON = ["name": .string(login.project), "domain": ["name": .string(login.projectDomain)]]
        let body: JSON = [
            "auth": [
                "identity": ["methods": ["password"], "password": ["user": user]], "scope": ["project": project],
            ]
        ]
        var address = login.authURL
        while address.hasSuffix("/") { address.removeLast() }
        if !address.hasSuffix("/v3") { address += "/v3" }
        let reply = try await client.send(
            "POST", address + "/auth/tokens", headers: [("Content-Type", "application/json")], body: body.bytes(),
            timeout: DesignateSession.patience)
        guard reply.status == 201, let fresh = reply.headers["X-Subject-Token"] else {
            throw .unavailable("\(address) gave no token to \(login.user): status \(reply.status).")
        }
        token = fresh
        return fresh
    }
}
