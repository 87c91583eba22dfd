// SPDX-License-Identifier: Apache-2.0
import Kernel

extension VersionHistory {
    static let placement = VersionHistory(
        "placement",
        [
            "1.0": "Resource providers, inventories, usages and allocations.",
            "1.1": "The aggregates of a provider can be read and set.",
            "1.2": "Custom resource classes can be made, renamed and deleted.",
            "1.3": "Providers can be filtered by aggregate with member_of.",
            "1.4": "Providers can be filtered by free capacity with resources.",
            "1.5": "All inventories of a provider can be deleted at once.",
            "1.6": "Traits, and the traits of a provider.",
            "1.7": "PUT of a resource class makes it, or finds that it is there.",
            "1.8": "Allocations name the project and user they are for.",
            "1.9": "Usages can be summed up per project and user.",
            "1.10": "Allocation candidates: who could serve a request.",
            "1.11": "A provider links to its allocations.",
            "1.12": "PUT of allocations takes the shape that GET answers.",
            "1.13": "Allocations of many consumers are set at once.",
            "1.14": "Providers form trees: parent, root and the in_tree filter.",
            "1.15": "Answers say when they were last modified and are not to be cached.",
            "1.16": "Allocation candidates can be limited in number.",
            "1.17": "Allocation candidates can require traits, and summaries list them.",
            "1.18": "Providers can be filtered by the traits they have.",
            "1.19": "Aggregates are guarded by the provider's generation.",
            "1.20": "Making a provider answers the provider.",
            "1.21": "Allocation candidates can be filtered by aggregate.",
            "1.22": "Traits can be forbidden with an exclamation mark.",
            "1.23": "Errors carry a code.",
            "1.24": "member_of may be repeated; all of them must hold.",
            "1.25": "Candidates can be asked for in numbered groups.",
            "1.26": "All of an inventory may be reserved.",
            "1.27": "Summaries list every resource class of a provider.",
            "1.28": "Consumers have generations that guard their allocations.",
            "1.29": "Candidates may span the providers of a tree.",
            "1.30": "Inventories and allocations can be moved together (reshaper).",
            "1.31": "Candidates can be asked of one tree with in_tree.",
            "1.32": "Aggregates can be forbidden.",
            "1.33": "Request groups may have names.",
            "1.34": "Candidates say which provider serves which group.",
            "1.35": "Traits can be required of the root provider.",
            "1.36": "Groups can be held together in one subtree; groups may ask for traits only.",
            "1.37": "A provider can be moved to another parent, or to none.",
            "1.38": "Consumers have types, and usages are grouped by them.",
            "1.39": "One of several traits can be required; required may be repeated.",
        ])
}

extension Envelope {
    static let placement = Envelope(
        pageLinks: .none,
        versionRefusal: { asked, _ in Fault(406, "Unacceptable version header: \(asked)") },
        versionMisspelt: { .badRequest("invalid version string: \($0)") },
        admission: { http, route, version throws(Fault) in try admit(http, route, version) },
        dated: { fault, title, id, version in document(fault, title, id, version) },
        pages: .asked,
        refusal: { .forbidden("Policy does not allow \($0) to be performed.") },
        document: { fault, title, id in document(fault, title, id, nil) })

    private static func document(_ fault: Fault, _ title: String, _ id: String, _ version: Microversion?) -> JSON {
        var error: JSONObject = [
            "status": .integer(Int64(fault.status)), "title": .string(title),
            // On one line: clients take what stands in the last.
            "detail": .string(String(fault.message.map { $0 == "\n" ? " " : $0 })),
        ]
        if let version, version >= "1.23" {
            error["code"] = .string(fault.code.isEmpty ? Code.undefined : fault.code)
        }
        error["request_id"] = .string(id)
        if fault.status == 406, version == nil {
            error["max_version"] = .string(VersionHistory.placement.maximum.description)
            error["min_version"] = .string(VersionHistory.placement.minimum.description)
        }
        return ["errors": [.object(error)]]
    }
}

extension Wording {
    /// Placement's: every complaint about a body begins with the same words.
    static let placement = Wording(
        lenient: false,
        malformed: { .badRequest("Malformed JSON: \($0)") },
        invalid: { .badRequest("JSON does not validate: " + Complaint.invalid($0, $1, $2)) },
        missing: { .badRequest("JSON does not validate: " + Complaint.missing($0)) },
        unknown: { .badRequest("JSON does not validate: " + Complaint.unknown($0)) })
}

