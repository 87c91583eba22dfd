// SPDX-License-Identifier: Apache-2.0

/// What answers requests. It starts on the connection's event loop and must not block there.
package typealias HTTPHandler = @Sendable (HTTPRequest) async -> HTTPResponse

/// One request, from a socket or from another room in the same process.
package struct HTTPRequest: Sendable {
    package var method: String
    /// As it came, still percent-encoded, without the query. `%2F` is not a `/`.
    package var path: String
    /// What follows the first `?`, as it came.
    package var query: String
    package var headers: HTTPHeaders
    package var body: HTTPBody
    /// The address of the other end; empty for a call inside the process.
    package var peer: String
    package var peerPort: Int
    /// The local port it came in by.
    package var port: Int
    /// The tag of the listener that accepted the connection.
    package var tag: String
    /// Whether it came over TLS.
    package var secure: Bool
    /// What an in-process caller vouches for; the server never sets it.
    package var trusted: (any Sendable)?

    package init(
        method: String, path: String, query: String = "", headers: HTTPHeaders = [:], body: HTTPBody = .empty,
        peer: String = "", peerPort: Int = 0, port: Int = 0, tag: String = "", secure: Bool = false,
        trusted: (any Sendable)? = nil
    ) {
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body
        self.peer = peer
        self.peerPort = peerPort
        self.port = port
        self.tag = tag
        self.secure = secure
        self.trusted = trusted
    }
}
