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
        return "needs root\(isRoot ? "" : " (it is not)") and: \(missing.joined(separator: " "))"
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
        options.chassisName = "chassis"
        options.cacheDirectory = "/tmp/apus-test-cache"
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
