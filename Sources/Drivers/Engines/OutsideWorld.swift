// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import Glibc

/// The namespaces and the cable between them: the chassis inside, and outside it the network that floating IPs are
/// reached from, in a namespace of its own or on the machine itself.
struct OutsideWorld: Engine {
    /// The end of the cable that is plugged into br-ex.
    static let inner = "ex0"

    let paths: EnginePaths
    let options: EngineOptions

    let name = "networks"
    let needs: [String] = []
    var pid: Int32? { nil }

    private var onHost: Bool { options.external == .host }
    /// The end of the cable outside.
    var outer: String { onHost ? paths.prefix : "eth0" }
    /// Selects the outside network for `ip`.
    private var outside: [String] { onHost ? [] : ["-n", paths.externalNamespace.name] }

    func start() throws(Fault) -> EngineStart {
        let fresh = try paths.chassisNamespace.create()
        if !onHost { try paths.externalNamespace.create() }
        try takeUnderlay()
        guard fresh || !isHealthy() else { return .adopted }
        let chassis = paths.chassisNamespace.name
        // A cable to an outside that is gone, or left by another choice of outside.
        _ = try Subprocess.runBlocking(["ip", "-n", chassis, "link", "delete", Self.inner], timeout: .seconds(5))
        var cable = ["ip", "link", "add", Self.inner, "netns", chassis, "type", "veth", "peer", "name", outer]
        if !onHost { cable += ["netns", paths.externalNamespace.name] }
        try Subprocess.check(cable)
        try Subprocess.check(["ip", "-n", chassis, "link", "set", Self.inner, "up"])
        let batch = "addr replace \(options.externalGateway) dev \(outer)\nlink set \(outer) up\n"
        try Subprocess.check(["ip"] + outside + ["-batch", "-"], input: Array(batch.utf8))
        // A packet socket does not fill in the checksums that a veth leaves to hardware, and TCP dies of it.
        try disableOffload(Self.inner, in: paths.chassisNamespace)
        try disableOffload(outer, in: onHost ? nil : paths.externalNamespace)
        if options.addressTranslation { try AddressTranslation(paths: paths, options: options).start(outer: outer) }
        return .started
    }

    func isHealthy() -> Bool {
        guard paths.chassisNamespace.exists, onHost || paths.externalNamespace.exists else { return false }
        let argv = ["ip"] + outside + ["-o", "link", "show", "dev", outer]
        return (try? Subprocess.runBlocking(argv, timeout: .seconds(5)))?.status == 0
    }

    func stop() throws(Fault) { try OutsideWorld.remove(paths) }

    /// Moves the tunnels' link into the chassis' namespace, and notes its name for giving it back.
    private func takeUnderlay() throws(Fault) {
        guard let link = options.underlay, !isThere(link) else { return }
        let chassis = paths.chassisNamespace
        try FileSystem.write(link, to: paths.borrowedLink)
        try Subprocess.check(["ip", "link", "set", "dev", link, "netns", chassis.name])
        try Subprocess.check(["ip", "-n", chassis.name, "link", "set", "dev", link, "up"])
        try disableOffload(link, in: chassis)
    }

    private func isThere(_ link: String) -> Bool {
        let argv = ["ip", "-n", paths.chassisNamespace.name, "link", "show", "dev", link]
        return (try? Subprocess.runBlocking(argv, timeout: .seconds(5)))?.status == 0
    }

    /// A physical link would find its way back by itself when its namespace ends, but to the machine's own network,
    /// which need not be the one it was taken from; others would be gone.
    private static func returnUnderlay(_ paths: EnginePaths) throws(Fault) {
        guard let link = FileSystem.text(paths.borrowedLink) else { return }
        let back = ["ip", "-n", paths.chassisNamespace.name, "link", "set", "dev", link, "netns", "\(getpid())"]
        _ = try Subprocess.runBlocking(back, timeout: .seconds(5))
        FileSystem.remove(paths.borrowedLink)
    }

    /// Takes away every namespace and link that carries this cloud's prefix, whichever options made them.
    static func remove(_ paths: EnginePaths) throws(Fault) {
        try AddressTranslation.remove(paths)
        try returnUnderlay(paths)
        for name in FileSystem.list("/sys/class/net") where name.hasPrefix(paths.prefix) {
            _ = try Subprocess.runBlocking(["ip", "link", "delete", name], timeout: .seconds(5))
        }
        for name in FileSystem.list("/run/netns") where name.hasPrefix(paths.prefix) {
            try NetworkNamespace(name).delete()
        }
        // The kernel may give the next namespace the same number.
        FileSystem.remove("\(paths.ovs)/namespace")
    }

    private func disableOffload(_ device: String, in namespace: NetworkNamespace?) throws(Fault) {
        try Subprocess.check(["ethtool", "-K", device, "tx", "off"], in: Surroundings(network: namespace))
    }
}
