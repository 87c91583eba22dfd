// SPDX-License-Identifier: Apache-2.0
import Compute
import Glibc
import HypervisorLibvirt
import Kernel
import Synchronization

/// A libvirt daemon and an Open vSwitch database of the test's own, in a network namespace of their own; nothing of the
/// machine's libvirt is seen or touched.
final class PrivateLibvirt: Sendable {
    static let programs = [
        "libvirtd", "virtlogd", "virsh", "qemu-system-x86_64", "qemu-img", "genisoimage", "ip", "ovsdb-server",
        "ovsdb-tool", "ovs-vsctl",
    ]
    static var isPossible: Bool { getuid() == 0 && programs.allSatisfy { Subprocess.locate($0) != nil } }

    let directory: String
    let namespace: NetworkNamespace
    let pool = BlockingPool(name: "libvirt", threads: 8, queue: 256)
    private let log: ChildProcess
    private let switchDatabase: ChildProcess
    private let daemon = Mutex<ChildProcess?>(nil)
    /// How control groups are mounted for the daemon; nil without any.
    private let groups: String?

    var uri: String { "qemu+unix:///system?socket=\(directory)/run/libvirt/libvirt-sock" }
    var switchSocket: String { directory + "/ovs.sock" }
    var data: String { directory + "/data" }

    /// Runs a test beside a daemon and clears everything away afterwards.
    /// - Parameter certificates: the folder that QEMU has those for migrations from.
    static func with(groups: String? = nil, certificates: String? = nil, _ body: (PrivateLibvirt) async throws -> Void)
        async throws
    {
        let id = Hex.encode(RandomIdentifiers().bytes(3))
        let host = try PrivateLibvirt(
            directory: "/tmp/apus-\(id)", namespace: NetworkNamespace("apus-\(id)"), groups: groups,
            certificates: certificates)
        do {
            try await host.startDaemon()
            try await body(host)
        } catch {
            await host.clear()
            throw error
        }
        await host.clear()
    }

