// SPDX-License-Identifier: Apache-2.0
import Kernel
import Simulation
import Testing

@testable import Compute

/// Flavors and images together, and what is refused of them, in upstream's words.
struct GuestFeaturesTests {
    private static func wishes(
        _ specs: [String: String] = [:], _ properties: [String: String] = [:], vcpus: Int = 4, memory: Int = 1024
    ) -> GuestWishes {
        GuestWishes(
            vcpus: vcpus, memoryMiB: memory, flavorName: "big", extraSpecs: specs, imageID: "i1", imageName: "linux",
            properties: properties)
    }

    private static func refusal(_ wishes: GuestWishes) -> String? {
        do throws(Fault) {
            _ = try GuestFeatures(wishes)
            return nil
        } catch { return error.status == 400 ? error.message : "\(error.status)" }
    }

    @Test(
        "Sets of processors are read and written",
        arguments: [("0-3,^2,8", [0, 1, 3, 8], "0-1,3,8"), (" 1 , 2-2,^7", [1, 2], "1-2"), ("", [], "")])
    func sets(text: String, numbers: [Int], back: String) throws {
        #expect(try CPUSet.parse(text) == numbers)
        #expect(CPUSet.text(numbers) == back)
    }

    @Test("Sets of processors that make no sense are refused", arguments: ["3-1", "x", "^y", "1-99999999", "-1", "1-"])
    func wrongSets(text: String) { #expect(throws: Fault.self) { try CPUSet.parse(text) } }

    @Test(
        "The topology is the preferred one as far as it adds up, else as many sockets as there may be",
        arguments: [
            ([:], [:], 4, [4, 1, 1]), ([:], ["hw_cpu_cores": "2", "hw_cpu_threads": "2"], 4, [1, 2, 2]),
            (["hw:cpu_sockets": "2"], [:], 4, [2, 2, 1]), ([:], ["hw_cpu_cores": "3"], 4, [4, 1, 1]),
            (["hw:cpu_max_sockets": "1"], [:], 4, [1, 4, 1]),
            (["hw:cpu_max_sockets": "1", "hw:cpu_max_cores": "2"], [:], 4, [1, 2, 2]),
            (["hw:cpu_max_sockets": "4", "hw:cpu_sockets": "4"], ["hw_cpu_max_sockets": "2"], 8, [2, 4, 1]),
            (["hw:cpu_cores": "4"], ["hw_cpu_threads": "2"], 8, [4, 1, 2]),
        ] as [([String: String], [String: String], Int, [Int])])
    func topology(specs: [String: String], properties: [String: String], vcpus: Int, wanted: [Int]) throws {
        let found = try CPUTopology.best(Self.wishes(specs, properties, vcpus: vcpus))
        #expect([found.sockets, found.cores, found.threads] == wanted)
    }

    @Test("NUMA nodes are shared out evenly, or by hand")
    func nodes() throws {
        let even = try #require(try GuestNUMA(Self.wishes(["hw:numa_nodes": "2"])))
        #expect(even.cells.map(\.cpus) == [[0, 1], [2, 3]] && even.cells.map(\.memoryMiB) == [512, 512])
        #expect(!even.isPinned && even.pages == nil)
        let byHand = try #require(
            try GuestNUMA(
                Self.wishes(
                    [
                        "hw:numa_nodes": "2", "hw:numa_cpus.0": "0", "hw:numa_mem.0": "256", "hw:numa_cpus.1": "1-3",
                        "hw:numa_mem.1": "768", "hw:mem_page_size": "2MB",
                    ])))
        #expect(byHand.cells.map(\.cpus) == [[0], [1, 2, 3]] && byHand.cells.map(\.memoryMiB) == [256, 768])
        #expect(byHand.pages == .kibibytes(2048))
        #expect(try GuestNUMA(Self.wishes()) == nil)
    }

