// SPDX-License-Identifier: Apache-2.0
internal import Base

/// One OVN chassis in a network namespace: Open vSwitch's database and switch, and OVN's controller, which fills
/// br-int. br-ul carries geneve (its address must be on a bridge of the datapath), br-ex the outside world.
struct Chassis {
    static let schema = "/usr/share/openvswitch/vswitch.ovsschema"
    let paths: EnginePaths
    let options: EngineOptions
    let kernelDatapath: @Sendable () -> Bool

    var engines: [any Engine] { [database, vswitchd, controller] }

    private var place: Surroundings { Surroundings(network: paths.chassisNamespace) }

    private func daemon(
        _ program: String, name: String, needs: [String], arguments: [String],
        prepare: @Sendable @escaping () throws(Fault) -> Void = {},
        settle: @Sendable @escaping () throws(Fault) -> Void = {},
        monitor: @Sendable @escaping () -> ProcessHandle? = { nil }
    ) -> Daemon {
        let (folder, isController) = (paths.ovs, program == "ovn-controller")
        let pidFile = "\(folder)/\(program).pid"
        // OVN 23.03's controller takes no --unixctl; the name it picks has the process's number in it.
        let control: @Sendable () -> String = {
            let number = isController ? ".\(ProcessTable.pid(file: pidFile) ?? 0)" : ""
            return "\(folder)/\(program)\(number).ctl"
        }
        return Daemon(
            name: name, needs: needs,
            argv: [
                program, "--detach", "--no-chdir", "--pidfile=\(pidFile)",
                "--log-file=\(folder)/\(program).log", "-vconsole:off",
            ] + (isController ? [] : ["--unixctl=\(control())"]) + arguments,
            environment: paths.switchEnvironment, place: place, pidFile: pidFile, root: paths.root,
            prepare: prepare, settle: settle, answers: { SwitchTools.answers(control()) }, monitor: monitor,
            traces: isController ? [] : [control()])
    }

    private var database: Daemon {
        let (chassis, file) = (self, "\(paths.ovs)/conf.db")
        return daemon(
            "ovsdb-server", name: "ovs-db", needs: ["networks"],
            arguments: ["--remote=p\(paths.switchDatabase)", file],
            prepare: { () throws(Fault) in
                // Ports of an earlier life name links that went with their namespace.
                if !chassis.belongsToNamespace(file) { FileSystem.remove(file) }
                try SwitchTools.makeDatabase(file, schema: Chassis.schema)
            },
            settle: { () throws(Fault) in try chassis.configure() })
    }

    /// Whether the database was made for the namespace as it is now.
    private func belongsToNamespace(_ file: String) -> Bool {
        FileSystem.exists(file) && FileSystem.text("\(paths.ovs)/namespace") == namespaceMark
    }

    private var namespaceMark: String {
        let boot = (FileSystem.text("/proc/sys/kernel/random/boot_id") ?? "").trimmedOfSpace
        return "\(boot) \(paths.chassisNamespace.identity ?? 0)\n"
    }

    private var vswitchd: Daemon {
        let chassis = self
        return daemon(
            "ovs-vswitchd", name: "ovs-vswitchd", needs: ["ovs-db"],
            // The monitor repairs what the userspace connection tracker of 3.1 aborts, also while nobody supervises.
            arguments: ["--monitor", paths.switchDatabase],
            settle: { () throws(Fault) in try chassis.raiseBridges() },
            monitor: { chassis.monitor })
    }

    private var monitor: ProcessHandle? {
        OwnProcess.inside(paths.chassisNamespace) { $0.hasPrefix("ovs-vswitchd") || $0 == "monitor" }
            .first { $0.arguments.first?.hasPrefix("ovs-vswitchd: monitoring") == true }
    }

    private var controller: Daemon {
        daemon(
            "ovn-controller", name: "ovn-controller",
            needs: options.southbound == nil ? ["ovs-vswitchd", "ovn-sb"] : ["ovs-vswitchd"],
            arguments: [paths.switchDatabase])
    }

    /// Written before the switch starts, so that it finds everything at once.
    private func configure() throws(Fault) {
        let kind = kernelDatapath() ? "system" : "netdev"
        let tunnel = options.tunnelAddress.prefix { $0 != "/" }
        var argv = ["ovs-vsctl", "--timeout=10", "--db=\(paths.switchDatabase)", "--no-wait", "init"]
        argv += ["--", "set", "Open_vSwitch", "."]
        argv += [
            "system-id": options.chassisName, "hostname": options.chassisName,
            "ovn-remote": options.southbound ?? paths.southbound,
            "ovn-encap-type": "geneve", "ovn-encap-ip": String(tunnel), "ovn-bridge-datapath-type": kind,
            "ovn-bridge-mappings": "\(options.physicalNetwork):br-ex",
            "ovn-cms-options": options.promises.joined(separator: ","),
        ].filter { !$0.value.isEmpty }.map { "external-ids:\($0)=\"\($1)\"" }
        // Without files of its own OVN's controller takes these.
        if options.southboundFiles.count == 3 { argv += ["--", "set-ssl"] + options.southboundFiles }
        // OVN's controller would make br-int too, but only some time after it says that it is ready.
        for (bridge, mode) in [("br-ul", "standalone"), ("br-ex", "standalone"), ("br-int", "secure")] {
            argv += ["--", "--may-exist", "add-br", bridge]
            argv += ["--", "set", "Bridge", bridge, "datapath_type=\(kind)", "fail_mode=\(mode)"]
        }
        argv += ["--", "set", "Bridge", "br-int", "other-config:disable-in-band=true"]
        argv += ["--", "--may-exist", "add-port", "br-ex", OutsideWorld.inner]
        if let underlay = options.underlay { argv += ["--", "--may-exist", "add-port", "br-ul", underlay] }
        try Subprocess.check(argv, environment: paths.switchEnvironment)
        try FileSystem.write(namespaceMark, to: "\(paths.ovs)/namespace")
    }

    /// The bridges' own links are new in each life of the switch and come without address.
    private func raiseBridges() throws(Fault) {
        let batch = """
            addr replace \(options.tunnelAddress) dev br-ul
            link set br-ul up
            link set br-ex up

            """
        try Subprocess.check(["ip", "-n", paths.prefix, "-batch", "-"], input: Array(batch.utf8))
    }
}
