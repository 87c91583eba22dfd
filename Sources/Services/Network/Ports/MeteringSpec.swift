// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Forwarded traffic one way through a router's ways out, between two blocks as seen inside: a floating address has
/// become the guest's own, and what hides behind the router's address does not yet.
package struct MeterRegion: Sendable, Hashable {
    package let direction: TrafficDirection
    package let source: CIDR
    package let destination: CIDR

    /// Nil when the blocks are of two families: nothing is between them.
    package init?(_ direction: TrafficDirection, source: CIDR? = nil, destination: CIDR? = nil) {
        guard let version = (source ?? destination)?.version else { return nil }
        self.direction = direction
        self.source = source ?? .everything(version)
        self.destination = destination ?? .everything(version)
        if self.source.version != self.destination.version { return nil }
    }

    package var version: IPVersion { source.version }

    package func contains(_ other: MeterRegion) -> Bool {
        direction == other.direction && source.contains(other.source) && destination.contains(other.destination)
    }

    func intersection(_ other: MeterRegion) -> MeterRegion? {
        guard direction == other.direction, source.overlaps(other.source), destination.overlaps(other.destination)
        else { return nil }
        return MeterRegion(
            direction, source: source.prefix > other.source.prefix ? source : other.source,
            destination: destination.prefix > other.destination.prefix ? destination : other.destination)
    }

    /// The regions and whatever two or more of them share, so that of all that hold a packet one lies in all others:
    /// the one with the most leading bits.
    package static func closure(_ regions: [MeterRegion]) -> Set<MeterRegion> {
        var closed: Set<MeterRegion> = []
        for region in regions where !closed.contains(region) {
            closed.formUnion(closed.compactMap { $0.intersection(region) })
            closed.insert(region)
        }
        return closed
    }
}

extension MeterRegion: LosslessStringConvertible {
    package var description: String { "\(direction.rawValue) \(source) \(destination)" }

    package init?(_ text: String) {
        let parts = text.split(separator: " ")
        guard parts.count == 3, let direction = TrafficDirection(rawValue: String(parts[0])),
            let source = CIDR(strict: parts[1]), let destination = CIDR(strict: parts[2])
        else { return nil }
        self.init(direction, source: source, destination: destination)
    }
}

/// What is counted at the routers of one project, or at all of them.
package struct MeteringSpec: TopologySpec {
    package static let kind = TopologyKind("metering")
    /// The id of what is counted at every router.
    package static let everybody = "*"

    /// The project.
    package var id: String
    /// What is counted is a set; which revision of it does not matter.
    package var generation: Int { 0 }
    package var regions: Set<MeterRegion>

    package init(id: String, regions: Set<MeterRegion>) {
        self.id = id
        self.regions = regions
    }
}

/// One counter of forwarded packets, which only grows, or begins anew when its switch does.
package struct MeterReading: Sendable, Hashable {
    /// The switch that counts, and the counter's name there.
    package let place: String
    package let counter: String
    package let routerID: String
    package let region: MeterRegion
    package let packets: Int
    /// Of the packets without what carries them (Ethernet).
    package let bytes: Int

    package init(
        place: String, counter: String, routerID: String, region: MeterRegion, packets: Int, bytes: Int
    ) {
        self.place = place
        self.counter = counter
        self.routerID = routerID
        self.region = region
        self.packets = packets
        self.bytes = bytes
    }
}

/// A back end that counts what routers forward. A packet is in one counter at most: that of the smallest region it is
/// in, of the closure of all regions of a router.
package protocol TrafficMeter: Sendable {
    /// All counters there are, and the switches that could be asked; others may have counters that are not told now.
    func readings() async throws(Fault) -> (places: [String], readings: [MeterReading])
}

/// Counts what it is told to have forwarded.
package actor FakeTrafficMeter: TrafficMeter {
    private var counted: [MeterReading] = []
    package var places = ["fake"]

    package init() {}

    package func set(_ readings: [MeterReading]) { counted = readings }
    package func setPlaces(_ places: [String]) { self.places = places }
    package func readings() async throws(Fault) -> (places: [String], readings: [MeterReading]) {
        (places, counted.filter { places.contains($0.place) })
    }
}
