// SPDX-License-Identifier: Apache-2.0
import Base
import SQL
import Testing

/// Prints how fast rows become records; asserts nothing about time.
@Suite(.serialized) struct SpeedTests {
    /// Thirty columns of mixed kinds, as a server has.
    struct Wide: Record, Equatable {
        static let table = "wides"
        enum State: String, Codable { case active, building, stopped }

        var id: String, projectID: String, userID: String, name: String, imageRef: String?
        var flavorID: String, hostName: String?, node: String?, availabilityZone: String, keyName: String?
        var state: State, taskState: String?, vmState: State, powerState: Int, progress: Int
        var vcpus: Int, memoryMB: Int, rootGB: Int, ephemeralGB: Int, launchIndex: Int
        var createdAt: Timestamp, updatedAt: Timestamp?, launchedAt: Timestamp?, deletedAt: Timestamp?
        var isLocked: Bool, isDeleted: Bool, weight: Double, tags: [String], osType: String?, generation: Int

        init(_ number: Int) {
            id = "8f1c7a52-31cf-4a0e-9e2d-\(100_000_000_000 + number)"
            projectID = "4b9f3a6a7f5c4f0c8f2d1c3b5a697887"
            userID = "0c1d2e3f405162738495a6b7c8d9eaf0"
            name = "server-\(number)"
            imageRef = number % 3 == 0 ? nil : "70a599e0-31e7-49b7-b260-868f441e862b"
            flavorID = "m1.small"
            hostName = "compute-\(number % 40)"
            node = nil
            availabilityZone = "nova"
            keyName = "laptop"
            (state, taskState, vmState, powerState, progress) = (.active, nil, .stopped, 1, 100)
            (vcpus, memoryMB, rootGB, ephemeralGB, launchIndex) = (2, 4096, 20, 0, number)
            createdAt = Timestamp(seconds: 1_700_000_000)
            (updatedAt, launchedAt, deletedAt) = (createdAt, createdAt, nil)
            (isLocked, isDeleted, weight, tags, osType, generation) = (false, false, 1.5, ["web", "blue"], "linux", 7)
        }
    }

    static let migration: Migration = """
        2026-11-20 wides
        CREATE TABLE wides (
            id VARCHAR(36) PRIMARY KEY, project_id TEXT, user_id TEXT, name TEXT, image_ref TEXT, flavor_id TEXT,
            host_name TEXT, node TEXT, availability_zone TEXT, key_name TEXT, state TEXT, task_state TEXT,
            vm_state TEXT, power_state BIGINT, progress BIGINT, vcpus BIGINT, memory_mb BIGINT, root_gb BIGINT,
            ephemeral_gb BIGINT,
            launch_index BIGINT, created_at BIGINT, updated_at BIGINT, launched_at BIGINT, deleted_at BIGINT,
            is_locked BOOLEAN, is_deleted BOOLEAN, weight DOUBLE PRECISION, tags TEXT, os_type TEXT, generation BIGINT)
        """

    @Test("A thousand wide rows are mapped")
    func mapping() async throws {
        let database = try Database.temporary()
        try await database.migrate([Self.migration])
        let wides = (0..<1000).map(Wide.init)
        let inserting = Stopwatch()
        try await database.insert(wides)
        print("speed: 1000 inserts of 30 columns in one transaction \(inserting.elapsed)")
        var best = Duration.seconds(100)
        for _ in 0..<10 {
            let watch = Stopwatch()
            let found = try await database.all(Wide.self)
            best = min(best, watch.elapsed)
            #expect(found.count == 1000)
        }
        print("speed: 1000 rows of 30 columns as records \(best)")
        let watch = Stopwatch()
        #expect(try await database.rows("SELECT * FROM wides").count == 1000)
        print("speed: the same as plain rows \(watch.elapsed)")
        #expect(try await database.all(Wide.self) == wides)
    }

    @Test("Single reads and writes are timed")
    func single() async throws {
        let database = try Database.temporary()
        try await database.migrate([Self.migration])
        try await database.insert((0..<1000).map(Wide.init))
        let reading = Stopwatch()
        for number in 0..<2000 {
            let id = "8f1c7a52-31cf-4a0e-9e2d-\(100_000_000_000 + number % 1000)"
            _ = try await database.one(Wide.self, "id = \(id)", or: .notFound(id))
        }
        print("speed: a point read of 30 columns \(reading.elapsed / 2000)")
        let id = "8f1c7a52-31cf-4a0e-9e2d-100000000005"
        let writing = Stopwatch()
        for number in 0..<1000 {
            try await database.update(Wide.self, set: "progress = \(number)", where: "id = \(id)")
        }
        print("speed: one caller's transaction, no sync \(writing.elapsed / 1000)")
        let building = Stopwatch()
        var places = 0
        for number in 0..<10_000 {
            let sql: SQL = "project_id = \("p") AND name = \("n") AND vcpus > \(number) ORDER BY name LIMIT \(10)"
            places += sql.values.count
        }
        print("speed: an interpolation of four values \(building.elapsed / 10_000) (\(places))")
    }

    @Test("Durable writers share the disk's syncs", arguments: [1, 16, 64])
    func durable(callers: Int) async throws {
        let directory = try Directory()
        let database = try Database.sqlite(path: directory.path + "/apus.sqlite")
        try await database.migrate(Store.migrations)
        let each = 400 / callers
        let watch = Stopwatch()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for caller in 0..<callers {
                group.addTask {
                    for turn in 0..<each { try await database.insert(Counter(id: "\(caller)/\(turn)")) }
                }
            }
            try await group.waitForAll()
        }
        let took = watch.elapsed
        print("speed: durable inserts, \(callers) callers: \(Int(Double(callers * each) / took.asSeconds)) per second")
        #expect(try await database.count(Counter.self) == callers * each)
        await database.close()
    }
}
