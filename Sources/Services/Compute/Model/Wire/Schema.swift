// SPDX-License-Identifier: Apache-2.0
import Kernel

/// The flavor a server was made with, kept with it: the flavor may be deleted while the server lives.
struct FlavorSnapshot: Codable, Sendable, Hashable {
    var id: String
    var name: String
    var vcpus: Int
    var memoryMiB: Int
    var diskGiB: Int
    var ephemeralGiB: Int
    var swapMiB: Int
    var extraSpecs: [String: String]
}

/// A server's end of a network, as last told by Network: what `addresses` is written from.
struct ServerPort: Codable, Sendable, Hashable {
    struct Address: Codable, Sendable, Hashable {
        var address: String
        var version: Int
        /// `fixed` or `floating`.
        var kind: String
    }

    var portID: String
    var networkID: String
    var label: String
    var mac: String
    var mtu: Int
    var addresses: [Address]
    /// Whether Compute made the port and so deletes it with the server.
    var isOurs: Bool
    var tag: String?
    /// What the port is when it is no tap.
    var card: PortCard?
}

extension ServerPort: NestedReadable {
    init?(json: JSON) {
        guard let object = json.object, let portID = object["portID"]?.string,
            let networkID = object["networkID"]?.string, let label = object["label"]?.string,
            let mac = object["mac"]?.string, let mtu = object["mtu"]?.integer, let isOurs = object["isOurs"]?.bool,
            let addresses = object["addresses"].flatMap([Address].init(json:))
        else { return nil }
        self.init(
            portID: portID, networkID: networkID, label: label, mac: mac, mtu: Int(mtu), addresses: addresses,
            isOurs: isOurs, tag: object["tag"]?.string, card: object["card"].flatMap(PortCard.init(json:)))
    }
}

extension ServerPort.Address: NestedReadable {
    init?(json: JSON) {
        guard let object = json.object, let address = object["address"]?.string,
            let version = object["version"]?.integer, let kind = object["kind"]?.string
        else { return nil }
        self.init(address: address, version: Int(version), kind: kind)
    }
}

/// A network or port as asked for at create.
struct RequestedNetwork: Codable, Sendable, Hashable {
    var networkID: String?
    var portID: String?
    var fixedIP: String?
    var tag: String?
    /// What the port is when it is no tap.
    var card: PortCard?
}

/// What was asked of the scheduler: hints, a zone, a named host.
struct SchedulingRequest: Codable, Sendable, Hashable {
    var hints: [String: JSON] = [:]
    var zone: String?
    var host: String?
    var node: String?
    /// Whether the host was named by `zone:host:node`, which asks no filter.
    var isForced: Bool?
    /// Hosts that failed to start the server, so that it is tried on others.
    var tried: [String]?
    /// The image's disk format, for hosts that say which they support.
    var imageFormat: String?
    /// Whether the root disk is a volume, which takes nothing of the host's.
    var isVolumeBacked: Bool?
}

extension SchedulingRequest {
    /// As the column holds it.
    static func text(_ request: SchedulingRequest) throws(Fault) -> String {
        do { return try JSON.encode(request).text() } catch {
            throw .internalError("what was asked of the scheduler could not be stored: \(error)")
        }
    }
}

/// Why a server is in ERROR.
struct ServerFault: Codable, Sendable, Hashable {
    var code: Int
    var message: String
    var details: String
    var at: Timestamp
}
