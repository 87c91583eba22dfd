// SPDX-License-Identifier: Apache-2.0
package import Base

/// Something that must run beside the cloud: a daemon, or what daemons stand on. Every method blocks and is called on a
/// pool's thread; every method may be repeated.
package protocol Engine: Sendable {
    var name: String { get }
    /// The engines that must be up before this one starts, and stop after it.
    var needs: [String] { get }
    /// The process to watch; nil when there is none to watch.
    var pid: Int32? { get }

    /// Brings it up; what an earlier run left healthy is taken over.
    func start() throws(Fault) -> EngineStart
    /// Whether it answers now.
    func isHealthy() -> Bool
    func stop() throws(Fault)
}

/// How an engine came up.
package enum EngineStart: Sendable, Equatable {
    case started
    /// Left running by an earlier run, or back by itself.
    case adopted
}

/// What happens to engines, for whoever prints or logs it.
package enum EngineEvent: Sendable, Equatable {
    case up(name: String, EngineStart, Duration)
    case died(name: String, pid: Int32)
    case healed(name: String, after: Duration)
    case restartFailed(name: String, Fault, next: Duration)
    case stopped(name: String, Duration)
    case stopFailed(name: String, Fault)
    /// Something that would have made the first guest quicker did not work.
    case notReady(String, Fault)
}

/// A daemon that detaches when it is ready and writes a pid file: this holds it by that file, whether it was started
/// by this run or by one that was killed.
struct Daemon: Engine {
    let name: String
    let needs: [String]
    /// Shell words that are run first, in the same process and place; empty for most.
    var beforehand: [String] = []
    let argv: [String]
    var environment: [String: String] = [:]
    var place: Surroundings = .own
    let pidFile: String
    /// The folder of this cloud; a process whose arguments do not name it is somebody else's.
    let root: String
    /// Makes what must be there before it starts.
    var prepare: @Sendable () throws(Fault) -> Void = {}
    /// Sets up what each new process must be told or given; also called on one that is taken over.
    var settle: @Sendable () throws(Fault) -> Void = {}
    let answers: @Sendable () -> Bool
    /// A process that would start the daemon again by itself; waited for, and ended when we do it instead.
    var monitor: @Sendable () -> ProcessHandle? = { nil }
    /// What a stopped daemon may leave.
    var traces: [String] = []
    var grace: Duration = .seconds(5)

    var program: String { argv[0] }

    private var process: ProcessHandle? { OwnProcess.find(pidFile: pidFile, program: program, root: root) }
    var pid: Int32? { process?.pid }

    func isHealthy() -> Bool { process != nil && answers() }

    func start() throws(Fault) -> EngineStart {
        if isHealthy() || returnsByItself() {
            try settle()
            return .adopted
        }
        monitor()?.end(grace: .seconds(1))
        process?.end(grace: .seconds(1))
        for trace in traces { FileSystem.remove(trace) }
        try prepare()
        try Subprocess.check(beforehand + argv, timeout: .seconds(30), environment: environment, in: place)
        let watch = Stopwatch()
        while !isHealthy() {
            guard watch.elapsed < .seconds(10) else {
                throw .unavailable("\(name) started but does not answer; its log is under \(root).")
            }
            DedicatedThread.pause(.milliseconds(5))
        }
        try settle()
        return .started
    }

    func stop() throws(Fault) {
        monitor()?.end(grace: grace)
        process?.end(grace: grace)
        for trace in traces + [pidFile] { FileSystem.remove(trace) }
    }

    private func returnsByItself() -> Bool {
        let watch = Stopwatch()
        while watch.elapsed < .milliseconds(700), monitor() != nil {
            if isHealthy() { return true }
            DedicatedThread.pause(.milliseconds(5))
        }
        return isHealthy()
    }
}

/// Finds processes that are certainly this cloud's.
enum OwnProcess {
    /// The process a pid file names, if it is the program and was started on this cloud's folder.
    static func find(pidFile: String, program: String, root: String) -> ProcessHandle? {
        guard let pid = ProcessTable.pid(file: pidFile), let handle = ProcessHandle(pid) else { return nil }
        return isOwn(pid, program: program, root: root) && !handle.hasEnded ? handle : nil
    }

    static func isOwn(_ pid: Int32, program: String, root: String) -> Bool {
        ProcessTable.name(pid) == String(program.prefix(15))
            && ProcessTable.arguments(pid).contains { $0.contains("\(root)/") }
    }

    /// Every process of one of the programs that was started on this cloud's folder.
    static func all(programs: [String], root: String) -> [ProcessHandle] {
        ProcessTable.all().compactMap { pid in
            guard let program = programs.first(where: { isOwn(pid, program: $0, root: root) }) else { return nil }
            guard let handle = ProcessHandle(pid) else { return nil }
            return isOwn(pid, program: program, root: root) ? handle : nil
        }
    }

    /// Every process in the namespace whose short name is accepted.
    static func inside(_ namespace: NetworkNamespace, where accept: (String) -> Bool) -> [ProcessHandle] {
        guard let identity = namespace.identity else { return [] }
        return ProcessTable.all().compactMap { pid in
            guard let name = ProcessTable.name(pid), accept(name), let handle = ProcessHandle(pid) else { return nil }
            return handle.networkNamespace == identity ? handle : nil
        }
    }
}
