// SPDX-License-Identifier: Apache-2.0
internal import Base

/// OVN's centre: the northbound database that Network writes, the southbound one that chassis read, and the daemon
/// that derives the second from the first. All on unix sockets, which work across network namespaces.
struct Central {
    static let schemas = "/usr/share/ovn"
    let paths: EnginePaths

    var engines: [any Engine] { [database("nb"), database("sb"), northd] }

    private func database(_ side: String) -> Daemon {
        let folder = paths.ovn
        let (file, control) = ("\(folder)/\(side).db", "\(folder)/\(side).ctl")
        let remote = side == "nb" ? paths.northbound : paths.southbound
        return Daemon(
            name: "ovn-\(side)", needs: [],
            argv: [
                "ovsdb-server", "--detach", "--no-chdir", "--pidfile=\(folder)/\(side).pid",
                "--log-file=\(folder)/\(side).log", "-vconsole:off", "--remote=p\(remote)", "--unixctl=\(control)",
                file,
            ],
            pidFile: "\(folder)/\(side).pid", root: paths.root,
            prepare: { () throws(Fault) in
                try SwitchTools.makeDatabase(file, schema: "\(Central.schemas)/ovn-\(side).ovsschema")
            },
            settle: { () throws(Fault) in
                try Subprocess.check(["ovn-\(side)ctl", "--timeout=10", "--db=\(remote)", "init"])
            },
            answers: { SwitchTools.answers(control) }, traces: [control])
    }

    private var northd: Daemon {
        let folder = paths.ovn
        let control = "\(folder)/northd.ctl"
        return Daemon(
            name: "ovn-northd", needs: ["ovn-nb", "ovn-sb"],
            argv: [
                "ovn-northd", "--detach", "--no-chdir", "--pidfile=\(folder)/northd.pid",
                "--log-file=\(folder)/northd.log", "-vconsole:off", "--unixctl=\(control)",
                "--ovnnb-db=\(paths.northbound)", "--ovnsb-db=\(paths.southbound)",
            ],
            pidFile: "\(folder)/northd.pid", root: paths.root,
            answers: { SwitchTools.answers(control) }, traces: [control])
    }
}

/// What Open vSwitch's and OVN's daemons have in common.
enum SwitchTools {
    /// Creates the database file, or brings one of an older release to the installed schema.
    static func makeDatabase(_ file: String, schema: String) throws(Fault) {
        if let slash = file.lastIndex(of: "/") { try FileSystem.makeDirectory(String(file[..<slash])) }
        guard FileSystem.exists(file) else {
            try Subprocess.check(["ovsdb-tool", "create", file, schema])
            return
        }
        let answer = try Subprocess.check(["ovsdb-tool", "needs-conversion", file, schema])
        if answer.hasPrefix("yes") { try Subprocess.check(["ovsdb-tool", "convert", file, schema]) }
    }

    /// Whether the daemon behind the control socket goes round its loop.
    static func answers(_ control: String) -> Bool {
        guard FileSystem.exists(control) else { return false }
        let argv = ["ovs-appctl", "--timeout=3", "--target=\(control)", "version"]
        return (try? Subprocess.runBlocking(argv, timeout: .seconds(5)))?.status == 0
    }
}
