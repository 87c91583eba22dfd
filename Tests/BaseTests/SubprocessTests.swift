// SPDX-License-Identifier: Apache-2.0
import Base
import Glibc
import Testing

@Suite("Subprocess", .timeLimit(.minutes(10)))
struct SubprocessTests {
    private func blocking(
        _ argv: [String], input: [UInt8]? = nil, timeout: Duration = .seconds(20),
        environment: [String: String]? = nil
    ) throws(Fault) -> Subprocess.Output {
        try Subprocess.runBlocking(argv, input: input, timeout: timeout, environment: environment)
    }

    @Test("Output, complaints and the status come back apart")
    func output() throws {
        let done = try blocking(["sh", "-c", "echo out; echo err >&2; exit 3"])
        #expect(done.status == 3)
        #expect(done.text == "out\n")
        #expect(done.complaint == "err")
    }

    @Test("More input and output than pipes hold passes through")
    func large() throws {
        let bytes = [UInt8](repeating: 7, count: 3 << 20)
        #expect(try blocking(["cat"], input: bytes).stdout == bytes)
    }

    @Test("A child that does not read its input is no trouble")
    func unreadInput() throws {
        #expect(try blocking(["true"], input: [UInt8](repeating: 7, count: 1 << 20)).status == 0)
    }

    @Test("At the time limit the whole group is killed and the fault is 504")
    func timeout() throws {
        let fault = #expect(throws: Fault.self) {
            _ = try blocking(["sh", "-c", "sleep 600 & wait"], timeout: .milliseconds(100))
        }
        #expect(fault?.status == 504)
    }

    @Test("A daemon that keeps the pipes open does not hold the answer up")
    func daemon() throws {
        let done = try blocking(["sh", "-c", "setsid sleep 600 & echo $!"])
        let pid = try #require(Int32(done.text.trimmedOfSpace))
        let process = try #require(ProcessHandle(pid))
        process.end(grace: .seconds(5))
        #expect(process.hasEnded)
    }

    @Test("A program that is not there is named, as 503")
    func missing() {
        let fault = #expect(throws: Fault.self) { _ = try blocking(["no-such-program"]) }
        #expect(fault?.status == 503)
        #expect(fault?.message.contains("no-such-program") == true)
    }

    @Test("A child has its three descriptors, its own group and default signals")
    func inheritance() throws {
        let file = open("/dev/null", O_RDONLY)
        defer { close(file) }
        let script = "ls /proc/$$/fd; ps -o pgid= -p $$; echo $$; exec grep -E 'SigBlk|SigIgn' /proc/self/status"
        let done = try blocking(["sh", "-c", script])
        let lines = done.text.split(separator: "\n").map { $0.filter { !$0.isWhitespace } }
        #expect(!lines.contains("\(file)") || file <= 2)
        #expect(lines.contains("SigBlk:0000000000000000"))
        // The two that remain are the C library's own (32 and 33), which it hides from everybody.
        #expect(lines.contains { $0 == "SigIgn:0000000000000000" || $0 == "SigIgn:0000000180000000" })
        try #require(lines.count > 4)
        #expect(lines[lines.count - 3] == lines[lines.count - 4])
    }

    @Test("Given variables are added to the inherited ones")
    func environment() throws {
        let done = try blocking(["sh", "-c", "echo $APUS_TEST; echo $PATH"], environment: ["APUS_TEST": "a b=c"])
        #expect(done.text.hasPrefix("a b=c\n/"))
    }

    @Test("A killed program's status is the signal's number, negative")
    func signalled() throws {
        #expect(try blocking(["sh", "-c", "kill -9 $$"]).status == -9)
    }

    @Test("A spawned child is waited for, and ended with its group")
    func spawn() async throws {
        let quick = try Subprocess.spawn(["sh", "-c", "exit 5"])
        #expect(await quick.wait() == 5)
        #expect(!quick.isRunning)
        let stubborn = try Subprocess.spawn(["sh", "-c", "trap '' TERM; while :; do sleep 600; done"])
        await stubborn.terminate(grace: .milliseconds(100))
        #expect(ProcessHandle(stubborn.pid)?.hasEnded ?? true)
    }

    @Test("Many at once through a pool all answer")
    func many() async throws {
        let pool = BlockingPool(name: "subprocess", threads: 4, queue: 64)
        let statuses = try await withThrowingTaskGroup(of: Int32.self) { group in
            for status in 0..<40 {
                group.addTask {
                    try await Subprocess.run(["sh", "-c", "exit \(status)"], timeout: .seconds(30), on: pool).status
                }
            }
            return try await group.reduce(into: Set<Int32>()) { $0.insert($1) }
        }
        #expect(statuses == Set(0..<40))
    }
}

@Suite("Network namespaces", .enabled(if: geteuid() == 0 && Subprocess.locate("ip") != nil, "needs root and ip"))
struct NetworkNamespaceTests {
    @Test("A socket stays in the namespace it was opened in, and the thread's neighbours stay out")
    func socket() throws {
        let namespace = NetworkNamespace("apus-test-\(RandomIdentifiers().hex().prefix(8))")
        #expect(try namespace.create())
        #expect(try !namespace.create())
        defer { try? namespace.delete() }
        let listener = try namespace.openSocket(host: "127.0.0.1", port: 0)
        defer { close(listener) }
        let port = try #require(TCPSocket.port(listener))
        let inside = try namespace.connect(host: "127.0.0.1", port: port)
        close(inside)
        #expect(throws: Fault.self) { _ = try TCPSocket.connect(host: "127.0.0.1", port: port) }
        try namespace.delete()
        #expect(!namespace.exists)
    }

    @Test("A child sees its binds and its network, and nobody else does")
    func surroundings() throws {
        let name = "apus-test-\(RandomIdentifiers().hex().prefix(8))"
        let namespace = NetworkNamespace(name)
        try namespace.create()
        try FileSystem.makeDirectory("/tmp/\(name)/a")
        try FileSystem.makeDirectory("/tmp/\(name)/b")
        defer {
            try? namespace.delete()
            FileSystem.remove("/tmp/\(name)")
        }
        try FileSystem.write("here", to: "/tmp/\(name)/a/file")
        let place = Surroundings(
            network: namespace, binds: [Surroundings.Bind("/tmp/\(name)/a", over: "/tmp/\(name)/b")])
        #expect(try Subprocess.check(["cat", "/tmp/\(name)/b/file"], in: place) == "here")
        #expect(try Subprocess.check(["ls", "/sys/class/net"], in: place) == "lo\n")
        #expect(!FileSystem.exists("/tmp/\(name)/b/file"))
    }
}
