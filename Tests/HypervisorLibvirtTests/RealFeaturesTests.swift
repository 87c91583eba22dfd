// SPDX-License-Identifier: Apache-2.0
import Compute
import Glibc
import HypervisorLibvirt
import Kernel
import Testing

/// Features that need no hardware of their own, on guests that QEMU really runs.
@Suite(.serialized, .enabled(if: PrivateLibvirt.isPossible, "needs root, libvirtd, QEMU and Open vSwitch's tools"))
struct RealFeaturesTests {
    @Test("QEMU starts a guest with each feature, and libvirt gives back what was asked", .timeLimit(.minutes(5)))
    func features() async throws {
        try await PrivateLibvirt.with { host async throws in
            let hypervisor = host.hypervisor { $0.hasSPICE = true }
            var spec = host.spec(1)
            (spec.vcpus, spec.memoryMiB) = (4, 64)
            spec.extraSpecs = [
                "hw:numa_nodes": "2", "hw:vif_multiqueue_enabled": "true", "hw:watchdog_action": "poweroff",
                "hw_rng:rate_bytes": "1024", "hw_rng:rate_period": "1000", "hw:cpu_threads": "2",
                "quota:disk_total_iops_sec": "500", "hw:serial_port_count": "2", "hw_video:ram_max_mb": "16",
                "hw:maxphysaddr_mode": "emulate", "hw:maxphysaddr_bits": "40", "hw:usb_model": "qemu-xhci",
                "hw:redirected_usb_ports": "2", "hw:sound_model": "ich6",
            ]
            spec.properties = ["hw_video_ram": "16", "hw_boot_menu": "true", "hw_disk_bus": "scsi"]
            try await hypervisor.boot(spec, image: nil)
            let text = try host.virsh("dumpxml", spec.server)
            let expected = [
                "<cell id='1' cpus='2-3' memory='32768' unit='KiB'/>", "queues='4'", "action='poweroff'",
                "<rate bytes='1024' period='1000'/>", "threads='2'", "<total_iops_sec>500</total_iops_sec>",
                "<target type='isa-serial' port='1'>", "vram='16384'",
                "<maxphysaddr mode='emulate' bits='40'/>", "model='qemu-xhci'", "<redirdev bus='usb' type='spicevmc'>",
                "<sound model='ich6'>",
            ]
            for part in expected { #expect(text.contains(part), "\(part)") }
            // A card that comes later is like the first.
            var nic = GuestNIC(portID: RandomIdentifiers().uuid(), mac: "fa:16:3e:00:03:01", mtu: 1442)
            try await hypervisor.plug(nic, into: spec.server)
            nic.queues = 4
            let cards = try host.virsh("dumpxml", spec.server).split(separator: "queues='4'").count - 1
            #expect(cards == 2)
            try await hypervisor.destroy(spec.server)
            #expect(try host.devices().filter { $0.hasPrefix("tap") }.isEmpty)
        }
    }

    @Test("A guest takes cards of its host, and lets them go again", .timeLimit(.minutes(5)))
    func cards() async throws {
        try await PrivateLibvirt.with { host async throws in
            let (hypervisor, spec) = (host.hypervisor(), host.spec(1))
            try await hypervisor.boot(spec, image: nil)
            // There is no such device: only a guest that is down takes it.
            try await hypervisor.power(spec.server, .stop)
            for (at, kind) in [GuestNIC.Kind.direct, .macvtap, .whole].enumerated() {
                var nic = GuestNIC(portID: RandomIdentifiers().uuid(), mac: "fa:16:3e:00:04:0\(at)", mtu: 1500)
                (nic.kind, nic.vlan) = (kind, kind == .direct ? 7 : nil)
                nic.hostDevice = HostDevice(.pci, address: "0000:fe:1f.\(at)", portID: nic.portID)
                for _ in 0..<2 { try await hypervisor.plug(nic, into: spec.server) }
                let text = try host.virsh("dumpxml", spec.server)
                #expect(text.split(separator: "ua-\(nic.portID)").count == 2, "\(text)")
                for _ in 0..<2 { try await hypervisor.unplug(port: nic.portID, from: spec.server) }
                let after = try host.virsh("dumpxml", spec.server)
                #expect(!after.contains(nic.portID))
            }
            try await hypervisor.destroy(spec.server)
        }
    }

    @Test(
        "Shares and quotas of processors are kept in the guest's control group",
        .enabled(if: access("/sys/fs/cgroup/cpu/cpu.shares", W_OK) == 0, "needs the controller cpu"),
        .timeLimit(.minutes(5)))
    func processorLimits() async throws {
        let group = "/sys/fs/cgroup/cpu/apus.partition"
        try FileSystem.makeDirectory(group)
        try await PrivateLibvirt.with(groups: "mount -t cgroup -o cpu cgroup /sys/fs/cgroup") { host async throws in
            let hypervisor = host.hypervisor { $0.partition = "/apus" }
            var spec = host.spec(1)
            spec.extraSpecs = ["quota:cpu_shares": "512", "quota:cpu_period": "100000", "quota:cpu_quota": "20000"]
            try await hypervisor.boot(spec, image: nil)
            let own = FileSystem.list(group).first { $0.contains(spec.instanceName) } ?? ""
            #expect(FileSystem.text("\(group)/\(own)/cpu.shares") == "512\n")
            #expect(FileSystem.text("\(group)/\(own)/vcpu0/cpu.cfs_quota_us") == "20000\n")
            try await hypervisor.destroy(spec.server)
            #expect(!FileSystem.list(group).contains(own))
        }
    }

    @Test("Where there are no control groups a guest that needs them is refused, and told what to do")
    func noProcessorLimits() async throws {
        try await PrivateLibvirt.with { host async throws in
            let hypervisor = host.hypervisor { $0.lacksProcessorGroups = true }
            var spec = host.spec(1)
            spec.extraSpecs = ["quota:cpu_shares": "512"]
            let fault = await #expect(throws: Fault.self) { try await hypervisor.boot(spec, image: nil) }
            #expect(fault?.message.contains("quota:cpu_shares needs the control group") == true)
            #expect(fault?.message.contains("apus doctor") == true)
        }
    }

    @Test(
        "A guest starts from UEFI, with its own variables, and leaves none behind",
        .enabled(if: FileSystem.exists("/usr/share/qemu/firmware/60-edk2-x86_64.json"), "needs OVMF"),
        .timeLimit(.minutes(5)), arguments: ["pc", "q35"])
    func firmware(machine: String) async throws {
        try await PrivateLibvirt.with { host async throws in
            let hypervisor = host.hypervisor()
            var spec = host.spec(1)
            spec.memoryMiB = 128
            spec.properties = ["hw_firmware_type": "uefi", "hw_machine_type": machine]
            try await hypervisor.boot(spec, image: nil)
            let text = try host.virsh("dumpxml", spec.server)
            #expect(text.contains("type='pflash'") && text.contains("OVMF_CODE"))
            // OVMF says on the serial line what it tries to boot.
            try await RealGuestTests.hear("BdsDxe", on: hypervisor, spec.server)
            let variables = host.directory + "/varlib/qemu/nvram"
            #expect(!FileSystem.list(variables).isEmpty)
            try await hypervisor.destroy(spec.server)
            #expect(FileSystem.list(variables).isEmpty)
        }
    }

    @Test(
        "Secure boot starts only with the firmware that checks", .timeLimit(.minutes(5)),
        .enabled(if: FileSystem.exists("/usr/share/qemu/firmware/60-edk2-x86_64.json"), "needs OVMF"))
    func secureBoot() async throws {
        try await PrivateLibvirt.with { host async throws in
            let hypervisor = host.hypervisor()
            var spec = host.spec(1)
            spec.memoryMiB = 128
            spec.extraSpecs = ["os:secure_boot": "required"]
            spec.properties = ["hw_firmware_type": "uefi", "hw_machine_type": "q35"]
            try await hypervisor.boot(spec, image: nil)
            let text = try host.virsh("dumpxml", spec.server)
            #expect(text.contains("secure='yes'") && text.contains("OVMF_CODE_4M.ms.fd"))
            try await hypervisor.destroy(spec.server)
        }
    }

    @Test(
        "A guest has a trusted module, whose state ends with it",
        .enabled(if: Subprocess.locate("swtpm") != nil, "needs swtpm"), .timeLimit(.minutes(5)))
    func trustedModule() async throws {
        try await PrivateLibvirt.with { host async throws in
            let hypervisor = host.hypervisor()
            var spec = host.spec(1)
            spec.extraSpecs = ["hw:tpm_version": "2.0", "hw:tpm_model": "tpm-crb"]
            try await hypervisor.boot(spec, image: nil)
            #expect(try host.virsh("dumpxml", spec.server).contains("<tpm model='tpm-crb'>"))
            let state = host.directory + "/varlib/swtpm/" + spec.server
            #expect(FileSystem.exists(state))
            try await hypervisor.power(spec.server, .stop)
            #expect(FileSystem.exists(state), "it stays while the guest is only down")
            try await hypervisor.power(spec.server, .start)
            try await hypervisor.destroy(spec.server)
            #expect(!FileSystem.exists(state))
        }
    }

    @Test("What contradicts itself is refused and leaves nothing")
    func refused() async throws {
        try await PrivateLibvirt.with { host async throws in
            let hypervisor = host.hypervisor()
            var spec = host.spec(1)
            spec.extraSpecs = ["hw:numa_nodes": "2"]
            await #expect(throws: Fault.self) { try await hypervisor.boot(spec, image: nil) }
            try await hypervisor.destroy(spec.server)
            #expect(try await hypervisor.guests().isEmpty)
            #expect(FileSystem.list(host.data + "/instances").isEmpty)
        }
    }
}
