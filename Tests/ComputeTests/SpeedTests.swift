// SPDX-License-Identifier: Apache-2.0
import Compute
import Glibc
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
            var start = Self.processor
            for _ in 0..<10 {
                let list = await cloud.call("GET", "/servers/detail", at: version)
                #expect(list.status == 200)
            }
            print("list of 1,000 with details at \(version): \((Self.processor - start) / 10) us of CPU")
            start = Self.processor
            for _ in 0..<1000 { _ = await cloud.call("GET", "/servers/\(id)", at: version) }
            print("show at \(version): \((Self.processor - start) / 1000) us of CPU")
        }
    }

    /// What this process has used of processors, in microseconds: other load does not count.
    private static var processor: Int {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return time.tv_sec * 1_000_000 + time.tv_nsec / 1000
    }
}
