// SPDX-License-Identifier: Apache-2.0
import Base
import HTTP
import Testing

struct HTTPTLSTests {
    /// Self-signed, for 127.0.0.1, good for a century; its key guards nothing.
    static let identity = TLSIdentity(
        certificate: """
            -----BEGIN CERTIFICATE-----
            MIIBmzCCAUGgAwIBAgIUNSh1G5Qnwr4cmLy0AiNZehOwDsMwCgYIKoZIzj0EAwIw
            FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMTAxNTYyMVoYDzIxMjYxMDI4
            MDE1NjIxWjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
            PQMBBwNCAASUMgMjf6iM/YSxwZc6sVwAGWrMxArwVwPmJ3XWRT5xQtk+tRkmTYG1
            Rzhb0i1va0HvTf85ix98xZM8OZp7r+c5o28wbTAdBgNVHQ4EFgQUJktDP1O1CRTh
            0DE/muMERGmpI+MwHwYDVR0jBBgwFoAUJktDP1O1CRTh0DE/muMERGmpI+MwDwYD
            VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
            zj0EAwIDSAAwRQIhAI+AqoXo4dTeKz56saT6vW0iOuvhb+CCIoOE7hBMIQ6sAiAb
            nAYGdjR9zUypA2SmH3n7iO+xCm4tV2V1+f5Lg0awtg==
            -----END CERTIFICATE-----
            """,
        key: """
            -----BEGIN PRIVATE KEY-----
            MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgtHpFL1gHpwRAHnT1
            SrpLQYBWfEEonFAX+eLXh/bBD/qhRANCAASUMgMjf6iM/YSxwZc6sVwAGWrMxArw
            VwPmJ3XWRT5xQtk+tRkmTYG1Rzhb0i1va0HvTf85ix98xZM8OZp7r+c5
            -----END PRIVATE KEY-----
            """)

    @Test("Requests, long bodies and streams go over TLS")
    func requests() async throws {
        let client = HTTPClient(threads: 1, verifiesPeers: false)
        let big = [UInt8](repeating: 0x62, count: 1_000_000)
        let handler: HTTPHandler = { request in
            guard request.path != "/stream" else {
                return HTTPResponse(
                    status: 200,
                    body: .stream(length: nil) { writer throws(Fault) in
                        for _ in 0..<3 { try await writer.write(big) }
                    })
            }
            #expect(request.secure && request.tag == "test")
            return await echo(request)
        }
        try await withServer(loops: 2, tls: Self.identity, handler: handler) { port, _ in
            let url = "https://127.0.0.1:\(port)"
            let small = try await client.send("GET", "\(url)/a", timeout: patience)
            #expect(String(decoding: small.body, as: UTF8.self) == "GET /a? ")
            let long = try await client.send("PUT", "\(url)/b", body: big, timeout: patience)
            #expect(long.body.count == big.count + 8)
            let streamed = try await client.send("GET", "\(url)/stream", timeout: patience)
            #expect(streamed.body.count == 3 * big.count)
        }
    }

    @Test("A certificate that is not trusted is refused, and plain text on a TLS port is not answered")
    func refusals() async throws {
        let client = HTTPClient(threads: 1)
        try await withServer(loops: 1, tls: Self.identity, handler: echo) { port, _ in
            await #expect(throws: Fault.self) {
                _ = try await client.send("GET", "https://127.0.0.1:\(port)/", timeout: patience)
            }
            try await talk { () throws(Fault) in
                let client = try RawClient(port)
                client.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                #expect(!String(decoding: try client.readAll(), as: UTF8.self).contains("HTTP/1.1"))
            }
        }
    }

    @Test("A key that does not fit is refused when the listener is opened")
    func wrongKey() throws {
        let server = try HTTPServer(loops: 1, handler: echo)
        #expect(throws: Fault.self) {
            try server.listen(
                host: "127.0.0.1", port: 0, tag: "x", tls: TLSIdentity(certificate: "none", key: "none"))
        }
    }
}
