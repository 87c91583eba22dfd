// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel

/// A login at a running cloud, for commands that ask it something: as the folder of `--data` says, or the environment
/// that `openrc` makes.
struct CloudSession {
    private let client: HTTPClient
    private let token: String
    private let compute: String

    static let flags = ["data"]

    init(_ flags: Flags) async throws(Fault) {
        var facts: [String: String] = [:]
        if let folder = flags["data"] {
            let path = FileSystem.absolute(folder) + "/openrc"
            guard let text = FileSystem.text(path) else {
                throw .badRequest("apus: \(path) cannot be read; is a cloud at home in \(folder)?")
            }
            for line in text.split(separator: "\n") where line.hasPrefix("export ") {
                let parts = line.dropFirst("export ".count).split(separator: "=", maxSplits: 1)
                if parts.count == 2 { facts[String(parts[0])] = String(parts[1]) }
            }
        }
        func fact(_ name: String) -> String? { facts[name] ?? Environment.variable(name) }
        guard let url = fact("OS_AUTH_URL"), let user = fact("OS_USERNAME"), let password = fact("OS_PASSWORD") else {
            throw .badRequest("apus: which cloud? Say --data DIR, or read its openrc first: . DIR/openrc")
        }
        client = HTTPClient(threads: 2, authorities: fact("OS_CACERT"))
        let body = CloudSession.login(
            user, password, fact("OS_USER_DOMAIN_NAME") ?? "Default", fact("OS_PROJECT_NAME") ?? "admin",
            fact("OS_PROJECT_DOMAIN_NAME") ?? "Default")
        let reply = try await client.send(
            "POST", url + "/auth/tokens", headers: [("Content-Type", "application/json")], body: body.bytes(),
            timeout: .seconds(30))
        let answer = try CloudSession.read(reply, "log in at \(url)")
        token = reply.headers["X-Subject-Token"] ?? ""
        let services = answer["token"]?["catalog"]?.array ?? []
        let endpoints = services.first { $0["type"] == "compute" }?["endpoints"]?.array ?? []
        guard let address = endpoints.first(where: { $0["interface"] == "public" })?["url"]?.string else {
            throw .badRequest("apus: the catalog at \(url) has no compute service")
        }
        compute = address
    }

    private static func login(
        _ user: String, _ password: String, _ userDomain: String, _ project: String, _ projectDomain: String
    ) -> JSON {
        [
            "auth": [
                "identity": [
                    "methods": ["password"],
                    "password": [
                        "user": [
                            "name": .string(user), "password": .string(password),
                            "domain": ["name": .string(userDomain)],
                        ]
                    ],
                ],
                "scope": ["project": ["name": .string(project), "domain": ["name": .string(projectDomain)]]],
            ]
        ]
    }

    /// Calls the compute service and answers the body; a refusal is thrown in the service's words.
    func call(_ method: String, _ path: String, _ body: JSON? = nil) async throws(Fault) -> JSON {
        let reply = try await client.send(
            method, compute + path,
            headers: [
                ("X-Auth-Token", token), ("Content-Type", "application/json"),
                ("OpenStack-API-Version", "compute \(ComputeService.index.versions.maximum)"),
            ], body: body?.bytes() ?? [], timeout: .seconds(300))
        return try CloudSession.read(reply, "\(method) \(path)")
    }

    private static func read(_ reply: HTTPClient.Reply, _ what: String) throws(Fault) -> JSON {
        let answer = (try? JSON.parse(reply.body, limits: .trusted)) ?? .null
        guard reply.status < 400 else {
            let said = answer.object?.first { _ in true }?.value["message"]?.string
            throw Fault(reply.status, "apus: \(what): \(reply.status) \(said ?? "")")
        }
        return answer
    }
}
