// SPDX-License-Identifier: Apache-2.0
import Kernel

/// A port to be put into a trunk, as asked for.
struct SubportDraft: Sendable {
    let portID: String
    let type: String?
    let number: JSON?

    /// The `sub_ports` of a body; nil when there is none.
    static func list(_ body: inout Body) throws(Fault) -> [SubportDraft]? {
        guard body.peek("sub_ports")?.isNull != true else {
            body.ignore("sub_ports")
            return []
        }
        guard let entries = try body.takeObjects("sub_ports") else { return nil }
        var drafts: [SubportDraft] = []
        for var entry in entries {
            let draft = SubportDraft(
                portID: try entry.need("port_id", .id), type: try entry.option("segmentation_type", .string()),
                number: try entry.option("segmentation_id", .any))
            entry.ignore("mac_address")
            try entry.end()
            guard !drafts.contains(where: { $0.portID == draft.portID }) else {
                throw .invalidInput("Invalid data format for subports: port ID '\(draft.portID)' is there twice")
            }
            let twin = drafts.first { $0.type == draft.type && $0.number == draft.number }
            guard twin == nil || draft.number == nil else {
                throw .invalidInput(
                    "Invalid data format for subports: segmentation ID '\(draft.number?.bare ?? "")' is there twice")
            }
            drafts.append(draft)
        }
        return drafts
    }
}

/// What may be in a trunk, and what being in one does to a port.
enum SubportRules {
    private static let owner = "trunk:subport"

    /// Refuses a port that is part of some trunk already.
    static func checkUnused(_ portID: String, _ transaction: Transaction) throws(Fault) {
        guard try transaction.count(Subport.self, "port_id = \(portID)") == 0 else {
            throw .neutron(409, "TrunkPortInUse", "Port \(portID) is in use by another trunk.")
        }
        guard try transaction.count(Trunk.self, "port_id = \(portID)") == 0 else { throw parentInUse(portID) }
    }

    /// Refuses to delete a port that is part of a trunk.
    static func checkDeletable(_ portID: String, _ transaction: Transaction) throws(Fault) {
        if let trunk = try transaction.first(Trunk.self, "port_id = \(portID)") {
            throw .neutron(
                409, "PortInUseAsTrunkParent", "Port \(portID) is currently a parent port for trunk \(trunk.id).")
        }
        if let subport = try transaction.first(Subport.self, "port_id = \(portID)") {
            throw .neutron(
                409, "PortInUseAsSubPort", "Port \(portID) is currently a subport for trunk \(subport.trunkID).")
        }
    }

    private static func parentInUse(_ portID: String) -> Fault {
        .neutron(
            409, "ParentPortInUse",
            "Port \(portID) is currently in use and is not eligible for use as a parent port.")
    }

    @discardableResult
    static func check(
        _ drafts: [SubportDraft], for trunk: Trunk, _ parent: Port, _ transaction: Transaction, _ request: Request
    ) throws(Fault) -> [(Port, Subport)] {
        let outer = try transaction.one(
            Network.self, "id = \(parent.networkID)", or: Network.notFound(parent.networkID))
        _ = try complete(drafts)
        return try drafts.mapping { draft throws(Fault) in
            guard draft.portID != parent.id else { throw parentInUse(draft.portID) }
            let visible: SQL = request.seesAll ? "1 = 1" : Port.scope(request.project)
            let port = try transaction.one(
                Port.self, "id = \(draft.portID) AND (\(sql: visible))", or: Port.notFound(draft.portID))
            let network = try transaction.one(
                Network.self, "id = \(port.networkID)", or: Network.notFound(port.networkID))
            guard network.mtu <= outer.mtu else {
                throw .neutron(
                    409, "SubPortMtuGreaterThanTrunkPortMtu",
                    "MTU \(network.mtu) of subport \(port.id) cannot be greater than MTU \(outer.mtu) of trunk "
                        + "\(parent.id).")
            }
            let (type, number) = try segment(draft, network)
            try checkUnused(port.id, transaction)
            guard port.deviceID.isEmpty else {
                throw .neutron(
                    409, "PortInUse",
                    "Unable to complete operation on port \(port.id) for network \(port.networkID). Port already has "
                        + "an attached device \(port.deviceID).")
            }
            return (
                port,
                Subport(
                    portID: port.id, trunkID: trunk.id, parentID: parent.id, segmentationType: type,
                    segmentationID: number)
            )
        }
    }

