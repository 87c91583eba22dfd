// SPDX-License-Identifier: Apache-2.0
import Kernel
import Network
import OVSDB

/// An outer address, or one port of it, that leads elsewhere now, or nowhere. What switches track of it must go: they
/// would keep its connections with whoever had it before.
struct TranslationEnd: Hashable {
    /// The UUID of the router's or switch's northbound row.
    let device: String
    let address: IPAddress
    /// Nil: all of the address. Otherwise TCP, UDP or SCTP, and the port.
    let ipProtocol: String?
    let port: Int?
    var protocolNumber: Int { ["tcp": 6, "udp": 17, "sctp": 132][ipProtocol ?? ""] ?? 6 }
    /// Whether connections from inside that leave under the address end as well.
    var endsOutgoing: Bool { port == nil }
}

/// Ends wait in the northbound database until the switches were told: written with the change itself, they outlive us.
extension TranslationEnd: LosslessStringConvertible {
    static let prefix = "apus:end "

    var description: String {
        TranslationEnd.prefix + "\(device) \(address)" + (port.map { " \(ipProtocol ?? "tcp") \($0)" } ?? "")
    }

    init?(_ text: String) {
        let words = text.dropFirst(TranslationEnd.prefix.count).split(separator: " ").map(String.init)
        guard text.hasPrefix(TranslationEnd.prefix), [2, 4].contains(words.count), let address = IPAddress(words[1])
        else { return nil }
        let port = words.count == 4 ? Int(words[3]) : nil
        if words.count == 4, port == nil { return nil }
        self.init(device: words[0], address: address, ipProtocol: port == nil ? nil : words[2], port: port)
    }
}

/// Where an outer address leads, as a row has it.
struct Translations {
    /// Outer to inner: addresses, or addresses with ports.
    var pairs: [String: String] = [:]
    var ipProtocol: String?
    var isSource = false

    init(_ table: String, _ column: (String) -> OVSDBValue) {
        switch table {
        case "NAT":
            guard let outer = column("external_ip").string, let inner = column("logical_ip").string else { return }
            pairs = [outer: inner]
            isSource = column("type").string == "snat"
        case "Load_Balancer":
            pairs = column("vips").pairs
            ipProtocol = column("protocol").string
        default: break
        }
    }

    func end(_ outer: String, at device: String) -> TranslationEnd? {
        guard let ipProtocol else {
            return IPAddress(outer).map { TranslationEnd(device: device, address: $0, ipProtocol: nil, port: nil) }
        }
        guard let colon = outer.lastIndex(of: ":"), let port = Int(outer[outer.index(after: colon)...]),
            let address = IPAddress(String(outer[..<colon].filter { !"[]".contains($0) }))
        else { return nil }
        return TranslationEnd(device: device, address: address, ipProtocol: ipProtocol, port: port)
    }

    static let tables = ["NAT": ["Logical_Router"], "Load_Balancer": ["Logical_Router", "Logical_Switch"]]
    static let columns = ["NAT": "nat", "Load_Balancer": "load_balancer"]
}

/// What a plan takes from whom.
struct EndedTranslations {
    private let replica: OVSDBReplica
    /// The devices that hold a row, by its UUID, per table; made when first needed.
    private var holders: [String: [String: [String]]] = [:]
    private(set) var ends: Set<TranslationEnd> = []

    /// Which device still has blocks that go out under which address.
    private let sources: Set<[String]>

    init(_ replica: OVSDBReplica, sources: Set<[String]>) {
        self.replica = replica
        self.sources = sources
    }

    /// - Parameter next: the row as it will be, and the UUIDs of the devices that will hold it; nil when it goes.
    mutating func note(_ table: String, _ row: OVSDBRow, next: (row: NBRow, devices: Set<String>)?) {
        let before = Translations(table) { row[$0] }
        let after = next.map { next in Translations(table) { next.row.columns[$0] ?? .empty } }
        let isAlike = after?.pairs == before.pairs
        if isAlike, let next, !next.devices.isEmpty, next.devices.allSatisfy({ holds($0, table, row.uuid) }) { return }
        for device in devices(table, row.uuid) {
            for (outer, inner) in before.pairs {
                let stays = next?.devices.contains(device) == true && after?.pairs[outer] == inner
                guard !stays, let end = before.end(outer, at: device) else { continue }
                // Many blocks go out under one address: it ends with the last of them.
                if before.isSource, sources.contains([device, outer]) { continue }
                ends.insert(end)
            }
        }
    }

    private func holds(_ device: String, _ table: String, _ uuid: String) -> Bool {
        (Translations.tables[table] ?? []).contains { parent in
            replica.row(parent, device)?[Translations.columns[table] ?? ""].atoms.contains(.uuid(uuid)) == true
        }
    }

    private mutating func devices(_ table: String, _ uuid: String) -> [String] {
        if holders[table] == nil {
            var found: [String: [String]] = [:]
            for parent in Translations.tables[table] ?? [] {
                for device in replica.rows(parent) {
                    for row in device[Translations.columns[table] ?? ""].uuids {
                        found[row, default: []].append(device.uuid)
                    }
                }
            }
            holders[table] = found
        }
        return holders[table]?[uuid] ?? []
    }
}
