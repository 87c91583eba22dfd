// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Consoles: what the guest wrote to its serial line, and addresses with which a browser reaches its screen.
struct ConsoleToken: Record {
    static let table = "compute_console_tokens"

    /// SHA-224 of the token: whoever reads the table cannot use it.
    let tokenHash: String
    let serverID: String
    let host: String
    let kind: String
    let expiresAt: Timestamp
}

extension ConsoleToken: Resource {
    static let routes: [Route] = [
        .action(
            ServerActions.path, "os-getConsoleOutput", "Show console output", of: Server.visible,
            allow: .member("os-console-output"), output, status: 200),
        old("os-getVNCConsole", "Get a VNC console", .vnc, .oneOf("novnc", "xvpvnc")),
        old("os-getSPICEConsole", "Get a SPICE console", .spice, .oneOf("spice-html5")),
        old("os-getSerialConsole", "Get a serial console", .serial, .oneOf("serial")),
        .post(
            "/servers/{server_id}/remote-consoles", "Create a console", of: Server.visible,
            allow: .member("os-remote-consoles"), create, status: 200, since: "2.6"),
        .get(
            "/os-console-auth-tokens/{token}", "Show a console's connection", of: Anything.from,
            allow: .adminOnly("os-console-auth-tokens"), show),
    ]

    static let migrations: [Migration] = [
        """
        2026-11-21 compute console tokens
        CREATE TABLE compute_console_tokens (
            token_hash VARCHAR(64) NOT NULL PRIMARY KEY, server_id VARCHAR(36) NOT NULL, host VARCHAR(255) NOT NULL,
            kind VARCHAR(32) NOT NULL, expires_at BIGINT NOT NULL);
        CREATE INDEX compute_console_tokens_expiry ON compute_console_tokens (expires_at)
        """
    ]

    /// How a console was asked for before 2.6: an action for each kind.
    private static func old(
        _ name: String, _ summary: String, _ kind: GuestConsoleKind, _ types: Format<String>
    ) -> Route {
        .action(
            ServerActions.path, name, summary, of: Server.visible, allow: .member("os-remote-consoles"),
            { request, server async throws(Fault) in
                var body = try request.body(name)
                let type = try body.need("type", types)
                try body.end()
                let url = try await open(kind, type, server, request)
                return .object("console") {
                    $0.put("type", type)
                    $0.put("url", url)
                }
            }, status: 200, until: "2.6")
    }

    static func hash(_ token: String) -> String { Digest.hex(.sha224, token) }

    /// The token's row while it is good.
    static func find(_ token: String, _ database: Database, at now: Timestamp) async throws(Fault) -> ConsoleToken? {
        try await database.first(ConsoleToken.self, "token_hash = \(hash(token)) AND expires_at > \(now)")
    }
}

// MARK: - Handlers

extension ConsoleToken {
    private static func output(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        var body = try request.body("os-getConsoleOutput")
        let asked = try body.option("length", .integer(-1...Int(Int32.max)))
        try body.end()
        guard let host = server.host else { throw .conflict("Instance \(server.id) is not ready") }
        let lines = asked.flatMap { $0 < 0 ? nil : $0 }
        let bytes = try await request.compute.hosts.find(host).consoleOutput(of: server.id, lines: lines)
        // As upstream: control characters other than tab and newline are left out.
        let clean = bytes.filter { $0 >= 32 || $0 == 9 || $0 == 10 }
        let text = String(decoding: clean, as: UTF8.self)
        return .bare { $0.put("output", text) }
    }

    private static func create(_ request: Request, _ server: Server) async throws(Fault) -> Reply {
        var body = try request.body("remote_console")
        let (protocols, types): (Format<String>, Format<String>) =
            request.version < "2.8"
            ? (.oneOf("vnc", "spice", "serial", "rdp"), .oneOf("novnc", "xvpvnc", "spice-html5", "serial", "rdp-html5"))
            : (
                .oneOf("vnc", "spice", "serial", "rdp", "mks"),
                request.version < "2.99"
                    ? .oneOf("novnc", "xvpvnc", "spice-html5", "serial", "rdp-html5", "webmks")
                    : .oneOf("novnc", "xvpvnc", "spice-html5", "spice-direct", "serial", "rdp-html5", "webmks")
            )
        let name = try body.need("protocol", protocols)
        let type = try body.need("type", types)
        try body.end()
        // Of RDP nothing but the name is left.
        guard let kind = GuestConsoleKind(rawValue: name) else {
            throw .badRequest("Unavailable console type \(name).")
        }
        let url = try await open(kind, type, server, request)
        return .object("remote_console") {
            $0.put("protocol", name)
            $0.put("type", type)
            $0.put("url", url)
        }
    }

