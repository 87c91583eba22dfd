// SPDX-License-Identifier: Apache-2.0
package import Access
internal import Base

/// What a service offers at one path and method, as a sentence: path, purpose, target, rule, handler, status.
/// The list of them is the contract; the API reference and the policy sample are generated from it.
package struct Route: Sendable {
    package let method: String
    package let path: String
    package let summary: String
    /// The rule's name without the service's prefix; empty for an open route.
    package let ruleName: String
    package let ruleCheck: String
    package let ruleScopes: TokenScopes?
    package let isOpen: Bool
    package let status: Status
    /// The versions in which the route exists.
    package let since: Microversion?
    package let until: Microversion?
    /// The body key that picks this route among those of one path: `os-start`.
    package let action: String?
    package let payload: Payload
    let answer: @Sendable (Request) async throws(Fault) -> Reply

    /// What the kernel does with the request's body before the handler runs.
    package enum Payload: Sendable {
        /// Read whole and parsed as JSON (refused when it is none), up to the service's limit.
        case json
        /// Left to the handler, which reads `request.http.body`.
        case stream
    }
}

extension Route {
    /// The general form. The target is found, the rule is judged on it, then the handler runs.
    package init<Target: PolicyTarget>(
        _ method: String, _ path: String, _ summary: String, of find: @escaping Finder<Target>,
        allow rule: Rule<Target>,
        _ handle: @escaping Handler<Target>, status: Status, since: Microversion? = nil, until: Microversion? = nil,
        action: String? = nil, payload: Payload = .json
    ) {
        self.method = method
        self.path = path
        self.summary = summary
        ruleName = rule.name
        ruleCheck = rule.check
        ruleScopes = rule.scopes
        isOpen = rule.isOpen
        self.status = status
        self.since = since
        self.until = until
        self.action = action
        self.payload = payload
        let open = rule.isOpen
        answer = { request async throws(Fault) in
            let target = try await find(request)
            if !open { try request.requireRule(on: target) }
            return try await handle(request, target)
        }
    }

    package static func get<Target: PolicyTarget>(
        _ path: String, _ summary: String, of find: @escaping Finder<Target>, allow rule: Rule<Target>,
        _ handle: @escaping Handler<Target>, status: Status = 200, since: Microversion? = nil,
        until: Microversion? = nil
    ) -> Route {
        Route("GET", path, summary, of: find, allow: rule, handle, status: status, since: since, until: until)
    }

    package static func post<Target: PolicyTarget>(
        _ path: String, _ summary: String, of find: @escaping Finder<Target>, allow rule: Rule<Target>,
        _ handle: @escaping Handler<Target>, status: Status = 201, since: Microversion? = nil,
        until: Microversion? = nil, payload: Payload = .json
    ) -> Route {
        Route(
            "POST", path, summary, of: find, allow: rule, handle, status: status, since: since, until: until,
            payload: payload)
    }

    package static func put<Target: PolicyTarget>(
        _ path: String, _ summary: String, of find: @escaping Finder<Target>, allow rule: Rule<Target>,
        _ handle: @escaping Handler<Target>, status: Status = 200, since: Microversion? = nil,
        until: Microversion? = nil, payload: Payload = .json
    ) -> Route {
        Route(
            "PUT", path, summary, of: find, allow: rule, handle, status: status, since: since, until: until,
            payload: payload)
    }

    package static func patch<Target: PolicyTarget>(
        _ path: String, _ summary: String, of find: @escaping Finder<Target>, allow rule: Rule<Target>,
        _ handle: @escaping Handler<Target>, status: Status = 200, since: Microversion? = nil,
        until: Microversion? = nil, payload: Payload = .json
    ) -> Route {
        Route(
            "PATCH", path, summary, of: find, allow: rule, handle, status: status, since: since, until: until,
            payload: payload)
    }

    package static func delete<Target: PolicyTarget>(
        _ path: String, _ summary: String, of find: @escaping Finder<Target>, allow rule: Rule<Target>,
        _ handle: @escaping Handler<Target>, status: Status = 204, since: Microversion? = nil,
        until: Microversion? = nil
    ) -> Route {
        Route("DELETE", path, summary, of: find, allow: rule, handle, status: status, since: since, until: until)
    }

    /// One verb of a path whose body has a single key naming it: `POST /servers/{id}/action {"os-start": null}`.
    package static func action<Target: PolicyTarget>(
        _ path: String, _ name: String, _ summary: String, of find: @escaping Finder<Target>,
        allow rule: Rule<Target>, _ handle: @escaping Handler<Target>, status: Status = 202,
        since: Microversion? = nil, until: Microversion? = nil
    ) -> Route {
        Route(
            "POST", path, summary, of: find, allow: rule, handle, status: status, since: since, until: until,
            action: name)
    }
}

extension Route {
    /// A route that needs no token and finds nothing first: discovery.
    package static func open(
        _ method: String, _ path: String, _ summary: String, status: Status = 200, payload: Payload = .json,
        _ handle: @escaping OpenHandler
    ) -> Route {
        Route(
            method, path, summary, of: Anything.from, allow: Rule<Anything>.open,
            { request, _ async throws(Fault) in try await handle(request) }, status: status, payload: payload)
    }
}
