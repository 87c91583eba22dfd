// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Shows guests' screens and serial lines to browsers: serves noVNC and, where it is installed, SPICE's own client, and
/// copies bytes between its WebSocket and the hypervisor's console for whoever brings a token that the API gave out.
package struct ConsoleProxy: Sendable {
    private let room: ComputeService
    private let files: String
    private let spiceFiles: String

    /// - Parameters:
    ///   - files: where noVNC is installed.
    ///   - spiceFiles: where SPICE's client for browsers is.
    package init(
        _ room: ComputeService, files: String = "/usr/share/novnc", spiceFiles: String = "/usr/share/spice-html5"
    ) {
        self.room = room
        self.files = files
        self.spiceFiles = spiceFiles
    }

    package func handle(_ http: HTTPRequest) async -> HTTPResponse {
        do throws(Fault) {
            if http.headers.names("websocket", in: "Upgrade") { return try await session(http) }
            return try page(http)
        } catch {
            if error.status >= 500 { room.log.error("console", ["error": error.description, "path": http.path]) }
            if http.headers.names("websocket", in: "Upgrade") {
                // Whoever asked for a WebSocket reads frames, not sentences: the connection just ends.
                room.log.info("console refused", ["error": error.description, "peer": http.peer])
                return HTTPResponse(status: error.status, headers: [("Connection", "close")])
            }
            return HTTPResponse(
                status: error.status, headers: [("Content-Type", "text/plain; charset=utf-8")],
                body: .bytes(Array((error.message + "\n").utf8)))
        }
    }

    // MARK: - Sessions

    private func session(_ http: HTTPRequest) async throws(Fault) -> HTTPResponse {
        try ConsoleProxy.checkOrigin(http)
        guard let token = ConsoleProxy.token(http.query) else { throw .badRequest("The address carries no token.") }
        guard let found = try await ConsoleToken.find(token, room.database, at: room.clock.now()) else {
            throw .forbidden("The token is not good, or not any more: ask for the console again.")
        }
        let endpoint = try await found.endpoint(room)
        let guest: StreamSocket
        switch endpoint {
        case .unix(let path): guest = try await .unix(path: path)
        case .tcp(let host, let port): guest = try await .tcp(host: host, port: port)
        }
        room.log.info("console opened", ["server": found.serverID, "peer": http.peer])
        return WebSocketConnection.accept(http, protocols: ["binary"]) { browser in
            await ConsoleProxy.copy(browser, guest)
        }
    }

    /// Copies both ways until either end is gone.
    private static func copy(_ browser: WebSocketConnection, _ guest: StreamSocket) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask {
                do throws(Fault) {
                    while let message = try await browser.receive() { try await guest.write(message.bytes) }
                } catch {
                    // An end that broke is an end: the other one is closed below.
                }
            }
            group.addTask {
                do throws(Fault) {
                    while let bytes = try await guest.read() { try await browser.send(binary: bytes) }
                } catch {
                    // As above.
                }
            }
            await group.next()
            guest.close()
            await browser.close()
            await group.waitForAll()
        }
    }

    /// The token as clients send it: `token=`, or inside `path=` as noVNC's page carries it.
    static func token(_ query: String) -> String? {
        guard let pairs = QueryString.parse(query) else { return nil }
        if let token = pairs.first(where: { $0.0 == "token" })?.1, !token.isEmpty { return token }
        guard let path = pairs.first(where: { $0.0 == "path" })?.1, let mark = path.firstIndex(of: "?") else {
            return nil
        }
        return token(String(path[path.index(after: mark)...]))
    }

    /// A page of another site must not use a token that it got hold of.
    private static func checkOrigin(_ http: HTTPRequest) throws(Fault) {
        guard let origin = http.headers["Origin"], let scheme = origin.ranges(of: "://").first else { return }
        let host = name(origin[scheme.upperBound...])
        guard host == name((http.headers["Host"] ?? "")[...]) else {
            throw .forbidden("The page comes from \(host), which is not this proxy.")
        }
    }

    /// A host without its port.
    private static func name(_ text: Substring) -> Substring {
        if text.hasPrefix("[") { return text.prefix { $0 != "]" } }
        return text.prefix { $0 != ":" && $0 != "/" }
    }
}

// MARK: - noVNC's files

extension ConsoleProxy {
    private static let types = [
        "html": "text/html; charset=utf-8", "js": "text/javascript; charset=utf-8", "css": "text/css; charset=utf-8",
        "svg": "image/svg+xml", "png": "image/png", "ico": "image/x-icon", "json": "application/json",
        "oga": "audio/ogg", "mp3": "audio/mpeg", "ttf": "font/ttf", "woff": "font/woff",
    ]

    private func page(_ http: HTTPRequest) throws(Fault) -> HTTPResponse {
        guard http.method == "GET" || http.method == "HEAD" else {
            throw Fault(405, "Only GET is answered here.", headers: ["Allow": "GET, HEAD"])
        }
        var names: [String] = []
        for part in http.path.split(separator: "/") {
            guard let name = Percent.decode(part), name != "..", name != ".", !name.contains("/"), !name.contains("\\"),
                !name.contains("\0"), !name.hasPrefix(".")
            else { throw .notFound("No such page.") }
            names.append(name)
        }
        if names.isEmpty { names = ["vnc_lite.html"] }
        guard let ending = names.last?.split(separator: ".").last, let type = ConsoleProxy.types[String(ending)] else {
            throw .notFound("No such page.")
        }
        guard FileSystem.isDirectory(files) else {
            throw .unavailable("noVNC is not installed: the package novnc puts it into \(files).")
        }
        let name = "/" + names.joined(separator: "/")
        let folder = FileSystem.exists(files + name) ? files : spiceFiles
        let path = folder + name
        guard !FileSystem.isDirectory(path) else { throw .notFound("No such page.") }
        let file = try OpenFile.reading(path)
        return HTTPResponse(
            status: 200, headers: [("Content-Type", type), ("X-Content-Type-Options", "nosniff")],
            body: .file(file, offset: 0, length: file.size))
    }
}
