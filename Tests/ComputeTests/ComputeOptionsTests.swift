// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Testing

struct ComputeOptionsTests {
    private func load(_ text: String) throws(ConfigurationErrors) -> ComputeOptions {
        try Configuration.load(
            sources: [ConfigurationSource(name: "apus.conf", text: text)], known: [ComputeOptions.self])[
                ComputeOptions.self]
    }

    @Test("nova.conf's names reach what they configure")
    func reading() throws {
        let options = try load(
            """
            cpu_allocation_ratio = 16
            ram_allocation_ratio = 1.5
            disk_allocation_ratio = 2
            reserved_host_memory_mb = 1024
            service_down_time = 90
            shutdown_timeout = 5
            [api]
            max_limit = 50
            [consoleauth]
            token_ttl = 5m
            [quota]
            instances = -1
            cores = 8
            ram = 4096
            metadata_items = 5
            key_pairs = 6
            server_groups = 7
            server_group_members = 9
            """)
        #expect(options.cpuRatio == 16 && options.memoryRatio == 1.5 && options.diskRatio == 2)
        #expect(options.reservedMemoryMiB == 1024 && options.maxLimit == 50)
        #expect(options.serviceDownTime == .seconds(90) && options.graceOfStop == .seconds(5))
        #expect(options.consoleTokenTTL == .seconds(300))
        let quota = options.quota
        #expect(quota.instances == -1 && quota.cores == 8 && quota.ram == 4096 && quota.metadataItems == 5)
        #expect(quota.keyPairs == 6 && quota.serverGroups == 7 && quota.serverGroupMembers == 9)
    }

    @Test(
        "What makes no sense is refused",
        arguments: ["cpu_allocation_ratio = 0", "[quota]\ncores = -2", "[api]\nmax_limit = 0", "[quota]\ncore = 1"])
    func refusals(text: String) {
        #expect(throws: ConfigurationErrors.self) { try load(text) }
    }
}