    private init(
        directory: String, namespace: NetworkNamespace, groups: String?, certificates: String?
    ) throws {
        self.groups = groups
        self.directory = directory
        self.namespace = namespace
        for name in ["etc", "varlib", "varcache", "run", "varlog", "data"] {
            try FileSystem.makeDirectory("\(directory)/\(name)")
        }
        let daemon = [
            "unix_sock_rw_perms=\"0700\"", "auth_unix_rw=\"none\"", "auth_unix_ro=\"none\"",
            "host_uuid=\"\(RandomIdentifiers().uuid())\"", "",
        ]
        try FileSystem.write(daemon.joined(separator: "\n"), to: directory + "/etc/libvirtd.conf")
        let qemu = [
            "user=\"root\"", "group=\"root\"", "dynamic_ownership=0", "remember_owner=0", "security_driver=\"none\"",
            "swtpm_user=\"root\"", "swtpm_group=\"root\"",
            "namespaces=[]", "cgroup_controllers=[\(groups == nil ? "" : "\"cpu\"")]", "stdio_handler=\"logd\"",
            certificates.map { "migrate_tls_x509_cert_dir=\"\($0)\"" } ?? "", "",
        ]
        try FileSystem.write(qemu.joined(separator: "\n"), to: directory + "/etc/qemu.conf")
        _ = try namespace.create()
        let schema = "/usr/share/openvswitch/vswitch.ovsschema"
        try Subprocess.check(["ovsdb-tool", "create", directory + "/ovs.db", schema])
        switchDatabase = try Subprocess.spawn(
            [
                "ovsdb-server", "--no-chdir", "--remote=punix:\(directory)/ovs.sock", "--unixctl=\(directory)/ovs.ctl",
                directory + "/ovs.db",
            ], log: directory + "/ovsdb.log")
        log = try Subprocess.spawn(["virtlogd"], log: directory + "/virtlogd.log", in: Self.place(directory, namespace))
        try Subprocess.check(vsctl("--retry", "--timeout=20", "init"), timeout: .seconds(30))
        try Subprocess.check(vsctl("add-br", "br-int"))
    }

    private static func place(_ directory: String, _ namespace: NetworkNamespace) -> Base.Surroundings {
        Base.Surroundings(
            network: namespace,
            binds: [
                .init(directory + "/etc", over: "/etc/libvirt"), .init(directory + "/varlib", over: "/var/lib/libvirt"),
                .init(directory + "/varcache", over: "/var/cache/libvirt"),
                .init(directory + "/varlog", over: "/var/log/libvirt"), .init(directory + "/run", over: "/run"),
            ])
    }

    func stopDaemon() async {
        await daemon.withLock { $0 }?.terminate(grace: .seconds(10))
    }

    /// Starts the daemon and waits until it answers.
    func startDaemon() async throws {
        // A name of its own: libvirt sends no guest to a host that is called as its own is.
        let daemon = try Subprocess.spawn(
            ["unshare", "--uts", "sh", "-c", "hostname \(namespace.name) && \(groups ?? "true") && exec libvirtd"],
            log: directory + "/libvirtd.log", in: Self.place(directory, namespace))
        let watch = Stopwatch()
        while try Subprocess.runBlocking(["virsh", "-c", uri, "version"], timeout: .seconds(60)).status != 0 {
            guard watch.elapsed < .seconds(60), daemon.isRunning else {
                throw Fault.unavailable("libvirtd: \(FileSystem.text(directory + "/libvirtd.log") ?? "")")
            }
            try await Task.sleep(for: .milliseconds(50))
        }
        self.daemon.withLock { $0 = daemon }
    }

    private func clear() async {
        let names = try? Subprocess.check(["virsh", "-c", uri, "list", "--all", "--name"])
        for name in (names ?? "").split(separator: "\n") {
            _ = try? Subprocess.runBlocking(["virsh", "-c", uri, "destroy", String(name)], timeout: .seconds(20))
        }
        await stopDaemon()
        await log.terminate(grace: .seconds(5))
        await switchDatabase.terminate(grace: .seconds(5))
        try? namespace.delete()
        FileSystem.remove(directory)
    }

    /// A driver for this host: a new value is what a restarted process has.
    /// - Parameter address: where other hosts reach this one.
    func hypervisor(
        address: String = "127.0.0.1", secrets: (any SecretStore)? = nil,
        _ change: (inout LibvirtSettings) -> Void = { _ in }
    ) -> LibvirtHypervisor {
        var settings = LibvirtSettings(uri: uri, dataDirectory: data, accelerator: .tcg, hostName: "test")
        settings.hostIP = address
        settings.moduleDirectory = directory + "/varlib/swtpm"
        change(&settings)
        return LibvirtHypervisor(
            settings,
            plug: OpenVSwitchPlug(namespace: namespace.name, database: switchSocket, pool: pool), pool: pool,
            secrets: secrets)
    }

    func vsctl(_ words: String...) -> [String] {
        ["ovs-vsctl", "--db=unix:\(switchSocket)", "--no-wait"] + words
    }

    /// Names of the network devices in the namespace.
    func devices() throws -> [String] {
        try Subprocess.check(["ip", "-n", namespace.name, "-o", "link", "show"]).split(separator: "\n").compactMap {
            $0.split(separator: " ").dropFirst().first.map { String($0.dropLast()) }
        }
    }

    func virsh(_ words: String...) throws -> String { try Subprocess.check(["virsh", "-c", uri] + words) }

    /// A guest as small as one can be: its disk is empty, so it stays in the firmware.
    func spec(_ number: Int) -> GuestSpec {
        var spec = GuestSpec(
            server: RandomIdentifiers().uuid(), instanceName: GuestSpec.instanceName(number),
            title: "guest <\(number)>", vcpus: 1, memoryMiB: 32, rootDiskGiB: 1)
        spec.nics = [
            GuestNIC(
                portID: RandomIdentifiers().uuid(), mac: "fa:16:3e:00:01:\(Hex.encode([UInt8(number)]))", mtu: 1442,
                addresses: ["10.0.0.\(number)"])
        ]
        spec.configDrive = ConfigDrive(files: ["openstack/latest/meta_data.json": Array("{}".utf8)])
        return spec
    }
}
