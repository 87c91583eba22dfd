// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// What a guest may know of itself: the documents of the metadata service and of the config drive, in OpenStack's and
/// in EC2's form (nova/api/metadata/base.py).
struct GuestMetadata {
    /// OpenStack's versions, oldest first; every document is the newest one's.
    static let versions = [
        "2012-08-10", "2013-04-04", "2013-10-17", "2015-10-15", "2016-06-30", "2016-10-06", "2017-02-22", "2018-08-27",
        "2020-10-14",
    ]
    static let ec2Versions = [
        "1.0", "2007-01-19", "2007-03-01", "2007-08-29", "2007-10-10", "2007-12-15", "2008-02-01", "2008-09-01",
        "2009-04-04",
    ]

    private let room: ComputeService

    init(_ room: ComputeService) { self.room = room }

    /// The files of a server's config drive.
    func drive(for server: Server) async throws(Fault) -> ConfigDrive {
        let network = try await networkData(server)
        var files: [String: [UInt8]] = [:]
        for version in ["latest", "2020-10-14"] {
            files["openstack/\(version)/meta_data.json"] = metaData(server).bytes()
            files["openstack/\(version)/network_data.json"] = network.bytes()
            files["openstack/\(version)/vendor_data.json"] = Array("{}".utf8)
            files["openstack/\(version)/vendor_data2.json"] = Array("{\"static\": {}}".utf8)
            if let data = userData(server) { files["openstack/\(version)/user_data"] = data }
        }
        files["ec2/latest/meta-data.json"] = ec2(server).bytes()
        if let data = userData(server) { files["ec2/latest/user-data"] = data }
        return ConfigDrive(files: files)
    }

    func userData(_ server: Server) -> [UInt8]? { server.userData.flatMap { Base64.decode($0) } }

    func metaData(_ server: Server) -> JSON {
        var document = JSONObject([
            ("uuid", .string(server.id)), ("name", .string(server.name)), ("hostname", .string(server.hostname)),
            ("launch_index", .integer(Int64(server.launchIndex))), ("project_id", .string(server.projectID)),
            ("availability_zone", .string(server.zone ?? AvailabilityZones.usual)),
            // Fresh at each reading, as upstream's: a seed that others can work out is none.
            ("random_seed", .string(Base64.encode(room.ids.bytes(512)))),
            ("dedicated_cpus", []), ("devices", .array(devices(server))),
        ])
        if !server.metadata.isEmpty { document["meta"] = pairs(server.metadata) }
        if let name = server.keyName, let key = server.keyPublic {
            document["public_keys"] = [name: .string(key)]
            document["keys"] = [["name": .string(name), "type": "ssh", "data": .string(key)]]
        }
        if let password = server.adminPassword { document["admin_pass"] = .string(password) }
        return .object(document)
    }

    private func devices(_ server: Server) -> [JSON] {
        server.ports.compactMap { port in
            port.tag.map {
                ["type": "nic", "bus": "none", "address": "none", "mac": .string(port.mac), "tags": [.string($0)]]
            }
        }
    }

    private func pairs(_ pairs: [String: String]) -> JSON {
        .object(JSONObject(pairs.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) }))
    }

    /// Links, networks and services in the form cloud-init reads (nova/virt/netutils.py).
    func networkData(_ server: Server) async throws(Fault) -> JSON {
        var links: [JSON] = []
        var networks: [JSON] = []
        for port in server.ports {
            let tap = "tap" + port.portID.prefix(11)
            links.append([
                "id": .string(tap), "vif_id": .string(port.portID), "type": "ovs", "mtu": .integer(Int64(port.mtu)),
                "ethernet_mac_address": .string(port.mac),
            ])
            for (at, address) in port.addresses.filter({ $0.kind == "fixed" }).enumerated() {
                networks.append([
                    "id": .string("network\(networks.count)"), "link": .string(tap),
                    "type": .string(address.version == 4 ? "ipv4_dhcp" : "ipv6_dhcp"),
                    "network_id": .string(port.networkID), "sequence": .integer(Int64(at)),
                ])
            }
        }
        return ["links": .array(links), "networks": .array(networks), "services": []]
    }

    /// EC2's `meta-data` tree.
    func ec2(_ server: Server) -> JSON {
        let fixed = server.ports.flatMap(\.addresses).first { $0.kind == "fixed" && $0.version == 4 }?.address ?? ""
        let floating = server.ports.flatMap(\.addresses).first { $0.kind == "floating" }?.address ?? ""
        let digits = String(server.number, radix: 16)
        var document: JSONObject = [
            "ami-id": .string("ami-" + String(repeating: "0", count: max(0, 8 - digits.count)) + digits),
            "ami-launch-index": .integer(Int64(server.launchIndex)), "ami-manifest-path": "",
            "instance-id": .string("i-" + String(repeating: "0", count: max(0, 8 - digits.count)) + digits),
            "hostname": .string(server.hostname), "local-hostname": .string(server.hostname),
            "public-hostname": .string(server.hostname), "local-ipv4": .string(fixed), "public-ipv4": .string(floating),
            "reservation-id": .string(server.reservationID), "instance-action": "none",
            "instance-type": .string(server.flavor.name),
            "security-groups": .string(server.securityGroups.joined(separator: "\n")),
            "placement": ["availability-zone": .string(server.zone ?? AvailabilityZones.usual)],
            "block-device-mapping": ["ami": "vda", "root": "/dev/vda"],
        ]
        if let name = server.keyName, let key = server.keyPublic {
            document["public-keys"] = ["0": ["openssh-key": .string(key), "_name": .string("0=" + name)]]
        }
        return .object(document)
    }
}
