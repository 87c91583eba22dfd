// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Servers as asked for.
struct ServerDraft: ProjectOwned, Asked {
    let projectID: String
    let name: String
    let flavorRef: String
    let imageRef: String?
    let description: String?
    let hostname: String?
    let metadata: [String: String]
    let tags: [String]
    let keyName: String?
    let userData: String?
    let hasConfigDrive: Bool
    var networks: [RequestedNetwork]
    let networkMode: String?
    let securityGroups: [String]
    let scheduling: SchedulingRequest
    let group: String?
    let minCount: Int
    let maxCount: Int
    let accessIP4: String
    let accessIP6: String
    let diskConfig: String
    let adminPassword: String?
    let returnsReservation: Bool
    /// Those that the image's signature must lead to.
    let certificates: [String]?
    let files: InjectedFiles
    let devices: [BlockDeviceDraft]
    /// Whether they came in the form before `block_device_mapping_v2`.
    let isOldDevices: Bool

    init(_ request: Request) throws(Fault) {
        projectID = request.caller.projectID ?? ""
        var body = try request.body("server")
        name = try body.need("name", .name)
        flavorRef = try body.need("flavorRef", .reference)
        imageRef = try ServerDraft.image(&body)
        description = try body.patch("description", .description, since: "2.19") ?? nil
        hostname = try body.take("hostname", request.version >= "2.94" ? .fqdn : .hostname, since: "2.90")
        metadata = try body.take("metadata", .pairs()) ?? [:]
        tags = try body.take("tags", .list(.tag, 0...50), since: "2.52") ?? []
        keyName = try body.take("key_name", .text(1...255))
        userData = try ServerDraft.userData(&body)
        hasConfigDrive = try ServerDraft.configDrive(&body)
        (networks, networkMode) = try ServerDraft.networks(&body, request)
        securityGroups =
            try body.takeObjects("security_groups")?.mapping { group throws(Fault) in
                var group = group
                let name = try group.need("name", .text(1...255))
                try group.end()
                return name
            } ?? ["default"]
        minCount = try body.take("min_count", .integer(1...10_000)) ?? 1
        maxCount = try body.take("max_count", .integer(1...10_000)) ?? minCount
        accessIP4 = try ServerCreate.address(
            try body.take("accessIPv4", .text(0...39)) ?? "", version: 4, &body, "accessIPv4")
        accessIP6 = try ServerCreate.address(
            try body.take("accessIPv6", .text(0...45)) ?? "", version: 6, &body, "accessIPv6")
        diskConfig = try body.take("OS-DCF:diskConfig", .oneOf("AUTO", "MANUAL")) ?? "MANUAL"
        adminPassword = try body.take("adminPass", .text(0...255))
        returnsReservation = try body.take("return_reservation_id", .bool) ?? false
        (scheduling, group) = try ServerDraft.scheduling(&body, request)
        isOldDevices = body.has("block_device_mapping") && body.peek("block_device_mapping_v2") == nil
        devices = try BlockDeviceDraft.read(&body, hasImage: imageRef != nil, request)
        certificates = try body.patch("trusted_image_certificates", .certificates, since: "2.63") ?? nil
        files = try InjectedFiles(&body, request)
        body.ignore("auto_disk_config")
        try body.end()
        guard minCount <= maxCount else { throw .badRequest("min_count must be <= max_count") }
        guard Set(tags).count == tags.count else {
            throw body.refuse("tags", nil, "the tags are not unique")
        }
    }

    /// What only some may ask for.
    func judge(_ request: Request) throws(Fault) {
        if certificates != nil {
            let rule = "servers:create:trusted_certs"
            guard request.may(rule, on: self) else {
                throw request.index.envelope.refusal(request.index.ruleName(rule))
            }
        }
        if scheduling.host != nil || scheduling.node != nil {
            let rule =
                request.version >= "2.74" && request.json?["server"]?["host"] != nil
                ? "/compute:servers:create:requested_destination" : "servers:create:forced_host"
            guard request.may(rule, on: self) else {
                throw request.index.envelope.refusal(request.index.ruleName(rule))
            }
        }
    }

    /// Twelve characters without those that are read wrongly (nova/utils.py, `generate_password`).
    static func password(_ ids: any Identifiers) -> String {
        let letters = Array("23456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz")
        return String(ids.bytes(12).map { letters[Int($0) % letters.count] })
    }
}

// MARK: - Members

extension ServerDraft {
    private static func image(_ body: inout Body) throws(Fault) -> String? {
        guard let reference = try body.take("imageRef", .text(0...255)), !reference.isEmpty else { return nil }
        let id = reference.split(separator: "/").last.map(String.init) ?? reference
        guard Hex.isUUID(id) else {
            throw body.refuse("imageRef", .string(reference), "'\(reference)' is not a 'uuid'")
        }
        return id
    }

    private static func userData(_ body: inout Body) throws(Fault) -> String? {
        guard let text = try body.option("user_data", .text(0...65_535)), !text.isEmpty else { return nil }
        guard Base64.decode(text) != nil else {
            throw body.refuse("user_data", .string(String(text.prefix(40))), "it is not base64")
        }
        return text
    }

