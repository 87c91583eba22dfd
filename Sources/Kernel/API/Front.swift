// SPDX-License-Identifier: Apache-2.0
package import Access
package import Base
package import HTTP
internal import JSON
package import Observability

/// A caller handed over inside the process, by one room to another; never read from a socket.
package struct TrustedCaller: Sendable {
    package let caller: Caller
    package let requestID: String

    package init(_ caller: Caller, requestID: String) {
        self.caller = caller
        self.requestID = requestID
    }
}

/// A service that is open for requests.
package struct OpenService: Sendable {
    package let index: ServiceIndex
    let service: any Service
    let provisions: Provisions
    let router: Router

    package init(_ service: any Service, _ provisions: Provisions) {
        index = type(of: service).index
        self.service = service
        self.provisions = provisions
        router = Router(index, provisions.policy)
    }
}

/// Everything between the socket and the handlers: finds the service, the version, the caller, the route; answers
/// faults in the service's words.
package final class Front: Sendable {
    private let services: [String: OpenService]
    private let mounts: [(prefix: String, service: OpenService)]
    private let authority: any Authority
    private let ids: any Identifiers
    private let log: Log
    private let requests: RequestMetrics
    private let cors: CORS
    /// Paths that belong to no service (`/metrics`, consoles, the dashboard), by prefix.
    private let pages: [(prefix: String, handler: HTTPHandler)]

    package init(
        _ services: [OpenService], authority: any Authority, ids: any Identifiers, log: Log, metrics: Metrics,
        cors: CORS = CORS(origins: []), pages: [(prefix: String, handler: HTTPHandler)] = []
    ) {
        self.services = Dictionary(uniqueKeysWithValues: services.map { ($0.index.type, $0) })
        mounts = services.map { ($0.index.mount, $0) }
        self.authority = authority
        self.ids = ids
        self.log = log
        requests = RequestMetrics(metrics)
        self.cors = cors
        self.pages = pages
    }

    /// Answers a request by the tag of the listener it came through: a service's type, or `gateway` for all of them.
    package func handle(_ http: HTTPRequest) async -> HTTPResponse {
        let watch = Stopwatch()
        if let preflight = cors.preflight(http) { return preflight }
        var response: HTTPResponse
        if let page = pages.first(where: { Front.isUnder(http.path, $0.prefix) && http.tag == "gateway" }) {
            response = await page.handler(http)
        } else if let (service, request, prefix) = place(http) {
            response = await answer(request, by: service, prefix: prefix)
            requests.observe(service.index.type, http.method, response.status, watch.elapsed)
        } else {
            response = HTTPResponse(
                status: 404, headers: [("Content-Type", "text/plain; charset=utf-8")],
                body: .bytes(Array("No service answers at this path; see / for those that do.\n".utf8)))
        }
        cors.mark(&response, http)
        return response
    }

    /// A request from inside the process to a service by its type.
    package func call(_ type: String, _ http: HTTPRequest) async -> HTTPResponse {
        guard let service = services[type] else {
            return HTTPResponse(status: 503, headers: [], body: .bytes(Array("no service \(type) here".utf8)))
        }
        return await answer(http, by: service, prefix: "")
    }

    package var indexes: [ServiceIndex] { services.values.map(\.index).sorted { $0.type < $1.type } }

    private static func isUnder(_ path: String, _ prefix: String) -> Bool {
        path == prefix
            || (path.hasPrefix(prefix) && (prefix.hasSuffix("/") || path.dropFirst(prefix.count).first == "/"))
    }

    private func place(_ http: HTTPRequest) -> (OpenService, HTTPRequest, String)? {
        if let service = services[http.tag] { return (service, http, "") }
        guard http.tag == "gateway",
            let (prefix, service) = mounts.first(where: { Front.isUnder(http.path, $0.prefix) })
        else { return nil }
        var inner = http
        inner.path = String(http.path.dropFirst(prefix.count))
        if inner.path.isEmpty { inner.path = "/" }
        return (service, inner, prefix)
    }
}

