// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What only few ports say of themselves, kept together in one column.
package struct PortExtras: Codable, Sendable, Hashable {
    /// For the back end's fine tuning.
    var hints: JSONObject?
    var numaAffinityPolicy: String?
    var deviceProfile: String?
    /// Whether the guest may do what only a trusted virtual function may.
    var trusted: Bool?
    /// What somebody who watches the wires said of them.
    var dataPlaneStatus: String?
    var hardwareOffloadType: String?
    var propagatesUplinkStatus: Bool?
    /// `none` for a port that was asked for without addresses, `deferred` until its host is known.
    var allocation: String?
    /// Its place in a private network.
    var pvlanType: String?
    var pvlanCommunity: String?
}

/// The same members as asked for; nil is what was not said.
struct AskedExtras: Sendable {
    private var hints: JSONObject??
    private var numaAffinityPolicy: String??
    private var deviceProfile: String??
    private var trusted: Bool??
    private var dataPlaneStatus: String??
    private var hardwareOffloadType: String??
    private var propagatesUplinkStatus: Bool?

    init() {}

    init(_ body: inout Body) throws(Fault) {
        hints = try body.patch("hints", .object)
        if case .some(.some(let asked)) = hints { try AskedExtras.check(asked) }
        numaAffinityPolicy = try body.patch(
            "numa_affinity_policy", .among("required", "preferred", "legacy", "socket"))
        deviceProfile = try body.patch("device_profile", .string())
        trusted = try body.patch("trusted", .truth)
        dataPlaneStatus = try body.patch("data_plane_status", .among("ACTIVE", "DOWN"))
        hardwareOffloadType = try body.patch("hardware_offload_type", .among("switchdev"))
        propagatesUplinkStatus = try body.take("propagate_uplink_status", .truth)
    }

    /// The one hint that is known: `{"openvswitch": {"other_config": {"tx-steering": "hash"}}}`.
    private static func check(_ hints: JSONObject) throws(Fault) {
        func refuse(_ value: JSON) -> Fault {
            .httpBadRequest("Invalid input for hints. Reason: '\(value.text())' is not a hint that is known.")
        }
        for (name, value) in hints {
            guard name == "openvswitch", let inner = value.object else { throw refuse(.object(hints)) }
            for (name, value) in inner {
                guard name == "other_config", let config = value.object else { throw refuse(.object(hints)) }
                for (name, value) in config {
                    guard name == "tx-steering", ["hash", "thread"].contains(value.string ?? "") else {
                        throw refuse(.object(hints))
                    }
                }
            }
        }
    }

    /// Upstream takes some members only when a port is made.
    func checkUpdate() throws(Fault) {
        for (name, isSaid) in [
            ("device_profile", deviceProfile != nil), ("hardware_offload_type", hardwareOffloadType != nil),
        ]
        where isSaid {
            throw .httpBadRequest("Cannot update read-only attribute \(name)")
        }
    }

    func apply(to extras: inout PortExtras) {
        if let hints { extras.hints = hints }
        if let numaAffinityPolicy { extras.numaAffinityPolicy = numaAffinityPolicy }
        if let deviceProfile { extras.deviceProfile = deviceProfile }
        if let trusted { extras.trusted = trusted }
        if let dataPlaneStatus { extras.dataPlaneStatus = dataPlaneStatus }
        if let hardwareOffloadType { extras.hardwareOffloadType = hardwareOffloadType }
        if let propagatesUplinkStatus { extras.propagatesUplinkStatus = propagatesUplinkStatus }
    }
}

extension PortExtras {
    func write(_ view: inout View, sees: (hints: Bool, trusted: Bool)) {
        if sees.hints { view.put("hints", hints.map { JSON.object($0) }) }
        if sees.trusted { view.put("trusted", trusted) }
        view.put("numa_affinity_policy", numaAffinityPolicy)
        view.put("device_profile", deviceProfile)
        view.put("data_plane_status", dataPlaneStatus)
        view.put("hardware_offload_type", hardwareOffloadType)
        view.put("propagate_uplink_status", propagatesUplinkStatus ?? true)
        view.put("ip_allocation", allocation ?? "immediate")
        view.put("pvlan_type", pvlanType)
        view.put("pvlan_community", pvlanCommunity)
    }
}
