// SPDX-License-Identifier: Apache-2.0
import Kernel

/// The documents that a guest may read of itself, each as it was when its version was published, in OpenStack's and in
/// EC2's form (nova/api/metadata/base.py).
struct GuestDocuments {
    /// OpenStack's versions, oldest first.
    enum Version: String, CaseIterable, Comparable {
        case folsom = "2012-08-10"
        case grizzly = "2013-04-04"
        case havana = "2013-10-17"
        case liberty = "2015-10-15"
        case newtonOne = "2016-06-30"
        case newtonTwo = "2016-10-06"
        case ocata = "2017-02-22"
        case rocky = "2018-08-27"
        case victoria = "2020-10-14"
        case epoxy = "2025-04-04"

        static func < (left: Version, right: Version) -> Bool { left.rawValue < right.rawValue }

        /// As a path names it.
        static func named(_ text: String) -> Version? { text == "latest" ? .epoxy : Version(rawValue: text) }
    }

    static let ec2Versions = [
        "1.0", "2007-01-19", "2007-03-01", "2007-08-29", "2007-10-10", "2007-12-15", "2008-02-01", "2008-09-01",
        "2009-04-04",
    ]

    let server: Server
    let options: MetadataOptions
    let ids: any Identifiers
    /// Where the guest's tagged devices are, by MAC address or disk serial; empty before it is there.
    var places: [String: GuestDevicePlace] = [:]
    /// Volumes that were given tags.
    var volumes: [BlockDevice] = []
    /// Files that lie on the drive.
    var files: [InjectedFile] = []

    var hostname: String {
        options.domain.isEmpty ? server.hostname : server.hostname + "." + options.domain
    }

    var userData: [UInt8]? { server.userData.flatMap { Base64.decode($0) } }

    /// What a version has, in the order in which upstream lists it.
    func listing(_ version: Version) -> [String] {
        var names = ["meta_data.json"]
        if userData != nil { names.append("user_data") }
        if version >= .grizzly { names.append("password") }
        if version >= .havana { names.append("vendor_data.json") }
        if version >= .liberty { names.append("network_data.json") }
        if version >= .newtonTwo { names.append("vendor_data2.json") }
        return names
    }

    /// - Parameter isDrive: the administrator's password goes onto the drive alone; any process in the guest may ask
    ///   the service.
    func metaData(_ version: Version, isDrive: Bool = false) -> JSON {
        var document: JSONObject = ["uuid": .string(server.id)]
        if !server.metadata.isEmpty {
            document["meta"] = .object(
                JSONObject(server.metadata.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) }))
        }
        if !files.isEmpty {
            document["files"] = .array(
                files.map { ["path": .string($0.path), "content_path": .string("/" + $0.drivePath)] })
        }
        if isDrive, let password = server.adminPassword { document["admin_pass"] = .string(password) }
        if let name = server.keyName, let key = server.keyPublic {
            let kind = key.hasPrefix("-----BEGIN CERTIFICATE") ? "x509" : "ssh"
            document["public_keys"] = [name: .string(key)]
            document["keys"] = [["name": .string(name), "type": .string(kind), "data": .string(key)]]
        }
        document["hostname"] = .string(hostname)
        document["name"] = .string(server.name)
        document["launch_index"] = .integer(Int64(server.launchIndex))
        document["availability_zone"] = .string(server.zone ?? AvailabilityZones.usual)
        // Fresh at each reading, as upstream's: a seed that others can work out is none.
        if version >= .grizzly { document["random_seed"] = .string(Base64.encode(ids.bytes(512))) }
        if version >= .liberty { document["project_id"] = .string(server.projectID) }
        if version >= .newtonOne { document["devices"] = .array(devices(version)) }
        if version >= .victoria { document["dedicated_cpus"] = .array(dedicated.map { .integer(Int64($0)) }) }
        return .object(document)
    }

    private var dedicated: [Int] { (server.numa?.cells ?? []).flatMap(\.pinned).sorted() }

    /// Devices that were given tags at creation or when they were attached.
    private func devices(_ version: Version) -> [JSON] {
        server.ports.compactMap { port in
            guard let tag = port.tag else { return nil }
            let place = places[port.mac.lowercased()]
            var device: JSONObject = [:]
            if version >= .rocky { device["vf_trusted"] = false }
            device["type"] = "nic"
            device["mac"] = .string(port.mac)
            device["bus"] = .string(place?.bus ?? "none")
            device["address"] = .string(place?.address ?? "none")
            device["tags"] = [.string(tag)]
            return .object(device)
        } + volumes.compactMap(disk)
    }
}

