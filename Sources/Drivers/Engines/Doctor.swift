// SPDX-License-Identifier: Apache-2.0
package import Base
internal import Glibc

/// Looks at a machine and says what it lacks for a cloud and how to mend it. Changes nothing, but keeps the KVM verdict
/// where a data directory is.
package struct Doctor: Sendable {
    /// One finding.
    package struct Check: Sendable, Equatable {
        package enum Status: String, Sendable { case ok, warn, fail }

        package let name: String
        package let status: Status
        /// What was found.
        package let detail: String
        /// What to do about it; empty when nothing is to be done.
        package let remedy: String

        static func ok(_ name: String, _ detail: String) -> Check {
            Check(name: name, status: .ok, detail: detail, remedy: "")
        }
        static func warn(_ name: String, _ detail: String, _ remedy: String) -> Check {
            Check(name: name, status: .warn, detail: detail, remedy: remedy)
        }
        static func fail(_ name: String, _ detail: String, _ remedy: String) -> Check {
            Check(name: name, status: .fail, detail: detail, remedy: remedy)
        }
    }

    let dataDirectory: String
    let options: EngineOptions
    let ports: [UInt16]

    /// - Parameter ports: what the cloud's services will listen on.
    package init(dataDirectory: String, options: EngineOptions = EngineOptions(), ports: [UInt16] = []) {
        self.dataDirectory = dataDirectory
        self.options = options
        self.ports = ports
    }

    /// Every check, in the order to mend things in. Takes up to three seconds where KVM does not work.
    package func examine(on pool: BlockingPool) async throws(Fault) -> [Check] {
        try await pool.run { () throws(Fault) in self.examine() }
    }

    func examine() -> [Check] {
        var checks = [privilege(), programs(), extras()]
        checks += kernel()
        checks += [memory(), disk()]
        let paths: EnginePaths
        do throws(Fault) { paths = try EnginePaths(dataDirectory: dataDirectory, create: false) } catch {
            return checks + [.fail("data directory", error.message, "Choose a short path that can be written.")]
        }
        checks += [running(paths), leftovers(paths), kvm(paths)]
        return checks + ports.map(port)
    }

    private func privilege() -> Check {
        guard geteuid() == 0 else {
            return .fail(
                "privilege", "not root: namespaces, bridges and taps cannot be made", "Run it with sudo.")
        }
        return .ok("privilege", "root")
    }

    // MARK: - Programs

    /// What is called, and the Debian package it comes in.
    static let packages: [(program: String, package: String)] = [
        ("ip", "iproute2"), ("ethtool", "ethtool"), ("ovsdb-server", "openvswitch-switch"),
        ("ovs-vswitchd", "openvswitch-switch"), ("ovs-vsctl", "openvswitch-common"),
        ("ovsdb-tool", "openvswitch-common"), ("ovs-appctl", "openvswitch-common"), ("ovn-northd", "ovn-central"),
        ("ovn-nbctl", "ovn-common"), ("ovn-sbctl", "ovn-common"), ("ovn-controller", "ovn-host"),
    ]
    static let guestPackages: [(program: String, package: String)] = [
        ("libvirtd", "libvirt-daemon-system"), ("virtlogd", "libvirt-daemon-system"), ("virsh", "libvirt-clients"),
        ("qemu-system-x86_64", "qemu-system-x86"), ("qemu-img", "qemu-utils"), ("genisoimage", "genisoimage"),
    ]

    private func programs() -> Check {
        var wanted = Self.packages
        if options.hypervisor { wanted += Self.guestPackages }
        if options.addressTranslation { wanted += [("nft", "nftables"), ("sysctl", "procps")] }
        let missing = wanted.filter { Subprocess.locate($0.program) == nil }
        guard !missing.isEmpty else { return .ok("programs", "all \(wanted.count) are installed") }
        let packages = Set(missing.map(\.package)).sorted().joined(separator: " ")
        return .fail(
            "programs", "not installed: \(missing.map(\.program).joined(separator: ", "))",
            "apt-get install --no-install-recommends \(packages)")
    }

    /// What only some features need: a cloud runs without.
    static let optionalPackages: [(program: String, package: String, need: String)] = [
        ("bird", "bird2", "BGP speakers"), ("haproxy", "haproxy", "load balancers of the provider haproxy"),
        ("nft", "nftables", "UDP listeners of those"), ("sysctl", "procps", "load balancers of the provider haproxy"),
        ("swtpm", "swtpm-tools", "trusted platform modules of guests"), ("mformat", "mtools", "config drives in FAT"),
    ]

    private func extras() -> Check {
        let missing = Self.optionalPackages.filter { Subprocess.locate($0.program) == nil }
        guard !missing.isEmpty else { return .ok("extras", "all \(Self.optionalPackages.count) are installed") }
        let needs = missing.map { "\($0.need) (\($0.program))" }.joined(separator: ", ")
        let packages = missing.map(\.package).joined(separator: " ")
        return .warn("extras", "not to be had here: \(needs)", "apt-get install --no-install-recommends \(packages)")
    }

    // MARK: - Kernel

    private func kernel() -> [Check] {
        var checks = [linkKinds()]
        let tap = "/dev/net/tun"
        checks.append(
            FileSystem.exists(tap)
                ? .ok("taps", "\(tap) is there")
                : .fail("taps", "\(tap) is missing: guests cannot be connected", "modprobe tun"))
        checks.append(
            ProcessorGroups.find() != nil
                ? .ok("processor limits", "control groups with the controller cpu")
                : .warn(
                    "processor limits", "no control group with the controller cpu may be written: quota:cpu_... fails",
                    "mount -t cgroup2 none /sys/fs/cgroup, or run where the groups are not read-only"))
        let kernelPath = KernelDatapath.isPresent(load: false)
        switch (options.datapath, kernelPath) {
        case (.kernel, false):
            checks.append(
                .warn(
                    "datapath", "the kernel's Open vSwitch module is not loaded yet",
                    "modprobe openvswitch, or choose the userspace datapath"))
        case (.userspace, _): checks.append(.ok("datapath", "userspace, as chosen"))
        case (_, true): checks.append(.ok("datapath", "the kernel's Open vSwitch"))
        case (.automatic, false):
            checks.append(
                .ok("datapath", "userspace, unless the kernel can load its Open vSwitch module: slower, complete"))
        }
        return checks
    }

    /// Makes a pair of links in a namespace that ends at once: the only proof that the kernel can.
    private func linkKinds() -> Check {
        guard Subprocess.locate("ip") != nil else {
            return .fail("kernel", "not tried: ip is not installed", "apt-get install --no-install-recommends iproute2")
        }
        let argv = ["unshare", "--net", "ip", "link", "add", "name", "probe0", "type", "veth"]
        do throws(Fault) {
            try Subprocess.check(argv, timeout: .seconds(5))
            return .ok("kernel", "network namespaces and veth work")
        } catch {
            return .fail(
                "kernel", "no network namespace with a veth link can be made: \(error.message)",
                "Run as root, outside a container that withholds CAP_SYS_ADMIN, on a kernel with NET_NS and VETH.")
        }
    }

    private func kvm(_ paths: EnginePaths) -> Check {
        guard options.hypervisor else { return .ok("kvm", "no guests here") }
        do throws(Fault) {
            let (kind, reason) = try KVMProbe(paths: paths).verdict()
            if kind == .kvm { return .ok("kvm", reason) }
            return .warn(
                "kvm", "guests are emulated, which is many times slower: \(reason)",
                "Use a machine with hardware virtualisation, or switch nested virtualisation on below this one.")
        } catch {
            return .warn("kvm", "could not be tried: \(error.message)", "See that qemu-system-x86_64 runs.")
        }
    }

    // MARK: - Room

    private func memory() -> Check {
        let line = FileSystem.text("/proc/meminfo")?.split(separator: "\n").first { $0.hasPrefix("MemAvailable:") }
        guard let line, let kibibytes = Int64(line.filter(\.isNumber)) else {
            return .warn("memory", "cannot be read", "See that /proc is mounted.")
        }
        let text = "\(kibibytes >> 10) MiB available"
        return kibibytes >= 1 << 20
            ? .ok("memory", text)
            : .warn("memory", text, "The engines take 150 MiB, each small guest 200 MiB: free some or add some.")
    }

    private func disk() -> Check {
        var path = dataDirectory
        while !FileSystem.exists(path), let slash = path.lastIndex(of: "/") {
            path = slash == path.startIndex ? "/" : String(path[..<slash])
        }
        guard let free = FileSystem.freeBytes(path) else {
            return .fail("disk", "\(path) cannot be examined", "Choose a data directory that can be written.")
        }
        let text = "\(free >> 20) MiB free under \(path)"
        if free >= 10 << 30 { return .ok("disk", text) }
        let remedy = "Images and disks grow here: make room, or choose another data directory."
        return free >= 1 << 30 ? .warn("disk", text, remedy) : .fail("disk", text, remedy)
    }

    // MARK: - What is there already

    private func running(_ paths: EnginePaths) -> Check {
        let busy = Engines.isLocked(paths)
        return .ok("data directory", busy ? "\(paths.root), where a cloud is running now" : paths.root)
    }

    private func leftovers(_ paths: EnginePaths) -> Check {
        if Engines.isLocked(paths) { return .ok("leftovers", "none to look for while the cloud runs") }
        let processes = OwnProcess.all(programs: Engines.programs, root: paths.root).count
        let guests = LibvirtDaemons.guests(paths).count
        let names = FileSystem.list("/run/netns") + FileSystem.list("/sys/class/net")
        let links = names.filter { $0.hasPrefix(paths.prefix) }.count
        guard processes + guests + links > 0 else { return .ok("leftovers", "none") }
        return .warn(
            "leftovers",
            "an earlier run was killed and left \(processes) engines, \(guests) guests "
                + "and \(links) namespaces or links",
            "The next `apus up` takes them over; `apus down` ends them.")
    }

    private func port(_ number: UInt16) -> Check {
        let name = "port \(number)"
        do throws(Fault) {
            close(try TCPSocket.listen(host: "0.0.0.0", port: number))
            return .ok(name, "free")
        } catch {
            if let paths = try? EnginePaths(dataDirectory: dataDirectory, create: false), Engines.isLocked(paths) {
                return .ok(name, "in use, and the cloud is running")
            }
            let holder = PortHolder.find(number).map { "\($0.name) (process \($0.pid))" } ?? "another program"
            return .fail(name, "taken by \(holder): \(error.message)", "Stop that program or choose another port.")
        }
    }
}

/// Who listens on a TCP port of this machine.
enum PortHolder {
    static func find(_ port: UInt16) -> (pid: Int32, name: String)? {
        let wanted = sockets(port).map { "socket:[\($0)]" }
        guard !wanted.isEmpty else { return nil }
        for pid in ProcessTable.all() {
            let folder = "/proc/\(pid)/fd"
            for file in FileSystem.list(folder) {
                guard let target = FileSystem.link("\(folder)/\(file)"), wanted.contains(target) else { continue }
                return (pid, ProcessTable.name(pid) ?? "?")
            }
        }
        return nil
    }

    /// The inodes of listening sockets, from the kernel's tables.
    private static func sockets(_ port: UInt16) -> [String] {
        let digits = String(port, radix: 16, uppercase: true)
        let suffix = ":" + String(repeating: "0", count: 4 - digits.count) + digits
        return ["/proc/net/tcp", "/proc/net/tcp6"].flatMap { table in
            (FileSystem.text(table) ?? "").split(separator: "\n").compactMap { line in
                let fields = line.split(separator: " ")
                guard fields.count > 9, fields[1].hasSuffix(suffix), fields[3] == "0A" else { return nil }
                return String(fields[9])
            }
        }
    }
}
