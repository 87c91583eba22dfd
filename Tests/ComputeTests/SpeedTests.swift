// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Simulation
import Testing

/// Prints what lists and shows cost; asserts nothing about time.
@Suite(.serialized) struct SpeedTests {
    @Test("A thousand servers are listed with details, and one is shown", .timeLimit(.minutes(5)))
    func reading() async throws {
        var options = ComputeOptions()
        (options.quota.instances, options.quota.cores, options.quota.ram) = (-1, -1, -1)
        let cloud = try await ComputeCloud(hosts: 100, options: options)
        await cloud.flavor()
        let accepted = Stopwatch()
        let made = await cloud.call("POST", "/servers", ComputeCloud.draft(["min_count": 1000, "max_count": 1000]))
        #expect(made.status == 202)
        print("1,000 servers accepted in \(accepted.elapsed.milliseconds) ms")
        let booted = Stopwatch()
        try await cloud.work()
        print("1,000 servers booted in \(booted.elapsed.milliseconds) ms")
        let id = made["server"]["id"]?.string ?? ""
        for version in ["2.1", "2.96"] {
            var best = Int64.max
            for _ in 0..<10 {
                let watch = Stopwatch()
                let list = await cloud.call("GET", "/servers/detail", at: version)
                best = min(best, watch.elapsed.microseconds)
                #expect(list.status == 200)
            }
            print("list of 1,000 with details at \(version): \(best) us")
            let watch = Stopwatch()
            for _ in 0..<1000 { _ = await cloud.call("GET", "/servers/\(id)", at: version) }
            print("show at \(version): \(watch.elapsed.microseconds / 1000) us")
        }
    }
}
