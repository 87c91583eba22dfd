// SPDX-License-Identifier: Apache-2.0
package import Base
internal import CLinux
internal import Glibc
internal import Synchronization

/// The engines that `apus up` runs privately inside its data directory: OVN's centre, one chassis, the world outside it
/// and libvirt. Nothing of the machine's own is used, changed or stopped.
package final class Engines: Sendable {
    /// What becomes of running guests when the engines stop.
    package enum Guests: Sendable {
        case end
        /// They run on, and with them their namespace and its switch; the next start takes all of it over.
        case keep
    }

    package let paths: EnginePaths
    package let options: EngineOptions
    private let supervisor: EngineSupervisor
    private let pool: BlockingPool
    private let report: @Sendable (EngineEvent) -> Void
    private let lock: Int32

    /// - Parameter pool: wants about eight threads, for that many engines start at once.
    package init(
        dataDirectory: String, options: EngineOptions = EngineOptions(), pool: BlockingPool,
        clock: any WallClock = MachineClock(), report: @Sendable @escaping (EngineEvent) -> Void = { _ in }
    ) throws(Fault) {
        try options.check()
        let paths = try EnginePaths(dataDirectory: dataDirectory)
        self.paths = paths
        self.options = options
        self.pool = pool
        self.report = report
        lock = try Engines.lock(paths)
        let kernel = KernelDatapath(choice: options.datapath)
        var engines: [any Engine] = [OutsideWorld(paths: paths, options: options)]
        if options.southbound == nil { engines += Central(paths: paths).engines }
        engines += Chassis(paths: paths, options: options, kernelDatapath: { kernel.isUsed }).engines
        if options.hypervisor { engines += LibvirtDaemons(paths: paths, options: options).engines }
        supervisor = EngineSupervisor(engines: engines, pool: pool, clock: clock, report: report)
    }

    deinit { Engines.unlock(lock) }

    /// Starts everything side by side; returns when all answer.
    package func start() async throws(Fault) { try await supervisor.start() }

    /// Keeps everything up until the task is cancelled; also finds out, beside it, what the first guest would wait for.
    package func run() async throws(Fault) {
        let failure = await withTaskGroup(of: Fault?.self) { group in
            group.addTask { await self.warmUp() }
            group.addTask { await self.probe() }
            group.addTask {
                do throws(Fault) { try await self.supervisor.watchOver() } catch { return error }
                return nil
            }
            var failure: Fault?
            for await fault in group { failure = failure ?? fault }
            return failure
        }
        if let failure { throw failure }
    }

    /// Gives everything back: processes, links, namespaces, pid files. What guests hold stays if they are kept.
    package func stop(guests: Guests = .end) async throws(Fault) {
        let paths = paths
        if guests == .keep, !LibvirtDaemons.guests(paths).isEmpty {
            // Their packets pass through the switch, so only what they can miss is stopped.
            let needed: Set<String> = ["networks", "ovs-db", "ovs-vswitchd"]
            let rest = supervisor.engines.filter { !needed.contains($0.name) }
            await EngineSupervisor(engines: rest, pool: pool, report: report).stop()
            return
        }
        try await pool.run { () throws(Fault) in LibvirtDaemons.endGuests(paths) }
        await supervisor.stop()
        try await pool.run { () throws(Fault) in
            // What libvirt had started and not yet told anybody about.
            LibvirtDaemons.endGuests(paths)
            try Engines.sweep(paths)
        }
    }

    /// Whether every engine answers, by name.
    package func health() async throws(Fault) -> [(name: String, healthy: Bool, pid: Int32?)] {
        let engines = supervisor.engines
        return try await pool.run { () throws(Fault) in engines.map { ($0.name, $0.isHealthy(), $0.pid) } }
    }

    /// How guests run here. The first call of a boot runs a guest to find out, which takes up to three seconds where
    /// KVM does not work.
    package func accelerator() async throws(Fault) -> (Accelerator, reason: String) {
        let probe = KVMProbe(paths: paths)
        return try await pool.run { () throws(Fault) in try probe.verdict() }
    }

    // What the two find out a first guest would find out itself, and meet the fault if it matters: only time is lost.

    private func warmUp() async -> Fault? {
        guard options.hypervisor else { return nil }
        let libvirt = LibvirtDaemons(paths: paths, options: options)
        do throws(Fault) { try await libvirt.warmUp(on: pool) } catch { report(.notReady("libvirt", error)) }
        return nil
    }

    private func probe() async -> Fault? {
        guard options.hypervisor else { return nil }
        do throws(Fault) { _ = try await accelerator() } catch { report(.notReady("accelerator", error)) }
        return nil
    }

    // MARK: - Leftovers

    /// Ends and removes whatever a killed run left for this data directory. Refused while a cloud runs on it.
    package static func cleanUp(dataDirectory: String, on pool: BlockingPool) async throws(Fault) {
        try await pool.run { () throws(Fault) in
            let paths = try EnginePaths(dataDirectory: dataDirectory)
            let lock = try lock(paths)
            defer { unlock(lock) }
            LibvirtDaemons.endGuests(paths)
            try sweep(paths)
        }
    }

    static let programs = [
        "libvirtd", "virtlogd", "ovn-controller", "ovs-vswitchd", "ovn-northd", "ovsdb-server", "bird",
        "haproxy",
    ]

    /// Ends what is certainly ours by its arguments or its namespace, then takes the namespaces away.
    private static func sweep(_ paths: EnginePaths) throws(Fault) {
        let monitors = OwnProcess.inside(paths.chassisNamespace) { $0.hasPrefix("ovs-vswitchd") || $0 == "monitor" }
        for process in monitors + OwnProcess.all(programs: programs, root: paths.root) {
            process.end(grace: .seconds(3))
        }
        try OutsideWorld.remove(paths)
        for folder in [paths.ovn, paths.ovs, "\(paths.libvirt)/run"] {
            for file in FileSystem.list(folder) where isTrace(file) { FileSystem.remove("\(folder)/\(file)") }
        }
        FileSystem.remove("\(paths.libvirt)/run/qemu")
        ProcessorGroups.find()?.remove(paths)
    }

    private static func isTrace(_ file: String) -> Bool {
        [".pid", ".ctl", ".sock", "-sock", "-sock-ro", ".mgmt", ".snoop"].contains { file.hasSuffix($0) }
    }

    static func isLocked(_ paths: EnginePaths) -> Bool {
        guard FileSystem.exists(paths.lock) else { return false }
        guard let lock = try? lock(paths) else { return true }
        unlock(lock)
        return false
    }

    /// Closing alone would leave the lock with a child that is just being started and has yet to close its copy.
    private static func unlock(_ file: Int32) {
        flock(file, LOCK_UN)
        close(file)
    }

    private static func lock(_ paths: EnginePaths) throws(Fault) -> Int32 {
        let file = open(paths.lock, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw SystemError.fault("Cannot open \(paths.lock)") }
        guard flock(file, LOCK_EX | LOCK_NB) == 0 else {
            close(file)
            throw .conflict("Another apus runs on \(paths.root).")
        }
        return file
    }
}

/// Whether the kernel has Open vSwitch's datapath; asked once, when the first daemon needs to know.
final class KernelDatapath: Sendable {
    private let choice: EngineOptions.Datapath
    private let found = Mutex<Bool?>(nil)

    init(choice: EngineOptions.Datapath) { self.choice = choice }

    var isUsed: Bool {
        switch choice {
        case .kernel: return true
        case .userspace: return false
        case .automatic: break
        }
        if let known = found.withLock(\.self) { return known }
        let answer = KernelDatapath.isPresent(load: true)
        found.withLock { $0 = answer }
        return answer
    }

    /// - Parameter load: have the kernel load its module, as Open vSwitch's own start script does.
    static func isPresent(load: Bool) -> Bool {
        let module = "/sys/module/openvswitch"
        if FileSystem.exists(module) { return true }
        guard load, Subprocess.locate("modprobe") != nil else { return false }
        _ = try? Subprocess.runBlocking(["modprobe", "-q", "openvswitch"], timeout: .seconds(5))
        return FileSystem.exists(module)
    }
}
