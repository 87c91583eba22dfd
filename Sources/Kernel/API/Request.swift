// SPDX-License-Identifier: Apache-2.0
package import Access
package import Base
package import HTTP
package import JSON
package import Observability
package import SQL

/// What every request of a service may use, put together once when the service is opened.
package struct Provisions: Sendable {
    package let database: Database
    package let clock: any WallClock
    package let ids: any Identifiers
    package let log: Log
    package let metrics: Metrics
    package let policy: Policy

    package init(
        database: Database, clock: any WallClock, ids: any Identifiers, log: Log, metrics: Metrics, policy: Policy
    ) {
        self.database = database
        self.clock = clock
        self.ids = ids
        self.log = log
        self.metrics = metrics
        self.policy = policy
    }
}

/// A request that has a route, a version and a caller.
package final class Request: Sendable {
    package let http: HTTPRequest
    package let caller: Caller
    package let version: Microversion
    /// `req-<uuid>`, in the answer's `X-Openstack-Request-Id`, the log and every operation it starts.
    package let id: String
    /// The body as JSON; nil when there was none.
    package let json: JSON?
    /// The service's own address as this client sees it, without a trailing slash: `http://host:8774/v2.1`.
    package let endpoint: String
    /// The same without the base: `http://host:8774`.
    package let root: String
    /// How the path was written.
    let place: PlacedPath
    package let index: ServiceIndex
    let provisions: Provisions
    private let service: any Service
    private let route: BoundRoute
    private let parameters: [(name: String, value: String)]
    package let queries: [(String, String)]

    init(
        http: HTTPRequest, caller: Caller, version: Microversion, id: String, json: JSON?, root: String,
        place: PlacedPath, index: ServiceIndex, service: any Service, provisions: Provisions,
        route: BoundRoute, parameters: [(name: String, value: String)], queries: [(String, String)]
    ) {
        self.http = http
        self.caller = caller
        self.version = version
        self.id = id
        self.json = json
        self.root = root
        endpoint = root + place.base
        self.place = place
        self.index = index
        self.service = service
        self.route = route
        self.provisions = provisions
        self.parameters = parameters
        self.queries = queries
    }

    /// The same request, carried out on a database that tells of what it does.
    convenience init(_ other: Request, on database: Database) {
        let old = other.provisions
        self.init(
            http: other.http, caller: other.caller, version: other.version, id: other.id, json: other.json,
            root: other.root, place: other.place, index: other.index, service: other.service,
            provisions: Provisions(
                database: database, clock: old.clock, ids: old.ids, log: old.log, metrics: old.metrics,
                policy: old.policy),
            route: other.route, parameters: other.parameters, queries: other.queries)
    }

    /// Made when asked for: most requests have nothing to say.
    package var log: Log { provisions.log.with(["request_id": id]) }
    package var database: Database { provisions.database }
    package var clock: any WallClock { provisions.clock }
    package var ids: any Identifiers { provisions.ids }
    package var now: Timestamp { provisions.clock.now() }

    /// A parameter of the path, decoded. The router guarantees the ones its pattern names.
    package subscript(_ name: String) -> String {
        for parameter in parameters where parameter.name == name { return parameter.value }
        preconditionFailure("the route has no parameter \(name)")
    }

    /// The room that answers, with the ports it was opened with.
    package func room<Room: Service>(_ type: Room.Type) -> Room {
        guard let room = service as? Room else { preconditionFailure("\(type) does not own this route") }
        return room
    }
}

// MARK: - Query

extension Request {
    /// A query parameter's first value; nil when absent or when the client's version is too old for it.
    package func query(_ name: String, since: Microversion? = nil) -> String? {
        if let since, version < since { return nil }
        for (key, value) in queries where key == name { return value }
        return nil
    }

    /// Every value of a query parameter that may be repeated.
    package func queryAll(_ name: String) -> [String] { queries.filter { $0.0 == name }.map(\.1) }

    /// The names of all query parameters, as they come.
    package var queryNames: [String] { queries.map(\.0) }

    package func header(_ name: String) -> String? { http.headers[name] }

    /// A yes or no in the query, in any of oslo's spellings; `present` is what the bare name means.
    package func flag(_ name: String, since: Microversion? = nil, present: Bool = true) throws(Fault) -> Bool? {
        guard let text = query(name, since: since) else { return nil }
        if text.isEmpty { return present }
        guard let value = Format<Bool>.truth(text) else {
            throw index.wording.invalid(name, .string(text), "'\(text)' is not a boolean")
        }
        return value
    }
}

// MARK: - Body

extension Request {
    /// The object under the body's one key: `{"keypair": {...}}`.
    package func body(_ wrapper: String) throws(Fault) -> Body {
        guard case .object(let outer)? = json else {
            throw index.wording.missing(wrapper)
        }
        guard let inner = outer[wrapper] else { throw index.wording.missing(wrapper) }
        guard case .object(let object) = inner else {
            throw index.wording.invalid(wrapper, inner, "\(inner.text()) is not of type 'object'")
        }
        return Body(object, path: "", request: self)
    }

    /// The body itself, for services that do not wrap it.
    package func body() throws(Fault) -> Body {
        guard let json else {
            if let malformed = index.wording.malformed { throw malformed("Expecting value: line 1 column 1 (char 0)") }
            return Body(JSONObject(), path: "", request: self)
        }
        guard case .object(let object) = json else {
            throw index.wording.invalid("body", json, "\(json.text()) is not of type 'object'")
        }
        return Body(object, path: "", request: self)
    }
}

// MARK: - Policy

extension Request {
    /// Whether the caller passes the rule, by its name without the service's prefix.
    package func may(_ rule: String, on target: some PolicyTarget) -> Bool {
        provisions.policy.allows(index.ruleName(rule), caller, target)
    }

    /// The rule of the route itself, looked up when the service was opened.
    func requireRule(on target: some PolicyTarget) throws(Fault) {
        guard let handle = route.handle else { return }
        guard provisions.policy.allows(handle, caller, target) else {
            throw index.envelope.refusal(index.ruleName(route.route.ruleName))
        }
    }
}
