// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What queries ask for: amounts of resources, traits, aggregates; as `resources`, `required` and `member_of` say it.
enum ResourceQuery {
    /// `VCPU:2,MEMORY_MB:1024`; of a class named twice the last amount counts.
    static func resources(_ text: String) throws(Fault) -> [String: Int] {
        func badlyFormed(_ got: some StringProtocol) -> Fault {
            .badRequest(
                "Badly formed resources parameter. Expected resources query string parameter in form: "
                    + "?resources=VCPU:2,MEMORY_MB:1024. Got: \(got)")
        }
        guard text.contains(where: { !$0.isWhitespace }) else { throw badlyFormed("empty string.") }
        var amounts: [String: Int] = [:]
        for pair in text.split(separator: ",", omittingEmptySubsequences: false) {
            let parts = pair.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 2 else { throw badlyFormed("\(pair).") }
            guard let amount = number(parts[1]) else {
                throw .badRequest(
                    "Requested resource \(parts[0]) expected positive integer amount. Got: \(parts[1]).")
            }
            guard amount >= 1 else {
                throw .badRequest("Requested resource \(parts[0]) requires amount >= 1. Got: \(amount).")
            }
            amounts[String(parts[0])] = amount
        }
        return amounts
    }

    /// A whole number, blanks around it allowed.
    private static func number(_ text: Substring) -> Int? {
        let isBlank: (Character) -> Bool = \.isWhitespace
        return Int(String(text.drop(while: isBlank).reversed().drop(while: isBlank).reversed()))
    }

    /// Traits that must be there (one of each set) and traits that must not.
    struct Traits: Sendable, Equatable {
        var required: [Set<String>] = []
        var forbidden: Set<String> = []
        var names: Set<String> { required.reduce(into: forbidden) { $0.formUnion($1) } }
    }

    /// Every value of a `required` parameter; before 1.39 only the last one counts.
    static func traits(_ values: [String], at version: Microversion) throws(Fault) -> Traits {
        var traits = Traits()
        for value in version >= "1.39" ? values[...] : values.suffix(1) {
            try add(value, to: &traits, mayForbid: version >= "1.22", mayChoose: version >= "1.39")
        }
        return traits
    }

    static func add(_ value: String, to traits: inout Traits, mayForbid: Bool, mayChoose: Bool) throws(Fault) {
        if value.hasPrefix("in:") {
            guard mayChoose else {
                throw .badQuery(
                    "The format 'in:HW_CPU_X86_VMX,CUSTOM_MAGIC' only supported since microversion 1.39. Got: \(value)")
            }
            let names = names(value.dropFirst(3))
            guard !names.contains("") else {
                throw .badQuery(
                    "Expected 'required' parameter value of the form: in:HW_CPU_X86_VMX,CUSTOM_MAGIC. "
                        + "Got an empty trait in: \(value)")
            }
            guard !names.contains(where: { $0.hasPrefix("!") }) else {
                throw .badQuery(
                    "The format 'in:HW_CPU_X86_VMX,CUSTOM_MAGIC' does not support forbidden traits. Got: \(value)")
            }
            traits.required.append(Set(names))
            return
        }
        let form = mayForbid ? "HW_CPU_X86_VMX,!CUSTOM_MAGIC" : "HW_CPU_X86_VMX,CUSTOM_MAGIC"
        for name in names(value) {
            let bare = String(name.drop(while: { $0 == "!" }))
            guard !bare.isEmpty else {
                throw .badQuery(
                    "Expected 'required' parameter value of the form: \(form). Got an empty trait in: \(value)")
            }
            if bare == name {
                traits.required.append([name])
            } else if mayForbid {
                traits.forbidden.insert(bare)
            } else {
                throw .badQuery("Expected 'required' parameter value of the form: \(form). Got: \(value)")
            }
        }
    }

    private static func names(_ list: some StringProtocol) -> [String] {
        list.split(separator: ",", omittingEmptySubsequences: false).map { name in
            String(name.drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
        }
    }

    /// Aggregates a provider must be in (one of each set) and those it must not be in.
    struct Aggregates: Sendable, Equatable {
        var required: [Set<String>] = []
        var forbidden: Set<String> = []
        var isEmpty: Bool { required.isEmpty && forbidden.isEmpty }

        func accepts(_ own: Set<String>) -> Bool {
            required.allSatisfy { !$0.isDisjoint(with: own) } && forbidden.isDisjoint(with: own)
        }
    }

    static func aggregates(
        _ values: [String], suffix: String = "", at version: Microversion
    ) throws(Fault) -> Aggregates {
        if values.count > 1, version < "1.24" {
            throw .badRequest("Multiple member_of\(suffix) parameters are not supported")
        }
        var aggregates = Aggregates()
        for value in values {
            let isForbidden = value.hasPrefix("!")
            let bare = isForbidden ? value.dropFirst() : value[...]
            let isList = bare.hasPrefix("in:")
            if value.contains(","), !isList {
                throw .badRequest(
                    "Multiple values for 'member_of' must be prefixed with the 'in:' or '!in:' keyword using the valid "
                        + "microversion. Got: \(value)")
            }
            let ids = isList ? bare.dropFirst(3).split(separator: ",", omittingEmptySubsequences: false) : [bare]
            if let bad = ids.first(where: { !Hex.isUUID($0) }) {
                throw .badQuery("Expected 'member_of' parameter to contain valid UUID(s). Got: \(bad)")
            }
            let set = Set(ids.map(String.init))
            guard isForbidden else {
                aggregates.required.append(set)
                continue
            }
            guard version >= "1.32" else {
                throw .badRequest(
                    "Forbidden member_of\(suffix) parameters are not supported in the specified microversion")
            }
            aggregates.forbidden.formUnion(set)
        }
        return aggregates
    }
}
