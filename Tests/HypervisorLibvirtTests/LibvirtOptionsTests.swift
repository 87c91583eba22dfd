// SPDX-License-Identifier: Apache-2.0
import HypervisorLibvirt
import Kernel
import Testing

struct LibvirtOptionsTests {
    private func settings(_ text: String) throws -> LibvirtSettings {
        let source = ConfigurationSource(name: "apus.conf", text: "[libvirt]\n" + text)
        let configuration = try Configuration.load(
            sources: [source], environment: [:], flags: [:], known: [LibvirtOptions.self])
        return configuration[LibvirtOptions.self].settings(
            ownURI: "qemu:///own", dataDirectory: "/srv", hostName: "h", probed: .tcg)
    }

    @Test("Nothing set means our own daemon and what was found by trying")
    func defaults() throws {
        let settings = try settings("")
        #expect(settings.uri == "qemu:///own" && settings.accelerator == .tcg && settings.cpuModel == nil)
    }

    @Test("What guests are tuned with holds, and nonsense is refused")
    func tuning() throws {
        let settings = try settings(
            """
            cpu_model_extra_flags = aes, -hle
            hw_machine_type = x86_64=q35,aarch64=virt
            disk_cachemodes = file=directsync
            rx_queue_size = 512
            tb_cache_size = 64
            [DEFAULT]
            use_cow_images = false

            """)
        #expect(settings.cpuFlags == ["aes", "-hle"] && settings.machineType == "q35" && !settings.usesOverlays)
        #expect(settings.diskCacheModes == ["file": "directsync"] && settings.rxQueueSize == 512)
        #expect(settings.translationCacheMiB == 64)
        for wrong in ["disk_cachemodes = file=fast", "rx_queue_size = 5", "max_queues = 0"] {
            #expect(throws: ConfigurationErrors.self) { try self.settings(wrong + "\n") }
        }
    }

    @Test("What nova.conf says holds")
    func upstream() throws {
        let text = "connection_uri = qemu:///system\nvirt_type = kvm\ncpu_mode = custom\ncpu_model = Haswell\n"
        let settings = try settings(text)
        #expect(settings.uri == "qemu:///system" && settings.accelerator == .kvm && settings.cpuModel == "Haswell")
        #expect(throws: ConfigurationErrors.self) { try self.settings("cpu_mode = custom\n") }
    }
}