extension GuestDocuments {
    /// A volume is known in the guest by its serial number, which begins with its id.
    fileprivate func disk(_ volume: BlockDevice) -> JSON? {
        guard let tag = volume.tag, let id = volume.volumeID else { return nil }
        let place = places[id] ?? places[String(id.prefix(20))]
        return [
            "type": "disk", "serial": .string(id), "bus": .string(place?.bus ?? "none"),
            "address": .string(place?.address ?? "none"), "tags": [.string(tag)],
        ]
    }
}

// MARK: - EC2

extension GuestDocuments {
    /// The `meta-data` tree of a version; nil when there is no such version.
    func ec2(_ wanted: String, address: String? = nil) -> JSON? {
        let version = wanted == "latest" ? Self.ec2Versions.last ?? wanted : wanted
        guard Self.ec2Versions.contains(version) else { return nil }
        func isSince(_ first: String) -> Bool { version >= first }
        let addresses = server.ports.flatMap(\.addresses)
        let fixed = addresses.first { $0.kind == "fixed" && $0.version == 4 }?.address ?? address ?? ""
        let digits = String(server.number, radix: 16)
        let number = String(repeating: "0", count: max(0, 8 - digits.count)) + digits
        var document: JSONObject = [
            "ami-id": .string("ami-" + number), "ami-launch-index": .integer(Int64(server.launchIndex)),
            "ami-manifest-path": .string("FIX" + "ME"), "instance-id": .string("i-" + number),
            "hostname": .string(hostname),
            "local-ipv4": .string(fixed), "reservation-id": .string(server.reservationID),
            "security-groups": .array(server.securityGroups.map(JSON.string)),
        ]
        if let name = server.keyName, let key = server.keyPublic {
            document["public-keys"] = ["0": ["_name": .string("0=" + name), "openssh-key": .string(key)]]
        }
        if isSince("2007-01-19") {
            document["local-hostname"] = .string(hostname)
            document["public-hostname"] = .string(hostname)
            document["public-ipv4"] = .string(addresses.first { $0.kind == "floating" }?.address ?? "")
        }
        if isSince("2007-08-29") { document["instance-type"] = .string(server.flavor.name) }
        if isSince("2007-12-15") { document["block-device-mapping"] = mappings }
        if isSince("2008-02-01") {
            document["placement"] = ["availability-zone": .string(server.zone ?? AvailabilityZones.usual)]
        }
        if isSince("2008-09-01") { document["instance-action"] = "none" }
        return .object(document)
    }

    /// EC2's names for the disks.
    private var mappings: JSON {
        let root = server.rootDeviceName ?? "/dev/vda"
        var names: JSONObject = [
            "ami": .string(root.hasPrefix("/dev/") ? String(root.dropFirst(5)) : root), "root": .string(root),
        ]
        var next: UInt8 = 98
        func name() -> JSON {
            defer { next += 1 }
            return .string("/dev/vd" + String(UnicodeScalar(next)))
        }
        if server.flavor.ephemeralGiB > 0 { names["ephemeral0"] = name() }
        if server.flavor.swapMiB > 0 { names["swap"] = name() }
        return .object(names)
    }
}