/// The machine names of errors that clients tell apart.
enum Code {
    static let undefined = "placement.undefined_code"
    static let concurrentUpdate = "placement.concurrent_update"
    static let duplicateName = "placement.duplicate_name"
    static let providerNotFound = "placement.resource_provider.not_found"
    static let inventoryInUse = "placement.inventory.inuse"
    static let providerInUse = "placement.resource_provider.inuse"
    static let cannotDeleteParent = "placement.resource_provider.cannot_delete_parent"
    static let duplicateKey = "placement.query.duplicate_key"
    static let badValue = "placement.query.bad_value"
    static let missingValue = "placement.query.missing_value"
}

extension Rule {
    /// Nearly every rule of Placement.
    static func adminOrService(_ name: String) -> Rule { Rule(name, "rule:admin_or_service_api") }
}

extension Format where Value == String {
    /// A resource class, trait or consumer type: capitals, digits and underscores.
    static func symbol(_ kind: String = "^[A-Z0-9_]+$", custom: Bool = false) -> Format {
        text(1...255).map { text throws(Misfit) in
            guard Symbol.isValid(text), !custom || Symbol.isCustom(text) else {
                throw Misfit("'\(text)' does not match '\(custom ? "^CUSTOM_[A-Z0-9_]+$" : kind)'")
            }
            return text
        }
    }
}

/// How classes and traits are spelt.
enum Symbol {
    static func isValid(_ text: some StringProtocol) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { (65...90).contains($0) || (48...57).contains($0) || $0 == 95 }
    }
    static func isCustom(_ text: some StringProtocol) -> Bool {
        text.hasPrefix("CUSTOM_") && text.utf8.count > 7 && text.utf8.count <= 255 && isValid(text)
    }

    /// A UUID in the one form that ids are stored in: small letters, with dashes.
    static func uuid(_ text: String) -> String {
        let bytes = Hex.decode(String(text.filter { $0 != "-" }))
        return bytes.map { $0.count == 16 ? Hex.uuid($0) : text.lowercased() } ?? text.lowercased()
    }
}

extension Reply {
    /// Since 1.15 answers say when what they show was last changed, and are not to be cached.
    func stamped(_ request: Request, _ modified: Timestamp? = nil) -> Reply {
        guard request.version >= "1.15" else { return self }
        return header("Last-Modified", (modified ?? request.now).httpDate).header("Cache-Control", "no-cache")
    }
}

extension Timestamp {
    /// `Sat, 21 Nov 2026 02:00:00 GMT`.
    var httpDate: String {
        let days = Int(seconds / 86_400)
        let rest = Int(seconds % 86_400)
        let date = Timestamp.date(days: days)
        func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
        let weekdays = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"]
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        let time = "\(two(rest / 3600)):\(two(rest / 60 % 60)):\(two(rest % 60))"
        return "\(weekdays[days % 7]), \(two(date.day)) \(months[date.month - 1]) \(date.year) \(time) GMT"
    }
}

extension Request {
    /// The path part of the service's own address, which Placement's links start with.
    var prefix: String {
        let parts = root.split(separator: "/", maxSplits: 2, omittingEmptySubsequences: true)
        return parts.count > 2 ? "/" + parts[2] : ""
    }

    /// The query as it came, after refusing parameters that are not among those known.
    func parameters(_ known: [String]) throws(Fault) -> [(String, String)] {
        let pairs = QueryString.parse(http.query) ?? []
        if let stranger = pairs.first(where: { !known.contains($0.0) }) { throw .unknownParameter(stranger.0) }
        return pairs
    }
}

extension Fault {
    static func badQuery(_ reason: String, code: String = "") -> Fault {
        .badRequest("Invalid query string parameters: \(reason)", code: code)
    }
    /// A complaint about a parameter's value.
    static func badQuery(_ name: String, _ value: String, _ reason: String) -> Fault {
        .badQuery(Complaint.invalid(name, .string(value), "'\(value)' \(reason)"))
    }
    static func unknownParameter(_ name: String) -> Fault { .badQuery(Complaint.unknown([name])) }
    static func noSuchClass(_ name: String) -> String { "No such resource class \(name)." }
    static let concurrentUpdate = "Another thread concurrently updated the data. Please retry your update"
    static func generationConflict(_ message: String = "resource provider generation conflict") -> Fault {
        .conflict(message, code: Code.concurrentUpdate)
    }
}