    private static func configDrive(_ body: inout Body) throws(Fault) -> Bool {
        guard let value = try body.take("config_drive", .any) else { return false }
        if value.isNull || value == .string("") { return false }
        if let truth = value.bool ?? value.string.flatMap({ Format<Bool>.truth($0) }) { return truth }
        throw body.refuse("config_drive", value, "\(value.text()) is not a boolean")
    }

    private static func networks(
        _ body: inout Body, _ request: Request
    ) throws(Fault) -> ([RequestedNetwork], String?) {
        if let mode = body.peek("networks")?.string {
            guard request.version >= "2.37", mode == "auto" || mode == "none" else {
                throw body.refuse("networks", .string(mode), "'\(mode)' is not of type 'array'")
            }
            _ = try body.take("networks", .any)
            return ([], mode)
        }
        guard let items = try body.takeObjects("networks") else {
            if request.version >= "2.37" { throw request.index.wording.missing("networks") }
            return ([], nil)
        }
        var seen = Set<String>()
        let networks = try items.mapping { item throws(Fault) in
            var item = item
            let network = RequestedNetwork(
                networkID: try item.take("uuid", .uuid), portID: try item.option("port", .uuid),
                fixedIP: try item.take("fixed_ip", .ipAddress), tag: try item.take("tag", .tag, since: "2.32"))
            try item.end()
            guard network.networkID != nil || network.portID != nil else {
                throw item.refuse("uuid", nil, "a network needs a uuid or a port")
            }
            if let port = network.portID, !seen.insert(port).inserted {
                throw .badRequest("Bad networks format: port id \(port) is given twice")
            }
            if network.portID != nil, network.fixedIP != nil {
                throw .badRequest(
                    "Specified Fixed IP '\(network.fixedIP ?? "")' cannot be used with port "
                        + "'\(network.portID ?? "")': the two cannot be specified together."
                )
            }
            return network
        }
        return (networks, nil)
    }

    private static func scheduling(
        _ body: inout Body, _ request: Request
    ) throws(Fault) -> (SchedulingRequest, String?) {
        var scheduling = SchedulingRequest()
        if let zone = try body.take("availability_zone", .text(0...255)), !zone.isEmpty {
            // zone:host:node is how administrators named a host before 2.74.
            let parts = zone.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
            guard parts.count <= 3 else {
                throw .badRequest("Invalid input received: Unable to parse availability_zone")
            }
            scheduling.zone = parts[0].isEmpty ? nil : parts[0]
            if parts.count > 1, !parts[1].isEmpty { scheduling.host = parts[1] }
            if parts.count > 2, !parts[2].isEmpty { scheduling.node = parts[2] }
            if scheduling.host != nil || scheduling.node != nil { scheduling.isForced = true }
        }
        let host = try body.take("host", .text(1...255), since: "2.74")
        let node = try body.take("hypervisor_hostname", .text(1...255), since: "2.74")
        if host != nil || node != nil {
            guard scheduling.isForced == nil else {
                throw .badRequest(
                    "One mechanism with host and/or hypervisor_hostname and another mechanism with zone:host:node "
                        + "are mutually exclusive.")
            }
            (scheduling.host, scheduling.node) = (host, node)
        }
        for name in ["os:scheduler_hints", "OS-SCH-HNT:scheduler_hints"] {
            let hints = try SchedulerHints.read(request.json?[name], name, request)
            scheduling.hints.merge(hints) { first, _ in first }
        }
        return (scheduling, scheduling.hints["group"]?.string)
    }
}

extension Format where Value == String {
    /// A flavor's id: short text, or a link that ends in it.
    static var reference: Format {
        Format { value, _ throws(Misfit) in
            let text: String
            switch value {
            case .string(let string): text = string
            case .integer(let number): text = String(number)
            default: throw Misfit("\(value.text()) is not of type 'string', 'integer'")
            }
            guard let id = text.split(separator: "/").last, !id.isEmpty else { throw Misfit("'\(text)' is too short") }
            return String(id)
        }
    }

    static var hostname: Format {
        text(1...63).map { text throws(Misfit) in try Hostname.check(text, allowsDots: false) }
    }
    static var fqdn: Format { text(1...255).map { text throws(Misfit) in try Hostname.check(text, allowsDots: true) } }

    /// A description: whatever can be printed.
    static var description: Format {
        text(0...255).map { text throws(Misfit) in
            let isPrintable = text.unicodeScalars.allSatisfy { scalar in
                switch scalar.properties.generalCategory {
                case .control, .format, .surrogate, .privateUse, .unassigned, .lineSeparator, .paragraphSeparator: false
                default: true
                }
            }
            guard isPrintable else { throw Misfit("'\(text)' holds characters that cannot be printed.") }
            return text
        }
    }

    /// A tag: 1 to 60 characters without comma or slash.
    static var tag: Format {
        text(1...60).map { text throws(Misfit) in
            guard !text.contains(","), !text.contains("/") else { throw Misfit("'\(text)' does not match '^[^,/]*$'") }
            return text
        }
    }

    static var ipAddress: Format {
        text(1...45).map { text throws(Misfit) in
            guard AddressText.version(text) != nil else { throw Misfit("'\(text)' is not a 'ip-address'") }
            return text
        }
    }
}
