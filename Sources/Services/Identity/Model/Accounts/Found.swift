// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// What a request is about, as Keystone's rules see it: a flat table of attributes. What does not exist has none, so
/// that strangers are refused (403) and only those whom the rule lets in learn that there is nothing (404).
struct Found<Value: Sendable>: PolicyTarget {
    private let value: Result<Value, Fault>
    private let attributes: [String: JSON]

    init(_ value: Value, _ attributes: [String: JSON] = [:]) {
        self.value = .success(value)
        self.attributes = attributes
    }

    init(_ value: Value?, or fault: Fault, _ attributes: [String: JSON]) {
        self.value = value.map { .success($0) } ?? .failure(fault)
        self.attributes = attributes
    }

    init(missing fault: Fault, _ attributes: [String: JSON]) {
        value = .failure(fault)
        self.attributes = attributes
    }

    func policyAttribute(_ name: String) -> JSON? { attributes[name] }

    /// The thing itself, or upstream's 404.
    func get() throws(Fault) -> Value { try value.get() }
}

/// The target of lists: the domain that the token is for.
struct ListScope: Asked {
    /// The domain whose rows a domain-scoped token may see; nil sees all.
    let domainID: String?

    init(_ request: Request) { domainID = request.caller.domainID }

    func policyAttribute(_ name: String) -> JSON? {
        switch name {
        case "target.domain_id", "target.domain.id", "target.group.domain_id": domainID.map(JSON.string)
        default: nil
        }
    }
}

extension JSON {
    /// A row's attribute as rules see it: NULL is there, and reads "None".
    static func attribute(_ text: String?) -> JSON { text.map(JSON.string) ?? .null }
}