// MARK: - One request

extension Front {
    private func answer(_ http: HTTPRequest, by service: OpenService, prefix: String) async -> HTTPResponse {
        let trusted = http.trusted as? TrustedCaller
        let id = trusted?.requestID ?? "req-" + ids.uuid()
        let place = PlacedPath(http.path, service.index)
        var version = service.index.versions.minimum
        var isNegotiated = false
        var response: HTTPResponse
        do {
            if !place.isOld { version = try negotiate(http, service.index) }
            isNegotiated = true
            response = try await serve(
                http, at: place, by: service, prefix: prefix, version: version, id: id, trusted: trusted)
        } catch {
            if error.status >= 500 {
                service.provisions.log.error(
                    "request failed",
                    [
                        "request_id": id, "service": service.index.type, "method": http.method, "path": http.path,
                        "status": error.status, "error": error.description,
                    ])
            }
            response = service.index.envelope.response(
                error, requestID: id, at: isNegotiated ? version : nil, accept: http.headers["Accept"])
        }
        finish(&response, service.index, place.isOld ? nil : version, id)
        return response
    }

    private func serve(
        _ http: HTTPRequest, at place: PlacedPath, by service: OpenService, prefix: String, version: Microversion,
        id: String, trusted: TrustedCaller?
    ) async throws(Fault) -> HTTPResponse {
        let index = service.index
        guard let match = try service.router.find(http.method, place.path), !Front.isNameless(place.path, index) else {
            if !index.envelope.revealsPaths { _ = try await caller(http, trusted) }
            throw .notFound("The resource could not be found.")
        }
        guard let first = match.routes.first else {
            throw Fault(
                405, "The method \(http.method) is not allowed for this resource.",
                headers: ["Allow": match.allow.joined(separator: ", ")])
        }
        let caller = first.route.isOpen ? Caller.nobody : try await caller(http, trusted)
        guard caller.reaches(index.type, http.method, place.path) else { throw .unauthorized() }
        if !first.route.isOpen { try place.admit(caller.projectID) }
        if !match.hasActions {
            // A call that this version lacks is not there, whatever is sent to it.
            guard let living = match.pick(version, nil)?.route else {
                throw .notFound("The resource could not be found.")
            }
            try index.envelope.admission?(http, living, version)
        }
        let json = first.route.payload == .json ? try await document(http, index) : nil
        guard let bound = match.pick(version, json) else {
            if match.hasActions { throw .badRequest("There is no such action: \(Front.actionName(json))") }
            throw .notFound("The resource could not be found.")
        }
        let route = bound.route
        let request = Request(
            http: http, caller: caller, version: version, id: id, json: json,
            root: Front.origin(http) + prefix, place: place, index: index, service: service.service,
            provisions: service.provisions, route: bound, parameters: match.parameters,
            queries: http.query.isEmpty ? [] : try Front.queries(http.query))
        let response = try await Front.carryOut(request, route, service)
        if http.method != "GET", http.method != "HEAD" {
            service.provisions.log.info(
                route.summary,
                [
                    "request_id": id, "service": index.type, "method": http.method, "path": http.path,
                    "status": response.status, "user_id": caller.userID, "project_id": caller.projectID ?? "",
                ])
        }
        return response
    }

    /// Answers, and tells a service that watches what came of a changing call.
    private static func carryOut(
        _ request: Request, _ route: Route, _ service: OpenService
    ) async throws(Fault) -> HTTPResponse {
        let method = request.http.method
        let watcher = (service.service as? any CallWatcher).flatMap {
            type(of: $0).hears(method, route.path) ? $0 : nil
        }
        guard let watcher else {
            return try await route.answer(request).response(status: route.status.at(request.version), request)
        }
        let begun = BegunCall(request: request, method: method, path: route.path)
        let watched = watcher.database(for: begun).map { Request(request, on: $0) } ?? request
        do {
            let response = try await route.answer(watched).response(
                status: route.status.at(request.version), watched)
            await watcher.ended(
                EndedCall(
                    request: request, method: method, path: route.path, outcome: .success(response),
                    notes: begun.notes))
            return response
        } catch {
            await watcher.ended(
                EndedCall(
                    request: request, method: method, path: route.path, outcome: .failure(error), notes: begun.notes))
            throw error
        }
    }

