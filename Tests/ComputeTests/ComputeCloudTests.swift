// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation
import Testing

@testable import Compute

struct ComputeCloudTests {
    private struct Left: Sendable {
        weak var room: ComputeService?
        weak var front: Front?
        weak var database: Database?
    }

    private static func useAndForget() async throws -> Left {
        let cloud = try await ComputeCloud()
        await cloud.flavor()
        _ = try await cloud.server()
        return Left(room: cloud.room, front: cloud.cloud.front, database: cloud.cloud.database)
    }

    @Test("A cloud goes with the test that made it, and its database and threads with it")
    func forgotten() async throws {
        let left = try await Self.useAndForget()
        // The last to let go may be a thread of a pool, when the machine comes to it.
        let watch = Stopwatch()
        while left.database != nil, watch.elapsed < .seconds(600) { await Task.yield() }
        #expect(left.room == nil && left.front == nil && left.database == nil)
    }
}
