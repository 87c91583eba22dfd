// SPDX-License-Identifier: Apache-2.0
import Kernel

/// `os:scheduler_hints` as upstream's schema has them: some have a form, others may be anything.
enum SchedulerHints {
    static func read(_ value: JSON?, _ path: String, _ request: Request) throws(Fault) -> [String: JSON] {
        guard let value, !value.isNull else { return [:] }
        guard let object = value.object else {
            throw request.index.wording.invalid(path, value, "\(value.text()) is not of type 'object'")
        }
        var hints: [String: JSON] = [:]
        for (name, hint) in object where !name.hasPrefix("_nova") {
            if let reason = refusal(name, hint) {
                throw request.index.wording.invalid("\(path).\(name)", hint, reason)
            }
            hints[name] = hint
        }
        // A list of groups stands for its first: a server is in one group only.
        if let first = hints["group"]?.array?.first { hints["group"] = first }
        return hints
    }

    /// Why a hint is not of its form; nil when it is, or has none.
    private static func refusal(_ name: String, _ hint: JSON) -> String? {
        switch name {
        case "group": return ids(hint, mayBeAnyText: false)
        case "different_host": return ids(hint, mayBeAnyText: false)
        case "same_host": return ids(hint, mayBeAnyText: true)
        case "query":
            return hint.string != nil || hint.object != nil ? nil : "\(hint.text()) is not of type 'string', 'object'"
        case "target_cell":
            return hint.string.map { !$0.isEmpty && $0.utf8.count <= 255 } ?? false
                ? nil : "\(hint.text()) is not a name"
        case "different_cell":
            return hint.string != nil || hint.array?.allSatisfy { $0.string != nil } ?? false
                ? nil : "\(hint.text()) is not of type 'string', 'array'"
        case "build_near_host_ip":
            return hint.string.flatMap { AddressText.version($0) } != nil
                ? nil : "\(hint.text()) is not a 'ip-address'"
        case "cidr":
            let isSlashed = hint.string.map { text in
                text.hasPrefix("/") && text.count > 1
                    && text.dropFirst().allSatisfy { "0123456789abcdef.:".contains($0) }
            }
            return isSlashed ?? false ? nil : "\(hint.text()) does not match '^/[0-9a-f.:]+$'"
        default: return nil
        }
    }

    private static func ids(_ hint: JSON, mayBeAnyText: Bool) -> String? {
        if let text = hint.string { return mayBeAnyText || Hex.isUUID(text) ? nil : "'\(text)' is not a 'uuid'" }
        guard let items = hint.array else { return "\(hint.text()) is not of type 'string', 'array'" }
        for item in items where !(item.string.map { Hex.isUUID($0) } ?? false) {
            return "\(item.text()) is not a 'uuid'"
        }
        return nil
    }
}
