// SPDX-License-Identifier: Apache-2.0
internal import Glibc
package import Kernel
package import LoadBalancer
internal import Synchronization

/// Balancers as HAProxy processes, each in a namespace of its own. A change is a new process that takes the listening
/// sockets over from the old one, which goes on with the connections it has: none is lost. Processes outlive ours, and
/// are found again by the files in their folders.
package struct HAProxyBalancers: LoadBalancerProvider {
    package var abilities: ProviderAbilities { .haproxy }
    private let settings: HAProxySettings
    private let pool: BlockingPool
    private let clock: any WallClock
    /// Balancers as they were put last: datagrams are sent around members that were found down since.
    private let latest = LatestSpecs()

    package init(_ settings: HAProxySettings, pool: BlockingPool, clock: any WallClock = MachineClock()) {
        self.settings = settings
        self.pool = pool
        self.clock = clock
    }

    package func put(_ balancer: BalancerSpec) async throws(Fault) {
        try await pool.run { () throws(Fault) in
            let place = BalancerNamespace(settings, balancer.id)
            try place.plug(balancer)
            try apply(balancer, place)
            let path = DatagramPath(files: BalancerFiles(settings, balancer.id), namespace: place.namespace)
            try path.apply(balancer, down: path.down)
            latest.all.withLock { $0[balancer.id] = balancer }
        }
    }

    private func apply(_ balancer: BalancerSpec, _ place: BalancerNamespace) throws(Fault) {
        let files = BalancerFiles(settings, balancer.id)
        try FileSystem.makeDirectory(files.certificates, mode: 0o700)
        try FileSystem.write(balancer.id, to: files.owner)
        let wanted = HAProxyConfiguration(balancer, settings)
        let old = process(files, place)
        if old != nil, FileSystem.text(files.configuration) == wanted.text,
            wanted.files.allSatisfy({ FileSystem.text($0.key) == $0.value })
        {
            return
        }
        for script in Set(balancer.pools.compactMap { settings.script($0.monitor) }) {
            try FileSystem.write(settings.scripts[script] ?? "", to: script, mode: 0o755)
        }
        for (path, text) in wanted.files { try FileSystem.write(text, to: path) }
        let next = files.configuration + ".next"
        try FileSystem.write(wanted.text, to: next)
        // Judged before anything is replaced, so that what runs goes on running whatever comes of it.
        try Subprocess.check(["haproxy", "-c", "-q", "-f", next], in: Surroundings(network: place.namespace))
        try FileSystem.write(wanted.text, to: files.configuration)
        var words = ["haproxy", "-D", "-f", files.configuration]
        if let old { words += ["-x", files.socket, "-sf", "\(old.pid)"] }
        try Subprocess.check(words, in: Surroundings(network: place.namespace))
        for name in FileSystem.list(files.certificates) where wanted.files["\(files.certificates)/\(name)"] == nil {
            FileSystem.remove("\(files.certificates)/\(name)")
        }
    }

    /// The process that serves now: it has the folder's configuration among its arguments and runs in the namespace.
    private func process(_ files: BalancerFiles, _ place: BalancerNamespace) -> ProcessHandle? {
        guard let pid = ProcessTable.pid(file: files.pid), let handle = ProcessHandle(pid),
            handle.arguments.contains(files.configuration),
            handle.networkNamespace == place.namespace.identity
        else { return nil }
        return handle
    }

    package func remove(_ balancer: String) async throws(Fault) {
        try await pool.run { () throws(Fault) in
            let files = BalancerFiles(settings, balancer)
            let place = BalancerNamespace(settings, balancer)
            // Also those that only finish what they have.
            for pid in ProcessTable.all() {
                guard ProcessTable.name(pid) == "haproxy", let handle = ProcessHandle(pid),
                    handle.arguments.contains(files.configuration)
                else { continue }
                handle.end(grace: .milliseconds(500))
            }
            try place.unplug()
            FileSystem.remove(files.folder)
            latest.all.withLock { $0[balancer] = nil }
            if FileSystem.list(settings.folder).isEmpty { settings.scripts.keys.forEach(FileSystem.remove) }
        }
    }

    package func present() async throws(Fault) -> Set<String> {
        try await pool.run { () throws(Fault) in
            Set(
                FileSystem.list(settings.folder).compactMap { name in
                    FileSystem.text("\(settings.folder)/\(name)/balancer")
                })
        }
    }

    package func report(_ balancer: String) async throws(Fault) -> BalancerReport? {
        let files = BalancerFiles(settings, balancer)
        let place = BalancerNamespace(settings, balancer)
        let running = try await pool.run { () throws(Fault) in process(files, place) }
        guard let running else { return nil }
        let statistics = try await statistics(of: running, files)
        var report = statistics.report(run: "\(running.pid)")
        let path = DatagramPath(files: files, namespace: place.namespace)
        let figures = try await pool.run { () throws(Fault) in
            if let spec = latest.all.withLock({ $0[balancer] }) {
                try path.apply(spec, down: statistics.down(spec, before: path.down))
            }
            return try path.figures()
        }
        // The kernel counts as long as the namespace is there, whatever process serves.
        let life = "kernel-\(place.namespace.identity ?? 0)"
        for (listener, counted) in figures {
            report.listeners[listener] = counted
            report.runs[listener] = life
        }
        return report
    }

    /// What the process that serves now says. Just after a change its forerunner, which shares the socket until it has
    /// heard that it shall go, may take the question.
    private func statistics(of running: ProcessHandle, _ files: BalancerFiles) async throws(Fault) -> HAProxyStatistics
    {
        for _ in 0..<100 {
            let answer = try await ask("show info;show stat", files.socket)
            if answer.contains("\nPid: \(running.pid)\n") { return HAProxyStatistics(answer) }
            guard (try? await clock.sleep(.milliseconds(20))) != nil else {
                throw .unavailable("Asking HAProxy at \(files.socket) was cancelled.")
            }
        }
        throw .unavailable("HAProxy's process \(running.pid) does not answer at \(files.socket); an older one does.")
    }

    /// Says commands to a process and gives its whole answer.
    private func ask(_ command: String, _ socket: String) async throws(Fault) -> String {
        let connection = try await StreamSocket.unix(path: socket)
        defer { connection.close() }
        try await connection.write(Array((command + "\n").utf8))
        var answer: [UInt8] = []
        while let chunk = try await connection.read(), answer.count < 64 << 20 { answer += chunk }
        return String(decoding: answer, as: UTF8.self)
    }
}

private final class LatestSpecs: Sendable {
    let all = Mutex<[String: BalancerSpec]>([:])
}
