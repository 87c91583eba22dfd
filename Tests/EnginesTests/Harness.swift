// SPDX-License-Identifier: Apache-2.0
import Base
import Glibc
import Synchronization

@testable import Engines

/// What a machine must have for these tests, as the sentence to skip with.
enum Machine {
    static let programs = [
        "ip", "ethtool", "ovsdb-server", "ovsdb-tool", "ovs-vswitchd", "ovs-vsctl", "ovs-appctl", "ovn-northd",
        "ovn-controller", "ovn-nbctl", "ovn-sbctl", "libvirtd", "virtlogd", "virsh", "qemu-system-x86_64",
    ]

    static let isRoot = geteuid() == 0
    static let hasEngines = isRoot && programs.allSatisfy { Subprocess.locate($0) != nil }
    static let why: String = {
        let missing = programs.filter { Subprocess.locate($0) == nil }
        let lacks = (isRoot ? [] : ["root"]) + missing
        return "needs root, Open vSwitch, OVN, libvirt and QEMU; here is no \(lacks.joined(separator: ", no "))"
    }()
}

/// Engines in a folder of their own, and what they told.
final class TestEngines: Sendable {
    let folder: String
    let engines: Engines
    let pool: BlockingPool
    let told: AsyncStream<EngineEvent>
    private let kept = Mutex<[EngineEvent]>([])

    init(
        _ options: EngineOptions = EngineOptions(), folder: String? = nil, hypervisor: Bool = false
    ) throws(Fault) {
        self.folder = folder ?? TestEngines.freshFolder()
        pool = BlockingPool(name: "test-engines", threads: 8, queue: 64)
        var options = options
        options.hypervisor = hypervisor
        if options.southbound == nil { options.chassisName = "chassis" }
        if !options.cacheDirectory.hasPrefix("/tmp/") { options.cacheDirectory = "/tmp/apus-test-cache" }
        let (stream, yield) = AsyncStream.makeStream(of: EngineEvent.self)
        told = stream
        let record: @Sendable (EngineEvent) -> Void = { yield.yield($0) }
        engines = try Engines(dataDirectory: self.folder, options: options, pool: pool, report: record)
    }

    static func freshFolder() -> String { "/tmp/apus-test-\(RandomIdentifiers().hex().prefix(8))" }

    var paths: EnginePaths { engines.paths }

    /// Runs the body with everything up, then stops it, whatever happens.
    func with(_ body: @Sendable (Engines) async throws -> Void) async throws {
        try await engines.start()
        do { try await body(engines) } catch {
            try await engines.stop()
            throw error
        }
        try await engines.stop()
    }

    /// Waits for an event that is told from now on or was told and not yet read.
    func wait(for wanted: @Sendable (EngineEvent) -> Bool) async -> EngineEvent? {
        for await event in told where wanted(event) { return event }
        return nil
    }

    var leftProcesses: [Int32] {
        ProcessTable.all().filter { pid in ProcessTable.arguments(pid).contains { $0.contains("\(folder)/") } }
    }
    var leftNamespaces: [String] { FileSystem.list("/run/netns").filter { $0.hasPrefix(paths.prefix) } }
    var leftLinks: [String] { FileSystem.list("/sys/class/net").filter { $0.hasPrefix(paths.prefix) } }
    var leftNothing: Bool { leftProcesses.isEmpty && leftNamespaces.isEmpty && leftLinks.isEmpty }
}

func output(_ argv: [String], _ place: Surroundings = .own) throws(Fault) -> String {
    try Subprocess.check(argv, timeout: .seconds(60), in: place).trimmedOfSpace
}

/// Carries out one transaction of ovn-nbctl, written as on its command line but with `=` for a space inside a word.
func network(_ engines: Engines, _ transaction: String) throws(Fault) {
    let words = transaction.split(whereSeparator: \.isWhitespace).map { word in
        word.hasPrefix("fa:") ? String(word.map { $0 == "=" ? " " : $0 }) : String(word)
    }
    _ = try output(["ovn-nbctl", "--timeout=10", "--db=\(engines.paths.northbound)"] + words)
}

/// A guest without a machine: a namespace on a cable, as OVN sees it the same, with port `p<number>` and the address
/// 10.0.0.1<number>. Its name makes it go with the cloud.
func plugGuest(_ engines: Engines, number: Int) throws(Fault) -> NetworkNamespace {
    let (chassis, guest) = (engines.paths.prefix, NetworkNamespace("\(engines.paths.prefix)-guest"))
    let link = "g\(number)"
    try guest.create()
    let cable = ["type", "veth", "peer", "name", "eth0", "netns", guest.name]
    _ = try output(["ip", "link", "add", link, "netns", chassis] + cable)
    _ = try output(["ip", "-n", chassis, "link", "set", link, "up"])
    let batch = """
        link set eth0 address fa:16:3e:00:00:0\(number)
        link set eth0 mtu \(EngineOptions.tunnelMTU)
        link set eth0 up
        addr add 10.0.0.1\(number)/24 dev eth0
        route add default via 10.0.0.1

        """
    try Subprocess.check(["ip", "-n", guest.name, "-batch", "-"], input: Array(batch.utf8))
    for (device, namespace) in [(link, engines.paths.chassisNamespace), ("eth0", guest)] {
        _ = try output(["ethtool", "-K", device, "tx", "off"], Surroundings(network: namespace))
    }
    _ = try output([
        "ovs-vsctl", "--timeout=10", "--db=\(engines.paths.switchDatabase)", "add-port", "br-int", link, "--",
        "set", "Interface", link, "external-ids:iface-id=p\(number)",
    ])
    return guest
}
