// SPDX-License-Identifier: Apache-2.0
import Network
import OVSDB

/// What is counted has no rows of its own: routers count by it.
extension MeteringSpec: Translated {
    func rows(_ part: Piece.Part, _ translator: Translator) -> [NBRow] { [] }
}

extension Use {
    /// What is counted at a project's routers.
    static func metering(_ project: String) -> [Use] {
        [project, MeteringSpec.everybody].map { Use(reference: TopologyReference(MeteringSpec.kind, $0)) }
    }
}

extension Translator {
    static let meterRouter = "apus:router"
    static let meterRegion = "apus:region"
    /// Below what operators may want to divert, whose policies then count instead.
    private static let meterPriority = 100

    /// A policy that lets pass what would pass anyhow, so that its flow counts: where packets to outside have not been
    /// given the router's address yet, and those from outside the guest's already. The first policy that fits a packet
    /// is the only one, so a router has one for whatever regions share, too, and smaller ones go first.
    func meterRows(_ router: RouterSpec) -> [NBRow] {
        let table = topology.table(MeteringSpec.self)
        let regions = [router.projectID, MeteringSpec.everybody].flatMap { table[$0]?.regions ?? [] }
        let outside = (router.gateway?.ports ?? []).sorted()
        guard !regions.isEmpty, !outside.isEmpty else { return [] }
        return outside.flatMap { port in
            MeterRegion.closure(regions).sorted { "\($0)" < "\($1)" }.map { region in
                NBRow(
                    "Logical_Router_Policy", "\(port) \(region)",
                    [
                        "priority": .integer(
                            Translator.meterPriority + region.source.prefix + region.destination.prefix),
                        "match": .string(Translator.match(region, at: port)), "action": "allow",
                    ],
                    ids: [Translator.meterRouter: router.id, Translator.meterRegion: "\(region)"],
                    in: [(OVNNames.router(router.id), "policies")])
            }
        }
    }

    /// Of two regions, one in the other, the smaller has more leading bits.
    private static func priority(_ region: MeterRegion) -> Int {
        meterPriority + region.source.prefix + region.destination.prefix
    }

    private static func match(_ region: MeterRegion, at port: String) -> String {
        let side = region.direction == .ingress ? "inport" : "outport"
        let word = region.version.word
        var parts = ["\(side) == \"\(OVNNames.routerPort(port))\"", word]
        if region.source.prefix > 0 { parts.append("\(word).src == \(region.source)") }
        if region.destination.prefix > 0 { parts.append("\(word).dst == \(region.destination)") }
        return parts.joined(separator: " && ")
    }
}
