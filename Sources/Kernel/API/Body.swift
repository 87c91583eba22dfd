// SPDX-License-Identifier: Apache-2.0
package import Access
package import Base
package import JSON

/// A JSON object being read: each member is taken once, in the format it must have, and `end()` refuses what is left,
/// which is OpenStack's "additional properties" rule without a schema file.
package struct Body {
    private var rest: JSONObject
    /// Where this object stands in the request, for messages: `server.networks[0]`.
    package let path: String
    private let request: Request

    package init(_ object: JSONObject, path: String, request: Request) {
        rest = object
        self.path = path
        self.request = request
    }

    package var isEmpty: Bool { rest.isEmpty }
    package var keys: [String] { rest.keys }
    private var wording: Wording { request.index.wording }

    /// Whether the member is there at all, null included.
    package func has(_ name: String, since: Microversion? = nil) -> Bool {
        isKnown(since: since, until: nil) && rest[name] != nil
    }

    /// A member as it stands, not taken; for checks across members.
    package func peek(_ name: String) -> JSON? { rest[name] }

    /// A member that must be there.
    package mutating func need<Value>(_ name: String, _ format: Format<Value>) throws(Fault) -> Value {
        guard let value = rest.removeValue(forKey: name) else { throw wording.missing(name) }
        return try read(name, value, format)
    }

    /// A member that may be missing. Outside `since..<until` it is unknown, and `end()` refuses it.
    package mutating func take<Value>(
        _ name: String, _ format: Format<Value>, since: Microversion? = nil, until: Microversion? = nil,
        neededSince: Microversion? = nil
    ) throws(Fault) -> Value? {
        guard isKnown(since: since, until: until), let value = rest.removeValue(forKey: name) else {
            if let neededSince, request.version >= neededSince { throw wording.missing(name) }
            return nil
        }
        return try read(name, value, format)
    }

    /// A member that may be missing, null, or a value: nil, `.some(nil)`, or the value.
    package mutating func patch<Value>(
        _ name: String, _ format: Format<Value>, since: Microversion? = nil
    ) throws(Fault) -> Value?? {
        guard isKnown(since: since, until: nil), let value = rest.removeValue(forKey: name) else { return nil }
        if value.isNull { return .some(nil) }
        return .some(try read(name, value, format))
    }

    /// A member that may be missing or null, which mean the same.
    package mutating func option<Value>(
        _ name: String, _ format: Format<Value>, since: Microversion? = nil
    ) throws(Fault) -> Value? {
        try patch(name, format, since: since) ?? nil
    }

    /// A member that only some may set: taken like any other, then judged by a rule of the service's `memberRules`.
    package mutating func take<Value>(
        _ name: String, _ format: Format<Value>, rule: String, on target: some PolicyTarget
    ) throws(Fault) -> Value? {
        guard rest[name] != nil else { return nil }
        let value = try take(name, format)
        guard request.may(rule, on: target) else {
            throw request.index.envelope.refusal(request.index.ruleName(rule))
        }
        return value
    }

    /// A nested object.
    package mutating func takeObject(_ name: String, since: Microversion? = nil) throws(Fault) -> Body? {
        guard isKnown(since: since, until: nil), let value = rest.removeValue(forKey: name) else { return nil }
        guard case .object(let object) = value else {
            throw wording.invalid(member(name), value, "\(value.text()) is not of type 'object'")
        }
        return Body(object, path: member(name), request: request)
    }

    package mutating func needObject(_ name: String) throws(Fault) -> Body {
        guard let body = try takeObject(name) else { throw wording.missing(name) }
        return body
    }

    /// A list of objects.
    package mutating func takeObjects(_ name: String, since: Microversion? = nil) throws(Fault) -> [Body]? {
        guard isKnown(since: since, until: nil), let value = rest.removeValue(forKey: name) else { return nil }
        guard case .array(let items) = value else {
            throw wording.invalid(member(name), value, "\(value.text()) is not of type 'array'")
        }
        var bodies: [Body] = []
        for (at, item) in items.enumerated() {
            let path = "\(member(name))[\(at)]"
            guard case .object(let object) = item else {
                throw wording.invalid(path, item, "\(item.text()) is not of type 'object'")
            }
            bodies.append(Body(object, path: path, request: request))
        }
        return bodies
    }

    /// What has not been taken, for bodies whose member names are free.
    package mutating func takeRest() -> JSONObject {
        defer { rest = JSONObject() }
        return rest
    }

    /// Takes and ignores members that upstream accepts and does nothing with.
    package mutating func ignore(_ names: String...) {
        for name in names { _ = rest.removeValue(forKey: name) }
    }

    /// Refuses members that nobody took.
    package func end() throws(Fault) {
        guard rest.isEmpty || request.place.isOld else { throw wording.unknown(rest.keys) }
    }

    /// A complaint about a member, in the service's words.
    package func refuse(_ name: String, _ value: JSON?, _ reason: String) -> Fault {
        wording.invalid(member(name), value, reason)
    }

    private func member(_ name: String) -> String { path.isEmpty ? name : "\(path).\(name)" }

    private func isKnown(since: Microversion?, until: Microversion?) -> Bool {
        (since.map { request.version >= $0 } ?? true) && (until.map { request.version < $0 } ?? true)
    }

    private func read<Value>(_ name: String, _ value: JSON, _ format: Format<Value>) throws(Fault) -> Value {
        do {
            return try format.read(value, wording.lenient)
        } catch {
            throw wording.invalid(member(name), value, error.reason)
        }
    }
}
