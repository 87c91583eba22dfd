// SPDX-License-Identifier: Apache-2.0
internal import Base

/// The way from the outside namespace to the machine's own networks, off unless asked for: one nftables table and, for
/// an outside in its own namespace, a cable to the machine.
struct AddressTranslation {
    let paths: EnginePaths
    let options: EngineOptions

    private static let forwarding = "/proc/sys/net/ipv4/ip_forward"
    private static func table(_ paths: EnginePaths) -> String { "apus_\(paths.digest)" }

    /// - Parameter outer: the link that holds the external gateway.
    func start(outer: String) throws(Fault) {
        var source = network(options.externalGateway)
        if options.external == .namespace {
            source = try plug()
            try translate(options.externalGateway, except: outer, in: Surroundings(network: paths.externalNamespace))
        }
        try translate(source, except: paths.prefix, in: .own)
        let before = FileSystem.text(Self.forwarding)?.trimmedOfSpace ?? "0"
        // What an earlier, killed run found is the machine's own setting; ours is not.
        if !FileSystem.exists(paths.hostForwarding) { try FileSystem.write(before, to: paths.hostForwarding) }
        try Subprocess.check(["sysctl", "-qw", "net.ipv4.ip_forward=1"])
    }

    static func remove(_ paths: EnginePaths) throws(Fault) {
        guard let before = FileSystem.text(paths.hostForwarding) else { return }
        _ = try Subprocess.runBlocking(["nft", "delete", "table", "ip", table(paths)], timeout: .seconds(5))
        let tables = try Subprocess.runBlocking(["nft", "list", "tables", "ip"], timeout: .seconds(5)).text
        // Another cloud on this machine may still need it.
        if before == "0" && !tables.contains(" apus_") {
            try Subprocess.check(["sysctl", "-qw", "net.ipv4.ip_forward=0"])
        }
        FileSystem.remove(paths.hostForwarding)
    }

    /// A cable between the outside namespace and the machine, with two addresses of a /30 chosen by the cloud's digest
    /// from the range for carriers' translators (RFC 6598).
    private func plug() throws(Fault) -> String {
        let number = paths.digest.utf8.reduce(UInt32(0)) { $0 &* 31 &+ UInt32($1) } & 0xF_FFFF
        let base = UInt32(100) << 24 | UInt32(64) << 16 | number << 2
        func dotted(_ value: UInt32) -> String {
            (0..<4).reversed().map { "\(value >> (UInt32($0) * 8) & 255)" }.joined(separator: ".")
        }
        let (link, outside) = ("\(paths.prefix)-n", paths.externalNamespace.name)
        try Subprocess.check([
            "ip", "link", "add", link, "type", "veth", "peer", "name", "uplink", "netns", outside,
        ])
        let near = "addr replace \(dotted(base + 1))/30 dev \(link)\nlink set \(link) up\n"
        let far = """
            addr replace \(dotted(base + 2))/30 dev uplink
            link set uplink up
            route replace default via \(dotted(base + 1))

            """
        try Subprocess.check(["ip", "-batch", "-"], input: Array(near.utf8))
        try Subprocess.check(["ip", "-n", outside, "-batch", "-"], input: Array(far.utf8))
        try Subprocess.check(
            ["sysctl", "-qw", "net.ipv4.ip_forward=1"], in: Surroundings(network: paths.externalNamespace))
        return "\(dotted(base))/30"
    }

    private func translate(_ source: String, except link: String, in place: Surroundings) throws(Fault) {
        let name = Self.table(paths)
        let rules = """
            table ip \(name) {}
            delete table ip \(name)
            table ip \(name) {
                chain postrouting {
                    type nat hook postrouting priority 100
                    ip saddr \(network(source)) oifname != "\(link)*" masquerade
                }
            }

            """
        try Subprocess.check(["nft", "-f", "-"], input: Array(rules.utf8), in: place)
    }

    /// The network of an address with its prefix length.
    private func network(_ address: String) -> String {
        let parts = address.split(separator: "/")
        let value = parts[0].split(separator: ".").reduce(UInt32(0)) { $0 << 8 | (UInt32($1) ?? 0) }
        let length = UInt32(parts[1]) ?? 32
        let masked = length == 0 ? 0 : (value >> (32 - length)) << (32 - length)
        return (0..<4).reversed().map { "\(masked >> (UInt32($0) * 8) & 255)" }.joined(separator: ".") + "/\(length)"
    }
}
