// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import CLinux
internal import Glibc

/// A libvirt of our own: the folders it is built to use are bound, for it alone, onto ours, so the machine's libvirt
/// and other clouds' are never touched. It lives in the chassis' network namespace, where guests' taps are.
struct LibvirtDaemons {
    let paths: EnginePaths
    let options: EngineOptions

    var engines: [any Engine] { [logDaemon, daemon] }

    /// Our folder, and what libvirt thinks it is.
    private var folders: [(String, String)] {
        [
            ("etc", "/etc/libvirt"), ("varlib", "/var/lib/libvirt"), ("varcache", "/var/cache/libvirt"),
            ("run", "/run/libvirt"), ("varlog", "/var/log/libvirt"),
        ]
    }

    private var place: Surroundings {
        Surroundings(
            network: paths.chassisNamespace,
            binds: folders.map { Surroundings.Bind("\(paths.libvirt)/\($0.0)", over: $0.1) })
    }

    private var logDaemon: Daemon {
        let (me, folder) = (self, paths.libvirt)
        return Daemon(
            name: "virtlogd", needs: ["networks"],
            argv: ["virtlogd", "-d", "-f", "\(folder)/etc/virtlogd.conf", "-p", "\(folder)/run/virtlogd.pid"],
            place: place, pidFile: "\(folder)/run/virtlogd.pid", root: paths.root,
            prepare: { () throws(Fault) in try me.lay() },
            answers: { UnixSocket.accepts("\(folder)/run/virtlogd-sock") })
    }

    /// Gives the daemon the control groups of the machine, which its own /sys is without.
    private var beforehand: [String] {
        guard let groups = ProcessorGroups.find() else { return [] }
        return ["sh", "-c", "\(groups.mounting); exec \"$@\"", "sh"]
    }

    private var daemon: Daemon {
        let (folder, socket) = (paths.libvirt, paths.libvirtSocket)
        return Daemon(
            name: "libvirtd", needs: ["virtlogd"], beforehand: beforehand,
            argv: ["libvirtd", "-d", "-f", "\(folder)/etc/libvirtd.conf", "-p", "\(folder)/run/libvirtd.pid"],
            place: place, pidFile: "\(folder)/run/libvirtd.pid", root: paths.root,
            answers: { UnixSocket.accepts(socket) },
            // It does not end while it looks at a QEMU binary, and loses nothing when it is made to.
            grace: .seconds(1))
    }

    /// Makes the folders, the points they are bound to, and the configuration.
    private func lay() throws(Fault) {
        for (own, theirs) in folders {
            try FileSystem.makeDirectory("\(paths.libvirt)/\(own)")
            try FileSystem.makeDirectory(theirs)
        }
        let etc = "\(paths.libvirt)/etc"
        let groups = ProcessorGroups.find()
        try groups?.make(paths)
        try FileSystem.write(
            """
            unix_sock_rw_perms = "0700"
            auth_unix_rw = "none"
            auth_unix_ro = "none"
            listen_tls = 0
            listen_tcp = 0
            host_uuid = "\(try hostIdentity())"

            """, to: "\(etc)/libvirtd.conf")
        try FileSystem.write(
            """
            user = "root"
            group = "root"
            dynamic_ownership = 0
            remember_owner = 0
            security_driver = "none"
            namespaces = []
            swtpm_user = "root"
            swtpm_group = "root"
            cgroup_controllers = [\(groups == nil ? "" : "\"cpu\"")]
            stdio_handler = "logd"

            """, to: "\(etc)/qemu.conf")
        try FileSystem.write("", to: "\(etc)/virtlogd.conf")
        if FileSystem.list(ownCapabilities).isEmpty {
            try FileSystem.copyTree(from: sharedCapabilities, to: ownCapabilities)
        }
    }

    /// What this hypervisor answers as its host's id; guests' migrations tell hosts apart by it.
    private func hostIdentity() throws(Fault) -> String {
        let file = "\(paths.libvirt)/host-uuid"
        if let known = FileSystem.text(file)?.trimmedOfSpace, Hex.isUUID(known) { return known }
        let made = RandomIdentifiers().uuid()
        try FileSystem.write(made + "\n", to: file)
        return made
    }

    // MARK: - Capabilities

    private var ownCapabilities: String { "\(paths.libvirt)/varcache/qemu/capabilities" }
    private var sharedCapabilities: String { "\(options.cacheDirectory)/libvirt-capabilities" }

    /// Has libvirt look at the QEMU binaries now rather than in the first user's request, and keeps what it found.
    /// Takes milliseconds when it was seeded, up to ten seconds when not; ends at once when it is cancelled.
    func warmUp(on pool: BlockingPool) async throws(Fault) {
        let log = "\(paths.libvirt)/capabilities.log"
        let child = try Subprocess.spawn(["virsh", "--connect", paths.libvirtURI, "capabilities"], log: log)
        let status = await withTaskCancellationHandler {
            await child.wait()
        } onCancel: {
            child.signal(SIGKILL)
        }
        if Task.isCancelled { return }
        guard status == 0 else { throw .unavailable("libvirt did not tell its capabilities; see \(log).") }
        try await pool.run { () throws(Fault) in
            FileSystem.remove(log)
            try share()
        }
    }

    /// Keeps what was found for the next cloud.
    private func share() throws(Fault) {
        let found = FileSystem.list(ownCapabilities)
        guard !found.isEmpty, newest(ownCapabilities) > newest(sharedCapabilities) else { return }
        let draft = "\(sharedCapabilities).\(paths.digest)"
        FileSystem.remove(draft)
        try FileSystem.copyTree(from: ownCapabilities, to: draft)
        FileSystem.remove(sharedCapabilities)
        guard rename(draft, sharedCapabilities) == 0 else {
            // Another cloud was faster; its findings are as good.
            FileSystem.remove(draft)
            return
        }
    }

    private func newest(_ folder: String) -> Int {
        FileSystem.list(folder).map { FileSystem.modified("\(folder)/\($0)") ?? 0 }.max() ?? 0
    }

    // MARK: - Guests

    /// The guests of this cloud: QEMU in its own namespace, unless it is one without a machine, which libvirt asks
    /// what it can do.
    static func guests(_ paths: EnginePaths) -> [ProcessHandle] {
        emulators(paths).filter { process in
            let words = process.arguments
            guard let at = words.firstIndex(of: "-machine"), at + 1 < words.count else { return !words.isEmpty }
            return !words[at + 1].hasPrefix("none")
        }
    }

    static func emulators(_ paths: EnginePaths) -> [ProcessHandle] {
        OwnProcess.inside(paths.chassisNamespace) { $0.hasPrefix("qemu-system-") }
    }

    /// Ends guests that nobody shut down. All are asked before any is waited for.
    static func endGuests(_ paths: EnginePaths) {
        let guests = emulators(paths)
        for guest in guests { guest.signal(SIGTERM) }
        for guest in guests { guest.end(grace: .seconds(3)) }
    }
}

/// Whether somebody listens on a unix socket.
enum UnixSocket {
    static func accepts(_ path: String) -> Bool {
        let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let file = socket(AF_UNIX, kind, 0)
        guard file >= 0 else { return false }
        defer { close(file) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { return false }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(file, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
    }
}