    private static func show(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        guard request.version >= "2.31" else {
            throw .badRequest("The console auth tokens of this version were for RDP consoles only.")
        }
        guard let found = try await find(request["token"], request.database, at: request.now) else {
            throw .notFound("Token not found")
        }
        let endpoint = try await found.endpoint(request.compute)
        return .object("console") { view in
            view.put("instance_uuid", found.serverID)
            switch endpoint {
            case .tcp(let host, let port):
                view.put("host", host)
                view.put("port", port)
                view.put("tls_port", Int?.none, since: "2.99")
                view.put("internal_access_path", String?.none)
            case .unix(let path):
                view.put("host", found.host)
                view.put("port", 0)
                view.put("tls_port", Int?.none, since: "2.99")
                view.put("internal_access_path", path)
            }
        }
    }

    /// Writes a token that the console proxy knows, and answers the address that carries it.
    private static func open(
        _ kind: GuestConsoleKind, _ type: String, _ server: Server, _ request: Request
    ) async throws(Fault) -> String {
        let room = request.compute
        guard let host = server.host, server.vmState != .building else {
            throw .conflict("Instance \(server.id) is not ready")
        }
        if let task = server.taskState, [.deleting, .migrating].contains(task) {
            throw .serverState(server.id, "task_state", task.rawValue, "get_\(kind.rawValue)_console")
        }
        guard kind.isServed(room.options.life) else { throw .badRequest("Unavailable console type \(type).") }
        guard kind.types.contains(type) else { throw .badRequest("Invalid console type \(type)") }
        guard type != "spice-direct" || room.options.life.spiceListen != nil else {
            throw .badRequest("Unavailable console type \(type).")
        }
        let (token, now) = (request.ids.uuid(), request.now)
        let row = ConsoleToken(
            tokenHash: hash(token), serverID: server.id, host: host, kind: type,
            expiresAt: now + room.options.consoleTokenTTL)
        _ = try await row.endpoint(room)
        try await request.database.transaction { transaction throws(Fault) in
            _ = try transaction.delete(ConsoleToken.self, "expires_at <= \(now)")
            try transaction.insert(row)
        }
        guard type != "spice-direct" else { return room.options.life.spiceDirectURL + "?token=" + token }
        return kind.address(room.options.consoleURL, token)
    }

    /// Where the guest serves the console.
    func endpoint(_ room: ComputeService) async throws(Fault) -> ConsoleEndpoint {
        let driver = try room.hosts.find(host)
        guard let kind = GuestConsoleKind.allCases.first(where: { $0.types.contains(self.kind) }), kind != .vnc else {
            return try await driver.display(of: serverID)
        }
        guard let consoles = driver as? any GuestConsoles else {
            throw .badRequest("Unavailable console type \(self.kind).")
        }
        return try await consoles.console(kind, of: serverID)
    }
}

extension GuestConsoleKind {
    /// The types that each kind has left.
    fileprivate var types: [String] {
        switch self {
        case .vnc: ["novnc"]
        case .spice: ["spice-html5", "spice-direct"]
        case .serial: ["serial"]
        case .mks: ["webmks"]
        }
    }

    /// Screens by VNC are always there; MKS is another hypervisor's.
    fileprivate func isServed(_ options: LifeOptions) -> Bool {
        switch self {
        case .vnc: true
        case .spice: options.hasSPICE
        case .serial: options.hasSerialConsoles
        case .mks: false
        }
    }

    /// Pages for browsers; a serial line is a socket that a terminal opens itself.
    fileprivate func address(_ base: String, _ token: String) -> String {
        switch self {
        case .serial: base.replacing("http", with: "ws", maxReplacements: 1) + "/?token=" + token
        case .spice: base + "/spice_auto.html?token=" + token
        default: base + "/vnc_lite.html?path=%3Ftoken%3D" + token
        }
    }
}
