// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Testing

@testable import HypervisorLibvirt

/// What each feature adds to a domain, to the letter.
struct DomainFeaturesTests {
    /// The lines that a feature adds to the plain guest's domain, without their indentation.
    static func added(
        _ specs: [String: String] = [:], _ properties: [String: String] = [:], accelerator: Accelerator = .tcg,
        guest: (inout GuestSpec) -> Void = { _ in }, change: (inout LibvirtSettings) -> Void = { _ in }
    ) throws -> [String] {
        var spec = DomainXMLTests.spec()
        spec.extraSpecs = specs
        spec.properties = properties
        guest(&spec)
        let plain = Set(Self.lines(try DomainXMLTests.text(accelerator: accelerator, change: change)))
        return Self.lines(try DomainXMLTests.text(spec, accelerator: accelerator, change: change)).filter {
            !plain.contains($0)
        }
    }

    private static func lines(_ text: String) -> [String] {
        text.split(separator: "\n").map { String($0.drop { $0 == " " }) }
    }

    @Test("UEFI, with and without secure boot")
    func firmware() throws {
        #expect(
            try Self.added([:], ["hw_firmware_type": "uefi"]) == [
                "<os firmware='efi'>", "<firmware>", "<feature enabled='no' name='secure-boot'/>", "</firmware>",
            ])
        let secure = try Self.added(
            ["os:secure_boot": "required"], ["hw_firmware_type": "uefi", "hw_machine_type": "q35"])
        #expect(secure.contains("<feature enabled='yes' name='secure-boot'/>") && secure.contains("<smm state='on'/>"))
        #expect(secure.contains("<feature enabled='yes' name='enrolled-keys'/>"))
        #expect(secure.count { $0 == "<controller type='pci' model='pcie-root-port'/>" } == 8)
        let stateless = try Self.added(
            [:], ["hw_firmware_type": "uefi", "hw_firmware_stateless": "true"])
        #expect(stateless.contains("<loader stateless='yes'/>"))
    }

    @Test("A kernel of the image's own, with what it is told, and none while a guest is rescued")
    func kernels() throws {
        let lines = try Self.added([:], ["kernel_id": "k", "ramdisk_id": "r"])
        #expect(lines.contains { $0.hasPrefix("<kernel>") && $0.hasSuffix("/kernel</kernel>") })
        #expect(lines.contains { $0.hasSuffix("/ramdisk</initrd>") })
        #expect(
            lines.contains("<cmdline>root=/dev/vda console=tty0 console=ttyS0 console=hvc0 no_timer_check</cmdline>"))
        let own = try Self.added([:], ["kernel_id": "k", "os_command_line": "quiet"])
        #expect(own.contains("<cmdline>quiet</cmdline>") && !own.contains { $0.contains("initrd") })
        #expect(try Self.added([:], ["kernel_id": ""]).isEmpty)
    }

    @Test("Shares of processors are kept in the group of the cloud's guests")
    func processorGroups() throws {
        let lines = try Self.added(["quota:cpu_shares": "512"]) { _ in
        } change: {
            $0.partition = "/apus"
        }
        #expect(lines.contains("<shares>512</shares>"))
        let text = try DomainXMLTests.text(DomainXMLTests.spec(), accelerator: .tcg) { $0.partition = "/apus" }
        #expect(text.contains("<partition>/apus</partition>"))
        #expect(throws: Fault.self) {
            try Self.added(["quota:cpu_quota": "5"]) { _ in
            } change: {
                $0.lacksProcessorGroups = true
            }
        }
    }

    @Test("NUMA cells of the guest, before and after they have a place on the host")
    func cells() throws {
        let wish = ["hw:numa_nodes": "2"]
        let cells = [
            "<numa>", "<cell id='0' cpus='0' memory='256' unit='MiB'/>",
            "<cell id='1' cpus='1' memory='256' unit='MiB'/>", "</numa>",
        ]
        #expect(try Self.added(wish) == cells)
        let placed = try Self.added(wish) { spec in
            spec.numa = try? GuestNUMA(GuestWishes(spec))
            spec.numa?.cells[0].hostCell = 1
            spec.numa?.cells[1].hostCell = 0
        }
        #expect(
            placed == [
                "<numatune>", "<memory mode='strict' nodeset='0-1'/>",
                "<memnode cellid='0' mode='strict' nodeset='1'/>",
                "<memnode cellid='1' mode='strict' nodeset='0'/>", "</numatune>",
            ] + cells)
    }

    @Test("Processors of its own in real time, and large pages")
    func pinned() throws {
        let specs = [
            "hw:cpu_policy": "dedicated", "hw:cpu_realtime": "yes", "hw:cpu_realtime_mask": "1",
            "hw:mem_page_size": "2MB", "quota:cpu_shares": "512",
        ]
        let found = try Self.added(specs) { spec in
            spec.numa = try? GuestNUMA(GuestWishes(spec))
            spec.numa?.cells[0].hostCell = 0
            spec.numa?.cells[0].pageKiB = 2048
            spec.numa?.cells[0].pins = [.init(cpu: 0, host: 4), .init(cpu: 1, host: 5)]
        } change: {
            $0.hasNUMA = false
        }
        #expect(
            found == [
                "<memoryBacking>", "<hugepages>", "<page size='2048' unit='KiB' nodeset='0'/>", "</hugepages>",
                "<nosharepages/>", "<locked/>", "</memoryBacking>", "<cputune>", "<shares>512</shares>",
                "<vcpupin vcpu='0' cpuset='4'/>", "<vcpupin vcpu='1' cpuset='5'/>", "<emulatorpin cpuset='4'/>",
                "<vcpusched vcpus='1' scheduler='fifo' priority='1'/>", "</cputune>", "<numa>",
                "<cell id='0' cpus='0-1' memory='512' unit='MiB' memAccess='shared'/>", "</numa>",
            ])
    }

    @Test("Guests without processors of their own share those that are set aside for that")
    func shared() throws {
        let text = try DomainXMLTests.text { $0.sharedCPUs = [0, 1, 4] }
        #expect(text.contains("<vcpu placement='static' cpuset='0-1,4'>2</vcpu>"))
        #expect(try DomainXMLTests.text { $0.cpuFlags = ["+aes", "-hle"] }.contains("policy='require' name='aes'"))
    }

    @Test("Small devices")
    func devices() throws {
        #expect(try Self.added(["hw:watchdog_action": "reset"]) == ["<watchdog model='i6300esb' action='reset'/>"])
        #expect(
            try Self.added(["hw:tpm_version": "2.0", "hw:tpm_model": "tpm-crb"]) == [
                "<tpm model='tpm-crb'>", "<backend type='emulator' version='2.0'/>", "</tpm>",
            ])
        let key = "5f0a0c51-93c5-4a63-a2a7-6d6a5f5a6c11"
        #expect(
            try Self.added(["hw:tpm_version": "2.0"], guest: { $0.moduleKey = key }) == [
                "<tpm model='tpm-tis'>", "<backend type='emulator' version='2.0'>", "<encryption secret='\(key)'/>",
                "</backend>", "</tpm>",
            ])
        #expect(
            try Self.added(["hw_rng:rate_bytes": "1024", "hw_rng:rate_period": "1000"]) == [
                "<rate bytes='1024' period='1000'/>"
            ])
        #expect(try !DomainXMLTests.text(Self.spec(["hw_rng:allowed": "False"])).contains("<rng"))
        #expect(try !DomainXMLTests.text(Self.spec([:], ["hw_qemu_guest_agent": "no"])).contains("guest_agent"))
        #expect(
            try Self.added(["hw:serial_port_count": "2"]).contains("<target port='1'/>"))
        #expect(
            try Self.added([:], ["hw_input_bus": "virtio"]) == [
                "<input type='tablet' bus='virtio'/>", "<input type='keyboard' bus='virtio'/>",
            ])
        #expect(
            try Self.added(["hw_video:ram_max_mb": "64"], ["hw_video_ram": "32", "hw_video_model": "qxl"]) == [
                "<model type='qxl' vram='32768'/>"
            ])
        #expect(try Self.added([:], ["hw_boot_menu": "true"]) == ["<bootmenu enable='yes'/>"])
        #expect(try Self.added([:], ["hw_pmu": "false"]) == ["<pmu state='off'/>"])
        #expect(try Self.added([:], ["hw_sound_model": "ich9"]) == ["<sound model='ich9'/>"])
        #expect(
            try Self.added(["hw:maxphysaddr_mode": "emulate", "hw:maxphysaddr_bits": "42"]) == [
                "<maxphysaddr mode='emulate' bits='42'/>"
            ])
        #expect(
            try Self.added(
                ["hw:usb_model": "qemu-xhci", "hw:redirected_usb_ports": "2"], change: { $0.hasSPICE = true }) == [
                    "<controller type='usb' index='0' model='qemu-xhci'/>", "<redirdev bus='usb' type='spicevmc'/>",
                    "<redirdev bus='usb' type='spicevmc'/>",
                ])
        #expect(throws: Fault.self) { try Self.added(["hw:redirected_usb_ports": "2"]) }
        #expect(
            try Self.added(["hw:hide_hypervisor_id": "true"]) == ["<kvm>", "<hidden state='on'/>", "</kvm>"])
    }

    private static func spec(_ specs: [String: String], _ properties: [String: String] = [:]) -> GuestSpec {
        var spec = DomainXMLTests.spec()
        (spec.extraSpecs, spec.properties) = (specs, properties)
        return spec
    }

    @Test("Disks and cards are as fast as the flavor allows")
    func limits() throws {
        let found = try Self.added([
            "quota:disk_read_bytes_sec": "10240000", "quota:disk_total_iops_sec": "500",
            "quota:vif_inbound_average": "1024", "quota:vif_inbound_burst": "2048", "quota:disk_read_iops_sec": "x",
        ])
        #expect(
            found.filter { !$0.hasPrefix("<apus:guest") } == [
                "<iotune>", "<read_bytes_sec>10240000</read_bytes_sec>", "<total_iops_sec>500</total_iops_sec>",
                "</iotune>", "<bandwidth>", "<inbound average='1024' burst='2048'/>", "</bandwidth>",
            ])
        #expect(try DomainXMLTests.text { $0.diskCacheModes = ["file": "directsync"] }.contains("cache='directsync'"))
    }

    @Test("A card has a queue for each vCPU, and one that is plugged in later is told so")
    func queues() throws {
        let found = try Self.added(["hw:vif_multiqueue_enabled": "true", "hw:virtio_packed_ring": "true"])
        #expect(found.contains("<driver name='qemu' queues='2' packed='on'>"))
        let mark = try #require(found.first { $0.hasPrefix("<apus:guest") })
        #expect(mark.contains("queues='2' packed='on'"))
        let style = CardStyle(mark: ["card": "virtio", "queues": "2", "packed": "on"], hasOffloads: false)
        #expect(style.queues == 2 && style.hasPackedRings)
        let plain = try Self.added(
            ["hw:vif_multiqueue_enabled": "true"], accelerator: .kvm, change: { $0.userspaceDatapath = false })
        #expect(plain.contains("<driver queues='2'/>"))
    }

    @Test("The host's own devices: by address, mediated, and as cards")
    func hostDevices() throws {
        let found = try Self.added { spec in
            spec.hostDevices = [
                HostDevice(.pci, address: "0000:81:00.1", alias: "gpu"),
                HostDevice(.mediated, address: "c60cc781-63ac-4ba3-a8d9-5e3f3a2b4c5d"),
            ]
            var card = GuestNIC(portID: "11111111-0d3b-4c57-9a11-2f6c1f7b9d10", mac: "fa:16:3e:00:00:09", mtu: 1500)
            card.kind = .direct
            card.hostDevice = HostDevice(.pci, address: "0000:82:10.2", portID: card.portID)
            card.vlan = 7
            spec.nics.append(card)
        }
        #expect(found.contains("<interface type='hostdev' managed='yes'>"))
        #expect(
            found.contains("<address type='pci' domain='0x0000' bus='0x82' slot='0x10' function='0x2'/>"))
        #expect(found.contains("<tag id='7'/>"))
        #expect(found.contains("<hostdev mode='subsystem' type='pci' managed='yes'>"))
        #expect(found.contains("<address domain='0x0000' bus='0x81' slot='0x00' function='0x1'/>"))
        #expect(found.contains("<address uuid='c60cc781-63ac-4ba3-a8d9-5e3f3a2b4c5d'/>"))
    }

    @Test("Memory that the host cannot read is locked, and virtio goes through the IOMMU")
    func encrypted() throws {
        let found = try Self.added(
            ["hw:mem_encryption": "true"], ["hw_firmware_type": "uefi", "hw_machine_type": "q35"], accelerator: .kvm)
        for line in ["<locked/>", "<launchSecurity type='sev'>", "<policy>0x0033</policy>", "<driver iommu='on'/>"] {
            #expect(found.contains(line), "\(line)")
        }
        #expect(found.contains { $0.hasPrefix("<driver name='qemu' type='qcow2'") && $0.contains("iommu='on'") })
    }
}