    @Test("Processors of its own: all, or those of the mask")
    func pinned() throws {
        let all = try #require(try GuestNUMA(Self.wishes(["hw:cpu_policy": "dedicated"])))
        #expect(all.cells.map(\.pinned) == [[0, 1, 2, 3]])
        let mixed = try #require(
            try GuestNUMA(Self.wishes(["hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "^0-1"])))
        #expect(mixed.cells.map(\.pinned) == [[2, 3]] && mixed.cpuPolicy == .mixed)
        let older = try #require(try GuestNUMA(Self.wishes(["resources:PCPU": "4"])))
        #expect(older.cpuPolicy == .dedicated)
        let realtime = Self.wishes(
            ["hw:cpu_policy": "dedicated", "hw:cpu_realtime": "yes", "hw:cpu_realtime_mask": "^0"])
        #expect(try GuestFeatures(realtime).realtimeCPUs == [1, 2, 3])
    }

    @Test(
        "Contradictions are refused in upstream's words",
        arguments: [
            (
                ["hw:cpu_policy": "own"], [:],
                "CPU policy requested from 'flavor extra specs' is invalid, given: 'own', "
                    + "available: '('dedicated', 'shared', 'mixed')'."
            ),
            (
                ["hw:cpu_policy": "shared"], ["hw_cpu_policy": "dedicated"],
                "Image property 'hw_cpu_policy' is not permitted to override CPU pinning policy set against the flavor"
            ),
            (
                ["hw:cpu_thread_policy": "isolate"], [:],
                "Cannot set cpu thread pinning policy in a non dedicated cpu pinning policy"
            ),
            (
                ["hw:emulator_threads_policy": "isolate"], [:],
                "An isolated CPU emulator threads option requires a dedicated CPU policy option."
            ),
            (
                ["hw:numa_nodes": "3"], [:],
                "Instance CPUs and/or memory cannot be evenly distributed across instance NUMA nodes. Explicit "
                    + "assignment of CPUs and memory to nodes is required"
            ),
            (
                ["hw:numa_nodes": "0"], [:],
                "The property 'numa_nodes' cannot be '0'. It must be a number greater than 0"
            ),
            (
                ["hw:numa_nodes": "2"], ["hw_numa_nodes": "2"],
                "Image property 'hw_numa_nodes' is not permitted to override NUMA configuration set against the flavor"
            ),
            (
                ["hw:numa_nodes": "1", "hw:numa_cpus.0": "0-3"], [:],
                "CPU and memory allocation must be provided for all NUMA nodes"
            ),
            (
                ["hw:numa_nodes": "1", "hw:numa_cpus.0": "0-4", "hw:numa_mem.0": "1024"], [:],
                "CPU number 4 is larger than max 3"
            ),
            (
                ["hw:numa_nodes": "1", "hw:numa_cpus.0": "0-1", "hw:numa_mem.0": "1024"], [:],
                "CPU number {2, 3} is not assigned to any node"
            ),
            (
                ["hw:numa_nodes": "1", "hw:numa_cpus.0": "0-3", "hw:numa_mem.0": "512"], [:],
                "512 MB of memory assigned, but expected 1024 MB"
            ),
            ([:], ["hw_mem_page_size": "2MB"], "Page size 2MB forbidden against '<empty>'"),
            (["hw:mem_page_size": "huge"], [:], "Invalid memory page size 'huge'"),
            (
                ["hw:mem_page_size": "small"], ["hw_mem_page_size": "large"],
                "Page size large forbidden against 'small'"
            ),
            (
                ["hw:locked_memory": "true"], [:],
                "locked_memory value in image or flavor is forbidden when mem_page_size is not set."
            ),
            (
                ["hw:cpu_max_cores": "2"], ["hw_cpu_max_cores": "4"],
                "Image vCPU topology limits (sockets=0, cores=4, threads=0) exceeds the limits of the flavor ("
                    + "sockets=0, cores=2, threads=0)"
            ),
            (
                ["hw:cpu_cores": "many"], [:],
                "Invalid flavor extra spec. Error: invalid literal for int() with base 10: "
                    + "'many'"
            ),
            (
                ["hw:serial_port_count": "1"], ["hw_serial_port_count": "2"],
                "Forbidden to exceed flavor value of number of serial ports passed in image meta."
            ),
            (
                ["hw:pmu": "false"], ["hw_pmu": "true"],
                "Flavor big has hw:pmu extra spec explicitly set to False, conflicting with image linux which has "
                    + "hw_pmu explicitly set to True."
            ),
            (["hw:tpm_version": "3"], [:], "Invalid TPM version '3'. Allowed values: 1.2, 2.0."),
            (
                ["hw:tpm_version": "1.2", "hw:tpm_model": "tpm-crb"], [:],
                "TPM model CRB is only valid with TPM version 2.0."
            ),
            (
                ["hw:mem_encryption": "true"], [:],
                "Memory encryption is requested by hw:mem_encryption extra spec in big flavor but the image metadata "
                    + "doesn't have the 'hw_firmware_type' property set to 'uefi'"
            ),
            (
                [:], ["hw_mem_encryption": "true", "hw_firmware_type": "uefi", "hw_machine_type": "pc"],
                "Machine type 'pc' is not compatible with image linux (i1): q35 type is required for amd-sev to work"
            ),
            ([:], ["hw_watchdog_action": "bark"], "Provided watchdog action (bark) is not supported."),
            (
                [:], ["hw_video_ram": "64"],
                "The requested amount of video memory 64 is higher than the maximum allowed by flavor 0."
            ),
            (
                ["hw:cpu_realtime": "true", "hw:cpu_policy": "dedicated"], [:],
                "Use of realtime CPUs requires either one or more non-realtime CPU(s) or offloaded emulator threads."
            ),
            (
                ["hw:cpu_policy": "dedicated", "resources:PCPU": "4"], [:],
                "It is not possible to use the 'resources:VCPU' or 'resources:PCPU' extra specs in combination with "
                    + "the 'hw:cpu_policy' extra spec or 'hw_cpu_policy' image metadata property; use one or the other"
            ),
            (
                ["hw:cpu_dedicated_mask": "0-1", "hw:cpu_policy": "dedicated"], [:],
                "Cannot specify 'hw:cpu_dedicated_mask' without the 'mixed' policy."
            ),
            (
                ["hw:sound_model": "gramophone"], [:],
                "Invalid sound device model 'gramophone'. Allowed values: ac97, es1370, ich6, ich9, pcspk, sb16, usb, "
                    + "virtio."
            ),
            ([:], ["hw_redirected_usb_ports": "16"], "Nova only supports up to 15 USB ports."),
            (
                ["hw:usb_model": "nec-xhci"], ["hw_usb_model": "qemu-xhci"],
                "Flavor big has hw:usb_model extra spec explicitly set to nec-xhci, conflicting with image linux which "
                    + "has hw_usb_model explicitly set to qemu-xhci."
            ),
        ] as [([String: String], [String: String], String)])
    func refused(specs: [String: String], properties: [String: String], message: String) {
        #expect(Self.refusal(Self.wishes(specs, properties)) == message)
    }

    @Test("Small things follow their own precedence")
    func small() throws {
        let features = try GuestFeatures(
            Self.wishes(
                [
                    "hw:watchdog_action": "reset", "hw_rng:rate_bytes": "100", "hw_rng:rate_period": "1000",
                    "hw_video:ram_max_mb": "64", "hw:tpm_version": "2.0", "hw:vif_multiqueue_enabled": "true",
                    "hw:serial_port_count": "3",
                ], ["hw_watchdog_action": "poweroff", "hw_video_ram": "32", "hw_serial_port_count": "2"]))
        #expect(features.watchdog == "poweroff" && features.videoMiB == 32 && features.serialPorts == 2)
        #expect(features.randomness == .init(bytes: 100, periodMilliseconds: 1000))
        #expect(features.tpm == .init(version: "2.0", model: "tpm-tis") && features.hasMultiqueue)
        #expect(try GuestFeatures(Self.wishes(["hw_rng:allowed": "False"])).randomness == nil)
        #expect(try GuestFeatures(Self.wishes(["hw:vif_multiqueue_enabled": "1"], vcpus: 1)).hasMultiqueue == false)
    }

    @Test("The API refuses a server whose flavor contradicts itself")
    func create() async throws {
        let cloud = try await ComputeCloud()
        await cloud.flavor("odd", vcpus: 4)
        let specs: JSON = ["extra_specs": ["hw:numa_nodes": "3"]]
        #expect(await cloud.call("POST", "/flavors/odd/os-extra_specs", specs, as: .admin()).status == 200)
        let server = await cloud.call("POST", "/servers", ComputeCloud.draft(["flavorRef": "odd"]))
        #expect(server.status == 400 && server.message.hasPrefix("Instance CPUs and/or memory cannot be evenly"))
    }
}
