// SPDX-License-Identifier: Apache-2.0
import Image
import Kernel
import Simulation
import Synchronization
import Testing

/// An Image room with a store in memory, and the calls that tests make most.
struct ImageCloud {
    let cloud: TestCloud
    let store: FakeImageStore
    let service: ImageService

    init(
        store: FakeImageStore = FakeImageStore(), options: ImageOptions = ImageOptions(),
        stores: ImageStores? = nil, storeOptions: ImageStoreOptions = ImageStoreOptions(),
        imports: ImportOptions = ImportOptions(), ports: ImagePorts = ImagePorts()
    ) async throws {
        let box = Mutex<ImageService?>(nil)
        self.store = store
        cloud = try await TestCloud(rooms: { parts in
            let service = ImageService(
                database: parts.database, clock: parts.clock, ids: parts.ids, log: parts.log,
                stores: stores ?? ImageStores(store), options: options, storeOptions: storeOptions,
                imports: imports, ports: ports)
            box.withLock { $0 = service }
            return service
        })
        service = try #require(box.withLock { $0 })
    }

    /// Lets a worker do what is queued, all of it or until something is so.
    func work(until isDone: (@Sendable () async throws -> Bool)? = nil) async throws {
        let room = service
        let worker = Worker(room.queue, name: "test", kinds: ImageKinds.all(room), log: .silent, isExclusive: true)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await worker.run() }
            while true {
                if let isDone {
                    if try await isDone() { break }
                } else if try await room.queue.unfinished() == 0 {
                    break
                }
                await Task.yield()
            }
            group.cancelAll()
        }
    }

    static let raw: JSON = ["name": "cirros", "disk_format": "raw", "container_format": "bare"]

    /// Makes an image and gives its id.
    func make(_ body: JSON = raw, as caller: Caller = .member()) async -> String {
        await cloud.call("image", "POST", "/v2/images", body, as: caller)["id"].string ?? ""
    }

    func show(_ id: String, as caller: Caller = .member()) async -> TestCloud.Answer {
        await cloud.call("image", "GET", "/v2/images/\(id)", as: caller)
    }

    func list(_ query: String = "", as caller: Caller = .member()) async -> [String] {
        let answer = await cloud.call("image", "GET", "/v2/images", as: caller, query: query)
        return answer["images"].array?.compactMap { $0["name"]?.string } ?? ["\(answer.status)"]
    }

    func upload(_ id: String, _ bytes: [UInt8], as caller: Caller = .member()) async -> TestCloud.Answer {
        await cloud.send(
            "image", "PUT", "/v2/images/\(id)/file", bytes: bytes, type: "application/octet-stream", as: caller)
    }

    func download(
        _ id: String, as caller: Caller = .member(), headers: [(String, String)] = []
    ) async -> TestCloud.Answer {
        await cloud.call("image", "GET", "/v2/images/\(id)/file", as: caller, headers: headers)
    }

    func patch(
        _ id: String, _ changes: JSON, as caller: Caller = .member(), draft: String = "2.1"
    ) async -> TestCloud.Answer {
        await cloud.send(
            "image", "PATCH", "/v2/images/\(id)", bytes: changes.bytes(),
            type: "application/openstack-images-v\(draft)-json-patch", as: caller)
    }

    func call(
        _ method: String, _ path: String, _ body: JSON? = nil, as caller: Caller = .member()
    ) async -> TestCloud.Answer {
        await cloud.call("image", method, "/v2" + path, body, as: caller)
    }
}

extension TestCloud.Answer {
    var message: String { self["message"].string ?? "" }
}

extension ImageStores {
    /// One store that the API does not speak of.
    init(_ store: any ImageStore) {
        let entry = Entry(id: "file", kind: .file, store: store)
        self.init([entry], standard: entry, isMulti: false, staging: FakeImageStore(name: "staging"))
    }
}
