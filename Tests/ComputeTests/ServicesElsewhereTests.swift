// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel
import Synchronization
import Testing

@testable import Compute

/// Services that another program runs, as rooms reach them.
struct ServicesElsewhereTests {
    private struct Desk: IdentityDesk {
        let place: String?

        func token(for caller: Caller) -> String { "token of \(caller.userID)" }
        func token(ofService name: String) -> String { "token of \(name)" }
        func address(of types: [String], interface: String, region: String?) -> String? { place }
    }

    /// A server that says what it was sent.
    private static func with(
        _ answer: @escaping @Sendable (HTTPRequest) -> HTTPResponse, _ body: (Int) async throws -> Void
    ) async throws {
        let server = try HTTPServer { request in answer(request) }
        let port = try server.listen(host: "127.0.0.1", port: 0, tag: "volumes")
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await server.run() }
            try await body(port)
            group.cancelAll()
        }
    }

    private static func storage(_ place: String?) -> BlockStorageClient {
        let inside = InProcess { nil }
        let options = BlockStorageOptions()
        return BlockStorageClient(
            over: ServicesElsewhere([options.place], as: "nova", desk: Desk(place: place), or: inside),
            as: Caller(userID: "alice", projectID: "p1"))
    }

    @Test("A call goes to the catalog's address without its project, with the caller's token and the service's")
    func headers() async throws {
        let seen = Mutex<[HTTPRequest]>([])
        try await Self.with({ request in
            seen.withLock { $0.append(request) }
            return HTTPResponse(status: 200, body: .bytes(Array(#"{"volume": {"id": "v", "size": 3}}"#.utf8)))
        }) { port in
            for end in ["/v3/$(project_id)s", "/v3/%(tenant_id)s", "/v3", "/v3/p1"] {
                let found = try await Self.storage("http://127.0.0.1:\(port)\(end)").volume("v", requestID: "req-1")
                #expect(found?.size == 3)
            }
        }
        let requests = seen.withLock { $0 }
        #expect(requests.map(\.path) == Array(repeating: "/v3/volumes/v", count: 4))
        let headers = try #require(requests.first?.headers)
        #expect(headers["X-Auth-Token"] == "token of alice" && headers["X-Service-Token"] == "token of nova")
        #expect(headers["OpenStack-API-Version"] == "volume 3.67" && headers["X-OpenStack-Request-ID"] == "req-1")
    }

    @Test("A service that is down, or does not take our tokens, is not one that is missing")
    func trouble() async throws {
        for status in [401, 503] {
            try await Self.with({ _ in HTTPResponse(status: status, body: .bytes(Array("<html>".utf8))) }) { port in
                let refused = await #expect(throws: Fault.self) {
                    try await Self.storage("http://127.0.0.1:\(port)/v3").volume("v", requestID: "req-1")
                }
                #expect(refused?.status == 503 && refused?.message.contains("answered with \(status)") == true)
            }
        }
        let gone = try await Self.storage("http://127.0.0.1:1/v3").catching()
        #expect(gone?.status == 503)
        #expect(try await Self.storage(nil).volume("v", requestID: "req-1") == nil, "no such service in this cloud")
    }

    @Test("An attachment's connection is read as Cinder tells it, the kind among its members")
    func connections() async throws {
        let text = #"""
            {"attachment": {"id": "a", "volume_id": "v", "instance": "s", "connection_info": {
            "driver_volume_type": "rbd", "name": "volumes/v", "hosts": ["h"], "ports": ["1"], "auth_enabled": false,
            "attachment_id": "a", "encrypted": false}}}
            """#
        try await Self.with({ _ in HTTPResponse(status: 200, body: .bytes(Array(text.utf8))) }) { port in
            let storage = Self.storage("http://127.0.0.1:\(port)/v3")
            let held = try await storage.connect("a", ["host": "h"], requestID: "req-1")
            #expect(
                try VolumeConnection(held.connection)
                    == .rbd(name: "volumes/v", monitors: [.init(host: "h", port: 1)], user: nil, secret: nil))
            #expect(!VolumeConnection.isEncrypted(held.connection))
        }
    }
}

extension BlockStorageClient {
    fileprivate func catching() async throws -> Fault? {
        do throws(Fault) { _ = try await volume("v", requestID: "req-1") } catch { return error }
        return nil
    }
}
