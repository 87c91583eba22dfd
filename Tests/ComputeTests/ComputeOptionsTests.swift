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

    @Test("Names of devices have what Placement calls them; what stands for too much or too little is refused")
    func aliases() throws {
        let options = try load(
            """
            [pci]
            report_in_placement = true
            alias = {"name": "gpu", "resource_class": "big gpu", "traits": "red,HW_GPU_API_VULKAN",
                "live_migratable": "no"}
            [filter_scheduler]
            pci_in_placement = true
            """
        ).pci
        #expect(options.reportsInPlacement && options.isInPlacement)
        #expect(options.aliases[0].resourceClass == "CUSTOM_BIG_GPU")
        #expect(options.aliases[0].traits == ["CUSTOM_RED", "HW_GPU_API_VULKAN"])
        #expect(options.aliases[0].isLiveMigratable == false)
        let ids = #""vendor_id": "10de", "product_id": "1db4""#
        for (text, isInPlacement) in [
            (#"{"name": "gpu", "vendor_id": "10de"}"#, false), (#"{"name": "gpu", "resource_class": "PGPU"}"#, false),
            (#"{"name": "gpu", "traits": "red"}"#, true), (#"[{"name": "a", \#(ids)}, {"name": "a", \#(ids)}]"#, true),
            (#"{"name": "gpu", \#(ids), "live_migratable": "perhaps"}"#, false),
            (#"[{"name": "a", \#(ids), "device_type": "type-PF"}, {"name": "a", \#(ids)}]"#, false),
        ] {
            #expect(throws: ConfigurationErrors.self, "\(text)") {
                try load("[pci]\nalias = \(text)\n[filter_scheduler]\npci_in_placement = \(isInPlacement)")
            }
        }
    }

    @Test(
        "What makes no sense is refused",
        arguments: ["cpu_allocation_ratio = 0", "[quota]\ncores = -2", "[api]\nmax_limit = 0", "[quota]\ncore = 1"])
    func refusals(text: String) {
        #expect(throws: ConfigurationErrors.self) { try load(text) }
    }
}
