// SPDX-License-Identifier: Apache-2.0
internal import HTTP

/// Cross-origin requests from browsers: which pages elsewhere may call the APIs (W3C Fetch, CORS protocol).
package struct CORS: Sendable {
    private let origins: Set<String>

    /// - Parameter origins: `https://dashboard.example`, or `*` for any.
    package init(origins: [String]) { self.origins = Set(origins) }

    private func allows(_ origin: String) -> Bool { origins.contains("*") || origins.contains(origin) }

    /// The answer to a browser's question before the real request; nil when it is none, or nobody may ask.
    func preflight(_ http: HTTPRequest) -> HTTPResponse? {
        guard http.method == "OPTIONS", let origin = http.headers["Origin"], !origins.isEmpty,
            http.headers["Access-Control-Request-Method"] != nil
        else { return nil }
        var response = HTTPResponse(status: 200, headers: [], body: .empty)
        // A page from elsewhere is told nothing, which its browser understands.
        guard allows(origin) else { return response }
        mark(&response, http)
        response.headers.append(("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE"))
        response.headers.append(
            ("Access-Control-Allow-Headers", http.headers["Access-Control-Request-Headers"] ?? "X-Auth-Token"))
        response.headers.append(("Access-Control-Max-Age", "3600"))
        return response
    }

    func mark(_ response: inout HTTPResponse, _ http: HTTPRequest) {
        guard !origins.isEmpty, let origin = http.headers["Origin"], allows(origin) else { return }
        response.headers.append(("Access-Control-Allow-Origin", origin))
        response.headers.append(("Access-Control-Allow-Credentials", "true"))
        response.headers.append(
            (
                "Access-Control-Expose-Headers",
                "X-Auth-Token, X-Subject-Token, X-Openstack-Request-Id, Openstack-Api-Version"
            ))
        response.headers.append(("Vary", "Origin"))
    }
}
