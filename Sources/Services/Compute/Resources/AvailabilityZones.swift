// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Zones are made by aggregates; hosts in none are in the usual one.
enum AvailabilityZones {
    /// `[DEFAULT] default_availability_zone`.
    static let usual = "nova"

    /// The zone of each host that is not in the usual one.
    static func byHost(_ database: Database) async throws(Fault) -> [String: String] {
        var zones: [String: String] = [:]
        for aggregate in try await database.all(Aggregate.self) {
            guard let zone = aggregate.metadata["availability_zone"] else { continue }
            for host in aggregate.hosts { zones[host] = zone }
        }
        return zones
    }
}
