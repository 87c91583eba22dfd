// SPDX-License-Identifier: Apache-2.0
internal import CLinux
internal import Glibc

/// Other programs, started by posix_spawn from an argument list and never through a shell. A child starts with default
/// signals, no descriptor of ours but its three, and a process group of its own.
package enum Subprocess {
    package struct Output: Sendable {
        /// The exit status, or minus the number of the signal that ended it.
        package let status: Int32
        package let stdout: [UInt8]
        package let stderr: [UInt8]

        package var text: String { String(decoding: stdout, as: UTF8.self) }
        package var complaint: String {
            let bytes = stderr.isEmpty ? stdout : stderr
            return String(decoding: bytes.suffix(2000), as: UTF8.self).trimmedOfSpace
        }
    }

    /// Runs a program to its end on the calling thread. At the time limit its whole process group is killed (504).
    /// The answer comes when the program has ended, even if a daemon it left behind still holds the pipes.
    package static func runBlocking(
        _ argv: [String], input: [UInt8]? = nil, timeout: Duration, environment: [String: String]? = nil,
        in place: Surroundings = .own
    ) throws(Fault) -> Output {
        let stdin = input == nil ? nil : try Pipe()
        let stdout = try Pipe()
        let stderr = try Pipe()
        let files = Files(input: stdin?.reader, output: stdout.writer, error: stderr.writer)
        let pid = try start(argv, files: files, environment: environment, in: place)
        guard let handle = ProcessHandle(pid) else {
            kill(-pid, SIGKILL)
            let status = reap(pid)
            throw .internalError("Cannot watch '\(argv[0])' (status \(status)).")
        }
        stdin?.closeReader()
        stdout.closeWriter()
        stderr.closeWriter()
        var exchange = Exchange(input: input ?? [], stdin: stdin, stdout: stdout, stderr: stderr)
        guard exchange.run(until: handle, limit: timeout) else {
            kill(-pid, SIGKILL)
            _ = reap(pid)
            throw .timeout("'\(argv.joined(separator: " "))' did not end within \(timeout).")
        }
        return Output(status: reap(pid), stdout: exchange.output, stderr: exchange.error)
    }

    /// Runs a program to its end on a thread of the pool.
    package static func run(
        _ argv: [String], input: [UInt8]? = nil, timeout: Duration, environment: [String: String]? = nil,
        in place: Surroundings = .own, on pool: BlockingPool
    ) async throws(Fault) -> Output {
        try await pool.run { () throws(Fault) in
            try runBlocking(argv, input: input, timeout: timeout, environment: environment, in: place)
        }
    }

    /// Runs a program that is expected to succeed; what it complains about becomes the fault.
    @discardableResult
    package static func check(
        _ argv: [String], input: [UInt8]? = nil, timeout: Duration = .seconds(15),
        environment: [String: String]? = nil, in place: Surroundings = .own
    ) throws(Fault) -> String {
        let output = try runBlocking(argv, input: input, timeout: timeout, environment: environment, in: place)
        guard output.status == 0 else {
            throw .internalError("'\(argv.joined(separator: " "))' failed (\(output.status)): \(output.complaint)")
        }
        return output.text
    }

    /// Starts a program that goes on; its output is appended to the file, or dropped.
    package static func spawn(
        _ argv: [String], log: String? = nil, environment: [String: String]? = nil, in place: Surroundings = .own
    ) throws(Fault) -> ChildProcess {
        let file = open(log ?? "/dev/null", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw SystemError.fault("Cannot open \(log ?? "/dev/null")") }
        defer { close(file) }
        let files = Files(input: nil, output: file, error: file)
        return try ChildProcess(pid: try start(argv, files: files, environment: environment, in: place))
    }

    /// Where a program is: on PATH, or in the administrators' folders that a user's PATH may lack.
    package static func locate(_ program: String) -> String? {
        if program.contains("/") { return FileSystem.isExecutable(program) ? program : nil }
        let path = Environment.variable("PATH") ?? ""
        let folders = "\(path):\(Environment.folders)"
        for folder in folders.split(separator: ":") where FileSystem.isExecutable("\(folder)/\(program)") {
            return "\(folder)/\(program)"
        }
        return nil
    }

    /// The wait status of a child that has ended or will at once; blocks until then.
    static func reap(_ pid: Int32) -> Int32 {
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0 {
            if errno != EINTR { return -1 }
        }
        return clinux_wifexited(status) != 0 ? clinux_wexitstatus(status) : -clinux_wtermsig(status)
    }
}

// MARK: - Spawning

extension Subprocess {
    struct Files: Sendable {
        var input: Int32?
        var output: Int32
        var error: Int32
    }

    static func start(
        _ argv: [String], files: Files, environment: [String: String]?, in place: Surroundings
    ) throws(Fault) -> Int32 {
        guard let name = argv.first, let program = locate(name) else {
            throw .unavailable("'\(argv.first ?? "")' is not installed.")
        }
        let variables = environment.map { Environment.all().merging($0) { $1 }.map { "\($0)=\($1)" } }
        if place.isOwn { return try spawn(program, argv, variables, files) }
        return try DedicatedThread.perform { () throws(Fault) in
            try place.enter()
            return try spawn(program, argv, variables, files)
        }
    }

