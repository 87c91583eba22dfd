// SPDX-License-Identifier: Apache-2.0
import Base
import Glibc
import SQL
import Synchronization

/// A thread that runs the tasks that prefer it until it is told to end.
final class OneThread: TaskExecutor, @unchecked Sendable {
    // `@unchecked`: jobs are guarded by the mutex; `thread` is written once, before anybody else sees it.
    private let jobs = Mutex<(waiting: [UnownedJob], isEnding: Bool)>(([], false))
    private let signal: UnsafeMutablePointer<sem_t> = .allocate(capacity: 1)
    private var thread = pthread_t()

    init() {
        sem_init(signal, 0, 0)
        let context = Unmanaged.passRetained(self).toOpaque()
        let code = pthread_create(
            &thread, nil,
            { pointer in
                Unmanaged<OneThread>.fromOpaque(pointer!).takeRetainedValue().loop()
                return nil
            }, context)
        precondition(code == 0)
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        jobs.withLock { $0.waiting.append(job) }
        sem_post(signal)
    }

    /// Returns when the thread is gone, with what the C library does at its end.
    func end() {
        jobs.withLock { $0.isEnding = true }
        sem_post(signal)
        pthread_join(thread, nil)
    }

    private func loop() {
        while true {
            sem_wait(signal)
            let (waiting, isEnding) = jobs.withLock { jobs in
                defer { jobs.waiting = [] }
                return (jobs.waiting, jobs.isEnding)
            }
            for job in waiting { job.runSynchronously(on: asUnownedTaskExecutor()) }
            if isEnding { return }
        }
    }
}

/// Stops a thread inside until somebody opens it. `@unchecked`: semaphores are made for this.
final class Gate: @unchecked Sendable {
    private let inside: UnsafeMutablePointer<sem_t> = .allocate(capacity: 1)
    private let opened: UnsafeMutablePointer<sem_t> = .allocate(capacity: 1)

    init() {
        sem_init(inside, 0, 0)
        sem_init(opened, 0, 0)
    }

    func passThrough() {
        sem_post(inside)
        sem_wait(opened)
    }

    func entered() async {
        while sem_trywait(inside) != 0 { await Task.yield() }
    }

    func open() { sem_post(opened) }
}

/// Carries a transaction out of its closure. `@unchecked`: what a program must not do.
final class Kept: @unchecked Sendable {
    private var transaction: Transaction?

    func keep(_ transaction: Transaction) { self.transaction = transaction }
    func count() throws -> Int { try transaction?.count(Counter.self) ?? -1 }
}

/// A directory for one test.
final class Directory: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/apus-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw Fault.unavailable("no directory") }
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    deinit {
        guard let listing = opendir(path) else { return }
        while let entry = readdir(listing) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            unlink(path + "/" + name)
        }
        closedir(listing)
        rmdir(path)
    }

    func write(_ name: String, _ bytes: [UInt8]) throws {
        let file = open(path + name, O_CREAT | O_WRONLY, 0o600)
        guard file >= 0, Glibc.write(file, bytes, bytes.count) == bytes.count else { throw Fault.unavailable(name) }
        close(file)
    }

    func copy(_ from: String, _ to: String) throws {
        let source = open(from, O_RDONLY), target = open(to, O_CREAT | O_WRONLY, 0o600)
        guard source >= 0, target >= 0 else { throw Fault.unavailable(from) }
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while case let count = read(source, &buffer, buffer.count), count > 0 { Glibc.write(target, buffer, count) }
        close(source)
        close(target)
    }
}
