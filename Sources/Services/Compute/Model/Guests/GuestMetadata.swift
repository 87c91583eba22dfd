// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

/// Collects what a guest is told, for the metadata service and for the config drive: the same documents.
struct GuestMetadata {
    private let room: ComputeService
    private let requestID: String

    init(_ room: ComputeService) {
        self.room = room
        requestID = "req-" + room.ids.uuid()
    }

    func documents(of server: Server) -> GuestDocuments {
        GuestDocuments(server: server, options: room.options.metadata, ids: room.ids)
    }

    /// Volumes that guests know by tags.
    func taggedVolumes(_ server: Server) async throws(Fault) -> [BlockDevice] {
        try await BlockDevice.of(server.id, room.database).filter { $0.tag != nil }
    }

    /// The files of a server's config drive.
    func drive(for server: Server) async throws(Fault) -> ConfigDrive {
        var described = documents(of: server)
        described.volumes = try await taggedVolumes(server)
        described.files = try await InjectedFile.of(server.id, room.database)
        let documents = described
        let network = try await networkData(server).bytes()
        let vendor = try await vendorData(server)
        var files: [String: [UInt8]] = [:]
        for version in GuestDocuments.ec2Versions + ["latest"]
        where !room.options.metadata.skippedVersions.contains(version) {
            var document = documents.ec2(version)?.object ?? [:]
            if let key = document["public-keys"]?["0"]?["openssh-key"] {
                document["public-keys"] = ["0": ["openssh-key": key]]
            }
            files["ec2/\(version)/meta-data.json"] = JSON.object(document).bytes()
            if let data = documents.userData { files["ec2/\(version)/user-data"] = data }
        }
        for name in GuestDocuments.Version.allCases.map(\.rawValue) + ["latest"] {
            guard let version = GuestDocuments.Version.named(name) else { continue }
            for file in documents.listing(version) where file != "password" {
                let bytes: [UInt8]? =
                    switch file {
                    case "meta_data.json": documents.metaData(version, isDrive: true).bytes()
                    case "user_data": documents.userData
                    case "network_data.json": network
                    case "vendor_data.json": vendor.first.bytes()
                    default: vendor.second.bytes()
                    }
                files["openstack/\(name)/\(file)"] = bytes
            }
        }
        for file in documents.files { files["openstack/" + file.drivePath] = Base64.decode(file.contents) }
        var drive = ConfigDrive(files: files)
        drive.isVFAT = room.options.metadata.driveFormat == .vfat
        return drive
    }

    /// Asks Network for the ports' subnets: their servers, gateways and routes stand nowhere else.
    func networkData(_ server: Server) async throws(Fault) -> JSON {
        guard !server.ports.isEmpty else { return ["links": [], "networks": [], "services": []] }
        let ports = try await room.network.ports([("device_id", server.id)], requestID: requestID)
        var subnets: [String: NetworkClient.Subnet] = [:]
        for network in Set(ports.map(\.networkID)).sorted() {
            for subnet in try await room.network.subnets(of: network, requestID: requestID) {
                subnets[subnet.id] = subnet
            }
        }
        return NetworkDocument(server, ports: ports, subnets: subnets).json
    }

    /// `vendor_data.json`, which is what the operator keeps in a file, and `vendor_data2.json`, which has what services
    /// add besides.
    func vendorData(_ server: Server, needsSecond: Bool = true) async throws(Fault) -> (first: JSON, second: JSON) {
        let vendor = VendorData(room)
        let fixed = vendor.fixed()
        var second: JSONObject = [:]
        if needsSecond {
            for provider in room.options.metadata.vendorProviders {
                if provider == "StaticJSON" {
                    second["static"] = fixed
                } else {
                    for (name, value) in try await vendor.dynamic(for: server) where second[name] == nil {
                        second[name] = value
                    }
                }
            }
        }
        return (fixed, .object(second))
    }
}