    /// Whether a path ends in an empty segment that the service takes for a name. Roots are written either way.
    private static func isNameless(_ path: String, _ index: ServiceIndex) -> Bool {
        !index.envelope.ignoresFinalSlash && path.hasSuffix("/") && Router.split(path).count > 1
    }

    private func caller(_ http: HTTPRequest, _ trusted: TrustedCaller?) async throws(Fault) -> Caller {
        if let trusted { return trusted.caller }
        guard let token = http.headers["X-Auth-Token"], !token.isEmpty else { throw .unauthorized() }
        return try await authority.caller(token: token)
    }

    private func document(_ http: HTTPRequest, _ index: ServiceIndex) async throws(Fault) -> JSON? {
        if http.body.contentLength == 0 { return nil }
        let bytes = try await http.body.collect(limit: index.bodyLimit)
        guard !bytes.isEmpty else { return nil }
        if let type = http.headers["Content-Type"], type != "application/json", !type.lowercased().contains("json") {
            throw .unsupportedMedia("Unsupported Content-Type: send application/json, not \(type).")
        }
        do {
            return try JSON.parse(bytes)
        } catch {
            let reason = "\(error.message) at byte \(error.offset)."
            throw index.wording.malformed?(reason) ?? .badRequest("Malformed request body: " + reason)
        }
    }

    private static func queries(_ raw: String) throws(Fault) -> [(String, String)] {
        guard let pairs = QueryString.parse(raw) else {
            throw .badRequest("The query string is not valid percent-encoded UTF-8.")
        }
        return pairs
    }

    private static func actionName(_ json: JSON?) -> String {
        json?.object?.keys.first ?? "(the body names none)"
    }

    /// `http://host:port`, as the client addressed us.
    private static func origin(_ http: HTTPRequest) -> String {
        (http.secure ? "https://" : "http://") + (http.headers["Host"] ?? "localhost:\(http.port)")
    }

    private func finish(_ response: inout HTTPResponse, _ index: ServiceIndex, _ version: Microversion?, _ id: String) {
        response.headers.append(("X-Openstack-Request-Id", id))
        if let name = index.versions.legacyRequestID { response.headers.append((name, id)) }
        if let vary = index.envelope.vary { response.headers.append(("Vary", vary)) }
        guard let type = index.versions.headerType, let version else { return }
        response.headers.append(("OpenStack-API-Version", "\(type) \(version)"))
        var vary = "OpenStack-API-Version"
        if let legacy = index.versions.legacyHeader {
            response.headers.append((legacy, version.description))
            vary += ", \(legacy)"
        }
        response.headers.append(("Vary", vary))
    }

    /// The version a client asks for in `OpenStack-API-Version: compute 2.1` or the service's older header.
    private func negotiate(_ http: HTTPRequest, _ index: ServiceIndex) throws(Fault) -> Microversion {
        let history = index.versions
        guard let type = history.headerType else { return history.minimum }
        var asked: String?
        for value in http.headers.all("OpenStack-API-Version") {
            for part in value.split(separator: ",") {
                let words = part.split(separator: " ")
                if words.count == 2, words[0] == type { asked = String(words[1]) }
            }
        }
        if asked == nil, let legacy = history.legacyHeader { asked = http.headers[legacy] }
        guard let asked else { return history.minimum }
        if asked == "latest" { return history.maximum }
        guard let version = Microversion(asked) else {
            throw index.envelope.versionMisspelt(asked)
        }
        guard version >= history.minimum, version <= history.maximum else {
            throw index.envelope.versionRefusal(asked, history)
        }
        return version
    }
}
