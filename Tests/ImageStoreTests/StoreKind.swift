// SPDX-License-Identifier: Apache-2.0
import Glibc
import Image
import ImageCeph
import ImageFiles
import ImageHTTP
import ImageObjectStore
import ImageS3
import Kernel
import Testing

/// A kind of store to hold to the port's promises; the remote ones each with a real server for the length of the tests.
enum StoreKind: String, Sendable, CaseIterable, CustomTestStringConvertible {
    case memory, files, thinFiles, s3, swift, ceph

    var testDescription: String { rawValue }

    /// Those whose servers this machine has (`scripts/setup stores`).
    static let all = allCases.filter(\.isThere)

    private static let top = #filePath.split(separator: "/").dropLast(3).map { "/\($0)" }.joined()

    private var isThere: Bool {
        let venv = Self.top + "/.cache/stores/bin"
        switch self {
        case .memory, .files, .thinFiles: return true
        case .s3: return FileSystem.isExecutable(venv + "/moto_server")
        case .swift:
            return FileSystem.isExecutable(venv + "/swift-proxy-server")
                && FileSystem.isExecutable("/usr/bin/memcached")
        case .ceph: return FileSystem.isExecutable("/usr/bin/ceph-osd") && geteuid() == 0
        }
    }

    /// Runs a test on a store of a new, empty server, and leaves nothing of it.
    func with(_ test: (any ImageStore) async throws -> Void) async throws {
        let folder = try FileSystem.makeTemporaryDirectory("apus-images")
        defer { FileSystem.remove(folder) }
        switch self {
        case .memory: try await test(FakeImageStore())
        case .files: try await test(try FileImageStore(folder: folder + "/images"))
        case .thinFiles:
            let place = FileStoreSettings.Folder(path: folder + "/images")
            try await test(try FileImageStore(FileStoreSettings(folders: [place], isThin: true)))
        case .s3, .swift, .ceph:
            let server = try await StoreServer(rawValue, folder + "/server", top: Self.top)
            do { try await test(store(server)) } catch {
                await server.end()
                throw error
            }
            await server.end()
        }
    }

    private func store(_ server: StoreServer) -> any ImageStore {
        switch self {
        case .s3:
            var settings = S3StoreSettings()
            settings.host = server["host"]
            settings.accessKey = "key"
            settings.secretKey = "secret"
            settings.bucket = "images"
            settings.makesBucket = true
            settings.partSize = 5
            return S3ImageStore(settings, clock: MachineClock())
        case .swift:
            var settings = SwiftStoreSettings()
            settings.authVersion = "1"
            settings.authAddress = server["auth"]
            settings.user = server["user"]
            settings.key = server["key"]
            settings.makesContainer = true
            settings.chunkSize = 5
            settings.largeObjectSize = 7
            return SwiftImageStore(settings)
        default:
            var settings = CephStoreSettings()
            settings.configuration = server["conf"]
            settings.user = server["user"]
            settings.pool = server["pool"]
            settings.isThin = true
            return CephImageStore(settings)
        }
    }
}

/// `scripts/store-server`, running.
final class StoreServer: Sendable {
    private let child: ChildProcess
    private let facts: [String: String]

    init(_ kind: String, _ folder: String, top: String) async throws {
        child = try Subprocess.spawn([top + "/scripts/store-server", kind, folder], log: folder + ".log")
        var waited = 0
        while !FileSystem.exists(folder + "/ready") {
            guard child.isRunning, waited < 3600 else {
                throw Fault.unavailable(
                    "the \(kind) server did not start: \(FileSystem.text(folder + "/output") ?? "")")
            }
            try await Task.sleep(for: .milliseconds(50))
            waited += 1
        }
        var facts: [String: String] = [:]
        for line in (FileSystem.text(folder + "/ready") ?? "").split(separator: "\n") {
            let pair = line.split(separator: "=", maxSplits: 1).map(String.init)
            facts[pair[0]] = pair[1]
        }
        self.facts = facts
    }

    subscript(name: String) -> String { facts[name] ?? "" }

    func end() async { await child.terminate(grace: .seconds(5)) }
}
