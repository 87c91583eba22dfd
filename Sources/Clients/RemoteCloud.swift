// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A cloud reached over HTTP as any client reaches it: a password for a token, the token's catalog for addresses.
package struct RemoteCloud: Sendable {
    /// Who logs in, and where: the `OS_*` variables of an openrc file.
    package struct Login: Sendable {
        package var authURL: String
        package var user: String
        package var password: String
        package var project: String
        package var userDomain = "Default"
        package var projectDomain = "Default"
        package var region: String?

        package init(authURL: String, user: String, password: String, project: String) {
            self.authURL = authURL
            self.user = user
            self.password = password
            self.project = project
        }

        /// As an openrc file leaves it in the environment.
        package static func environment() throws(Fault) -> Login {
            func need(_ name: String) throws(Fault) -> String {
                guard let value = Environment.variable(name), !value.isEmpty else {
                    throw .badRequest("\(name) is not set: source the cloud's openrc first")
                }
                return value
            }
            var login = Login(
                authURL: try need("OS_AUTH_URL"), user: try need("OS_USERNAME"), password: try need("OS_PASSWORD"),
                project: try need("OS_PROJECT_NAME"))
            login.userDomain = Environment.variable("OS_USER_DOMAIN_NAME") ?? login.userDomain
            login.projectDomain = Environment.variable("OS_PROJECT_DOMAIN_NAME") ?? login.projectDomain
            login.region = Environment.variable("OS_REGION_NAME")
            return login
        }
    }

    /// What a service answered.
    package struct Answer: Sendable {
        package let status: Int
        package let json: JSON

        package init(status: Int, json: JSON) {
            self.status = status
            self.json = json
        }
    }

    private static let patience = Duration.seconds(60)
    private let client: HTTPClient
    private let token: String
    private let catalog: JSON
    private let region: String?

    package init(_ login: Login, over client: HTTPClient) async throws(Fault) {
        let user: JSON = [
            "name": .string(login.user), "password": .string(login.password),
            "domain": ["name": .string(login.userDomain)],
        ]
        let body: JSON = [
            "auth": [
                "identity": ["methods": ["password"], "password": ["user": user]],
                "scope": [
                    "project": [
                        "name": .string(login.project), "domain": ["name": .string(login.projectDomain)],
                    ]
                ],
            ]
        ]
        var address = login.authURL
        while address.hasSuffix("/") { address.removeLast() }
        if !address.hasSuffix("/v3") { address += "/v3" }
        let reply = try await client.send(
            "POST", address + "/auth/tokens", headers: [("Content-Type", "application/json")], body: body.bytes(),
            timeout: RemoteCloud.patience)
        guard reply.status == 201, let token = reply.headers["X-Subject-Token"] else {
            throw Fault(reply.status, "\(address): \(ServiceClient.message(reply.body) ?? "no token was given")")
        }
        self.client = client
        self.token = token
        region = login.region
        catalog = (try? JSON.parse(reply.body, limits: .trusted))?["token"]?["catalog"] ?? []
    }

    /// The public address of a service.
    package func endpoint(_ type: String) throws(Fault) -> String {
        for service in catalog.array ?? [] where service["type"]?.string == type {
            for endpoint in service["endpoints"]?.array ?? [] where endpoint["interface"]?.string == "public" {
                if let region, endpoint["region_id"]?.string != region { continue }
                if let url = endpoint["url"]?.string { return url }
            }
        }
        throw .notFound("the catalog has no public endpoint of the \(type) service")
    }

    package func call(
        _ type: String, _ method: String, _ path: String, _ body: JSON? = nil, headers: [(String, String)] = []
    ) async throws(Fault) -> Answer {
        var sent = [("X-Auth-Token", token)] + headers
        if body != nil { sent.append(("Content-Type", "application/json")) }
        let reply = try await client.send(
            method, try endpoint(type) + path, headers: sent, body: body?.bytes() ?? [],
            timeout: RemoteCloud.patience, limit: 256 << 20)
        return Answer(status: reply.status, json: (try? JSON.parse(reply.body, limits: .trusted)) ?? .null)
    }
}