    /// Refuses what lacks a segment or has one that is none, before anything is looked for.
    static func complete(_ drafts: [SubportDraft]) throws(Fault) -> [SubportDraft] {
        for draft in drafts where draft.type != "inherit" { _ = try segment(draft.type, draft.number, of: draft) }
        return drafts
    }

    private static func segment(_ draft: SubportDraft, _ network: Network) throws(Fault) -> (String, Int) {
        guard draft.type == "inherit" else { return try segment(draft.type, draft.number, of: draft) }
        let number = network.segmentationID.map { JSON.integer(Int64($0)) }
        return try segment(network.networkType, number ?? .null, of: draft)
    }

    private static func segment(_ type: String?, _ said: JSON?, of draft: SubportDraft) throws(Fault) -> (String, Int) {
        guard let type, let said else {
            throw .invalidInput(
                "Invalid subport details '{'port_id': '\(draft.portID)'}': missing segmentation information. Must "
                    + "specify both segmentation_id and segmentation_type")
        }
        guard let number = said.integer ?? said.string.flatMap({ Int($0) }) else {
            throw .invalidInput("Invalid subport details: segmentation_id '\(said.bare)' is not an integer")
        }
        guard type == "vlan" else { throw .invalidInput("Unknown segmentation_type '\(type)'") }
        guard (1...4094).contains(number) else {
            throw .invalidInput("Segmentation ID '\(number)' is not in range")
        }
        return (type, Int(number))
    }

    static func add(
        _ drafts: [SubportDraft], to trunk: Trunk, _ parent: Port, _ transaction: Transaction, _ request: Request,
        checked: Bool = false
    ) throws(Fault) {
        for (port, subport) in try check(drafts, for: trunk, parent, transaction, request) {
            try transaction.insert(
                subport,
                or: .neutron(
                    409, "DuplicateSubPort",
                    "segmentation_type \(subport.segmentationType) and segmentation_id \(subport.segmentationID) "
                        + "already in use on trunk \(trunk.id)."))
            try place(port, on: parent.host, owner: owner, transaction, request)
        }
    }

    static func remove(_ subports: [Subport], _ transaction: Transaction, _ request: Request) throws(Fault) {
        for subport in subports {
            try transaction.delete(Subport.self, "port_id = \(subport.portID)")
            guard let port = try transaction.first(Port.self, "id = \(subport.portID)") else { continue }
            try place(port, on: "", owner: "", transaction, request)
        }
    }

    /// The ports inside a trunk are where the port is that carries them.
    static func follow(_ parent: Port, _ transaction: Transaction, _ request: Request) throws(Fault) {
        for subport in try transaction.all(Subport.self, "parent_id = \(parent.id)") {
            guard let port = try transaction.first(Port.self, "id = \(subport.portID)"), port.host != parent.host
            else { continue }
            try place(port, on: parent.host, owner: owner, transaction, request)
        }
    }

    private static func place(
        _ port: Port, on host: String, owner: String, _ transaction: Transaction, _ request: Request
    ) throws(Fault) {
        var port = port
        if port.host != host { port.status = "DOWN" }
        port.host = host
        port.deviceOwner = owner
        port.revisionNumber += 1
        port.updatedAt = request.now
        try transaction.replace(port, where: "id = \(port.id)", or: Port.notFound(port.id))
        try transaction.touch(.port, port.id, request)
    }
}

extension Subport {
    /// The ports inside trunks among some, or all there are, by port.
    static func specs(_ database: Database, _ ports: [String]?) async throws(Fault) -> [String: SubportSpec] {
        let rows =
            if let ports {
                try await database.all(Subport.self, "port_id", in: ports)
            } else {
                try await database.all(Subport.self)
            }
        return Dictionary(rows.map { ($0.portID, SubportSpec(parent: $0.parentID, tag: $0.segmentationID)) }) { a, _ in
            a
        }
    }
}