    private static func spawn(
        _ program: String, _ argv: [String], _ variables: [String]?, _ files: Files
    ) throws(Fault) -> Int32 {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if let input = files.input {
            posix_spawn_file_actions_adddup2(&actions, input, 0)
        } else {
            posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        }
        posix_spawn_file_actions_adddup2(&actions, files.output, 1)
        posix_spawn_file_actions_adddup2(&actions, files.error, 2)
        posix_spawn_file_actions_addclosefrom_np(&actions, 3)

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var every = sigset_t()
        sigfillset(&every)
        posix_spawnattr_setsigdefault(&attributes, &every)
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP))

        var pid: pid_t = 0
        let problem = withCStrings(argv) { argv in
            guard let variables else {
                return posix_spawn(&pid, program, &actions, &attributes, argv, clinux_environment())
            }
            return withCStrings(variables) { posix_spawn(&pid, program, &actions, &attributes, argv, $0) }
        }
        guard problem == 0 else { throw SystemError.fault("Cannot start \(program)", problem) }
        return pid
    }

    private static func withCStrings<T>(
        _ texts: [String], _ body: ([UnsafeMutablePointer<CChar>?]) -> T
    ) -> T {
        let pointers: [UnsafeMutablePointer<CChar>?] = texts.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        return body(pointers)
    }
}

// MARK: - Pipes

/// Both ends of a pipe, closed with it.
final class Pipe {
    private(set) var reader: Int32 = -1
    private(set) var writer: Int32 = -1

    init() throws(Fault) {
        var ends: [Int32] = [-1, -1]
        guard pipe2(&ends, O_CLOEXEC) == 0 else { throw SystemError.fault("Cannot make a pipe") }
        (reader, writer) = (ends[0], ends[1])
    }

    deinit {
        closeReader()
        closeWriter()
    }

    func closeReader() {
        if reader >= 0 { close(reader) }
        reader = -1
    }

    func closeWriter() {
        if writer >= 0 { close(writer) }
        writer = -1
    }
}

/// Feeds a child its input and takes its output until it ends.
private struct Exchange {
    var input: [UInt8]
    let stdin: Pipe?
    let stdout: Pipe
    let stderr: Pipe
    var sent = 0
    var output: [UInt8] = []
    var error: [UInt8] = []
    /// More output than this is read and dropped, so that a chatty child neither blocks nor fills our memory.
    let limit = 64 << 20

    init(input: [UInt8], stdin: Pipe?, stdout: Pipe, stderr: Pipe) {
        (self.input, self.stdin, self.stdout, self.stderr) = (input, stdin, stdout, stderr)
        for file in [stdin?.writer, stdout.reader, stderr.reader].compactMap(\.self) {
            _ = fcntl(file, F_SETFL, fcntl(file, F_GETFL) | O_NONBLOCK)
        }
        if input.isEmpty { stdin?.closeWriter() }
    }

    /// False at the time limit.
    mutating func run(until handle: ProcessHandle, limit time: Duration) -> Bool {
        let watch = Stopwatch()
        while true {
            var polled = [
                pollfd(fd: handle.descriptor, events: Int16(POLLIN), revents: 0),
                pollfd(fd: stdout.reader, events: Int16(POLLIN), revents: 0),
                pollfd(fd: stderr.reader, events: Int16(POLLIN), revents: 0),
                pollfd(fd: stdin?.writer ?? -1, events: Int16(POLLOUT), revents: 0),
            ]
            let left = (time - watch.elapsed).milliseconds
            guard left > 0 else { return false }
            let count = poll(&polled, 4, Int32(min(left, 3_600_000)))
            if count < 0 && errno != EINTR { return false }
            if count <= 0 { continue }
            if polled[3].revents != 0 { send() }
            if polled[1].revents != 0, !Exchange.drain(stdout.reader, &output, limit) { stdout.closeReader() }
            if polled[2].revents != 0, !Exchange.drain(stderr.reader, &error, limit) { stderr.closeReader() }
            if polled[0].revents != 0 {
                _ = Exchange.drain(stdout.reader, &output, limit)
                _ = Exchange.drain(stderr.reader, &error, limit)
                return true
            }
        }
    }

    private mutating func send() {
        guard let stdin else { return }
        let (put, code) = Exchange.write(input[sent...], to: stdin.writer)
        if put > 0 { sent += put }
        let again = put < 0 && (code == EAGAIN || code == EINTR)
        if sent == input.count || put < 0 && !again { stdin.closeWriter() }
    }

    /// Writes without dying of SIGPIPE when the child has closed its input, whatever this process does with that
    /// signal.
    private static func write(_ bytes: ArraySlice<UInt8>, to file: Int32) -> (Int, Int32) {
        var pipe = sigset_t()
        sigemptyset(&pipe)
        sigaddset(&pipe, SIGPIPE)
        var before = sigset_t()
        pthread_sigmask(SIG_BLOCK, &pipe, &before)
        let put = bytes.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
        let code = errno
        if put < 0 && code == EPIPE && sigismember(&before, SIGPIPE) == 0 {
            var now = timespec()
            sigtimedwait(&pipe, nil, &now)
        }
        pthread_sigmask(SIG_SETMASK, &before, nil)
        return (put, code)
    }

    /// Takes what is there now; false at the end of the stream.
    private static func drain(_ file: Int32, _ into: inout [UInt8], _ limit: Int) -> Bool {
        guard file >= 0 else { return true }
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let got = read(file, &chunk, chunk.count)
            if got > 0 {
                if into.count < limit { into.append(contentsOf: chunk[..<got]) }
            } else if got == 0 {
                return false
            } else if errno != EINTR {
                return errno == EAGAIN
            }
        }
    }
}

extension StringProtocol {
    /// Without spaces and line ends at either side.
    package var trimmedOfSpace: String {
        var rest = self[startIndex..<endIndex]
        while let last = rest.last, last.isWhitespace { rest.removeLast() }
        while let first = rest.first, first.isWhitespace { rest.removeFirst() }
        return String(rest)
    }
}
