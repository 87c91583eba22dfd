// SPDX-License-Identifier: Apache-2.0
import Image
import Kernel
import Simulation
import Synchronization
import Testing

/// An Image room with three stores, a web of made-up servers, and a worker that runs when told to.
struct ImportCloud {
    let image: ImageCloud
    let web = FakeRemoteImages()
    let staging = FakeImageStore(name: "staging")
    let stores: [FakeImageStore]

    init(
        capacities: [Int] = [1 << 30, 1 << 30], isMulti: Bool = true, imports: ImportOptions = ImportOptions(),
        options: ImageOptions = ImageOptions(), workshop: (any ImageWorkshop)? = nil, staged: (any ImageStore)? = nil
    ) async throws {
        let stores = capacities.enumerated().map { FakeImageStore(name: "s\($0.offset)", capacity: $0.element) }
        let entries = stores.enumerated().map {
            ImageStores.Entry(id: "s\($0.offset)", kind: .file, store: $0.element)
        }
        self.stores = stores
        var imports = imports
        imports.methods = ImportMethod.allCases
        image = try await ImageCloud(
            options: options,
            stores: ImageStores(entries, standard: entries[0], isMulti: isMulti, staging: staged ?? staging),
            imports: imports, ports: ImagePorts(remote: web, workshop: workshop))
    }

    func work(until isDone: (@Sendable () async throws -> Bool)? = nil) async throws {
        try await image.work(until: isDone)
    }

    func start(_ id: String, _ body: JSON, as caller: Caller = .member()) async -> TestCloud.Answer {
        await image.call("POST", "/images/\(id)/import", body, as: caller)
    }

    /// Asks for an import from an address and lets it be done.
    func download(_ id: String, _ url: String, _ extra: JSON = [:]) async throws -> TestCloud.Answer {
        var body = extra.object ?? JSONObject()
        body["method"] = ["name": "web-download", "uri": .string(url)]
        let answer = await start(id, .object(body))
        #expect(answer.status == 202, "\(answer.message)")
        try await work()
        return await image.show(id)
    }

    func stage(_ id: String, _ bytes: [UInt8]) async -> TestCloud.Answer {
        await image.cloud.send(
            "image", "PUT", "/v2/images/\(id)/stage", bytes: bytes, type: "application/octet-stream")
    }

    /// The newest task of an image.
    func task(_ id: String) async -> JSON {
        await image.call("GET", "/images/\(id)/tasks")["tasks"].array?.first ?? .null
    }
}
