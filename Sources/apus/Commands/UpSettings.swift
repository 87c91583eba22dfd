// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What `apus up` was asked for.
struct UpSettings: Sendable {
    enum HypervisorKind: String { case libvirt, fake }
    enum NetworkKind: String { case ovn, fake }

    let data: String
    let hypervisor: HypervisorKind
    let network: NetworkKind
    let hosts: Int
    let offset: Int
    let listen: String
    let passwordRounds: Int

    static let flags = [
        "data", "hypervisor", "hosts", "network", "port-offset", "listen", "password-rounds",
    ]

    init(_ flags: Flags) throws(Fault) {
        guard let data = flags["data"], !data.isEmpty else {
            throw .badRequest("apus up: --data DIR says where the cloud is kept; it is made when it is missing")
        }
        self.data = FileSystem.absolute(data)
        hypervisor = HypervisorKind(rawValue: try flags.choice("hypervisor", ["libvirt", "fake"])) ?? .libvirt
        network =
            flags["network"] == nil && hypervisor == .fake
            ? .fake : NetworkKind(rawValue: try flags.choice("network", ["ovn", "fake"])) ?? .ovn
        hosts = try flags.integer("hosts", in: 1...20_000, default: 1)
        offset = try flags.integer("port-offset", in: 0...50_000, default: 0)
        listen = flags["listen"] ?? "127.0.0.1"
        passwordRounds = try flags.integer("password-rounds", in: 4...16, default: 12)
        guard hypervisor == .fake || hosts == 1 else {
            throw .badRequest("apus up: --hosts is for made-up hosts; add --hypervisor fake")
        }
        guard hypervisor == .fake || network == .ovn else {
            throw .badRequest("apus up: real guests need the real network; drop --network fake")
        }
    }

    var needsEngines: Bool { hypervisor == .libvirt || network == .ovn }

    /// The address of a service as clients reach it.
    func url(_ port: Int) -> String { "http://\(listen == "0.0.0.0" ? "127.0.0.1" : listen):\(port + offset)" }
}
