// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Simulation
import Testing

struct ConsoleProxyTests {
    static func get(
        _ path: String, query: String = "", headers: [(String, String)] = []
    ) -> HTTPRequest {
        HTTPRequest(method: "GET", path: path, query: query, headers: HTTPHeaders(headers))
    }

    static let handshake = [
        ("Host", "cloud.test:6080"), ("Upgrade", "websocket"), ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ]

    @Test("Only noVNC's own files are served, whatever the path says")
    func files() async throws {
        let root = try FileSystem.makeTemporaryDirectory("novnc")
        defer { FileSystem.remove(root) }
        try FileSystem.makeDirectory(root + "/novnc/core")
        try FileSystem.write("page", to: root + "/novnc/vnc_lite.html")
        try FileSystem.write("code", to: root + "/novnc/core/rfb.js")
        try FileSystem.write("secret", to: root + "/secret.html")
        let proxy = ConsoleProxy(try await ComputeCloud(hosts: 0).room, files: root + "/novnc")
        let page = await TestCloud.read(await proxy.handle(Self.get("/")))
        #expect(page.bytes == Array("page".utf8))
        #expect(page.header("Content-Type") == "text/html; charset=utf-8")
        #expect(await TestCloud.read(await proxy.handle(Self.get("/core/rfb.js"))).bytes == Array("code".utf8))
        for path in [
            "/../secret.html", "/%2e%2e/secret.html", "/core/..%2f..%2fsecret.html", "/core", "/none.js", "/%00.js",
        ] {
            #expect(await proxy.handle(Self.get(path)).status == 404, "\(path)")
        }
    }

    @Test("A console opens for a good token only, and not for another site's page")
    func tokens() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        let id = try await cloud.server()
        let proxy = ConsoleProxy(cloud.room)
        func open(_ query: String, _ more: [(String, String)] = []) async -> Int {
            await proxy.handle(Self.get("/", query: query, headers: Self.handshake + more)).status
        }
        let made = await cloud.act(id, ["os-getVNCConsole": ["type": "novnc"]])
        let token = String(made["console"]["url"]?.string?.suffix(36) ?? "")
        #expect(await open("") == 400)
        #expect(await open("token=\(id)") == 403)
        let handshake = Self.get("/", query: "token=\(id)", headers: Self.handshake)
        let refused = await TestCloud.read(await proxy.handle(handshake))
        #expect(refused.bytes.isEmpty)
        #expect(refused.header("Connection") == "close")
        #expect(await open("token=\(token)", [("Origin", "http://evil.test")]) == 403)
        // The fake has no screen behind its socket: a good token comes as far as that.
        #expect(await open("token=\(token)", [("Origin", "http://cloud.test:6080")]) == 503)
        #expect(await open("path=%3Ftoken%3D\(token)") == 503)
    }
}
