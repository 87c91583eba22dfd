// SPDX-License-Identifier: Apache-2.0
import Compute
import Glibc
import HypervisorLibvirt
import Kernel
import Testing

/// What a host keeps in files and links: drives, disks, images, and what is left behind.
@Suite(.serialized, .enabled(if: PrivateLibvirt.isPossible, "needs root, libvirtd, QEMU and Open vSwitch's tools"))
struct RealFilesTests {
    @Test("A config drive of either kind carries its label and the same files", .timeLimit(.minutes(3)))
    func drives() async throws {
        try await PrivateLibvirt.with { host async throws in
            let hypervisor = host.hypervisor()
            let files: [String: [UInt8]] = [
                "openstack/latest/meta_data.json": Array("{\"uuid\": \"x\"}".utf8),
                "openstack/latest/user_data": [0, 255, 10], "ec2/latest/meta-data.json": Array("{}".utf8),
            ]
            var (plain, fat) = (host.spec(1), host.spec(2))
            plain.configDrive = ConfigDrive(files: files)
            fat.configDrive = ConfigDrive(files: files)
            fat.configDrive?.isVFAT = true
            for spec in [plain, fat] { try await hypervisor.boot(spec, image: nil) }
            let folder = host.data + "/instances/"
            let iso = folder + plain.server + "/disk.config"
            let disk = folder + fat.server + "/disk.config.vfat"
            #expect(try Subprocess.check(["isoinfo", "-d", "-i", iso]).contains("Volume id: config-2"))
            #expect(
                try Subprocess.check(["isoinfo", "-R", "-i", iso, "-x", "/openstack/latest/meta_data.json"])
                    == "{\"uuid\": \"x\"}")
            #expect(try Subprocess.check(["mlabel", "-s", "-i", disk, "::"]).lowercased().contains("config-2"))
            #expect(
                try Subprocess.check(["mtype", "-i", disk, "::/openstack/latest/meta_data.json"])
                    == "{\"uuid\": \"x\"}")
            #expect(
                try Subprocess.check(["mdir", "-b", "-/", "-i", disk, "::/"]).contains("::/ec2/latest/meta-data.json"))
            #expect(try host.virsh("dumpxml", fat.server).contains("disk.config.vfat"))
            for spec in [plain, fat] { try await hypervisor.destroy(spec.server) }
        }
    }

    @Test("A config drive tells where in the guest the devices with tags are", .timeLimit(.minutes(3)))
    func places() async throws {
        try await PrivateLibvirt.with { host async throws in
            let hypervisor = host.hypervisor()
            var spec = host.spec(1)
            let told: JSON = [
                "uuid": .string(spec.server),
                "devices": [
                    [
                        "type": "nic", "mac": .string(spec.nics[0].mac), "bus": "none", "address": "none",
                        "tags": ["front"],
                    ],
                    ["type": "disk", "serial": "elsewhere", "bus": "none", "address": "none", "tags": ["lost"]],
                ],
            ]
            spec.configDrive = ConfigDrive(files: ["openstack/latest/meta_data.json": told.bytes()])
            try await hypervisor.boot(spec, image: nil)
            let drive = "\(host.data)/instances/\(spec.server)/disk.config"
            let text = try Subprocess.check(["isoinfo", "-R", "-i", drive, "-x", "/openstack/latest/meta_data.json"])
            let document = try JSON.parse(text)
            let place = try #require(try await hypervisor.devicePlaces(of: spec.server)[spec.nics[0].mac])
            #expect(place.bus == "pci" && place.address.hasPrefix("0000:"))
            #expect(document["uuid"]?.string == spec.server)
            #expect(document["devices"]?[0]?["bus"] == "pci")
            #expect(document["devices"]?[0]?["address"] == .string(place.address))
            #expect(document["devices"]?[1]?["address"] == "none")
            try await hypervisor.destroy(spec.server)
        }
    }

    @Test("A disk that is a copy of its image has nothing of it underneath", .timeLimit(.minutes(3)))
    func copies() async throws {
        try await PrivateLibvirt.with { host async throws in
            let image = LibvirtHypervisorTests.TestImage()
            let flat = host.hypervisor { $0.usesOverlays = false }
            let spec = host.spec(1)
            try await flat.boot(spec, image: image.source())
            let told = try Subprocess.check(["qemu-img", "info", "-U", "\(host.data)/instances/\(spec.server)/disk"])
            #expect(!told.contains("backing file") && told.contains("virtual size: 1 GiB"))
            #expect(try await flat.pruneImages(unusedFor: .seconds(-10)) == 1, "nobody stands on the image")
            try await flat.destroy(spec.server)
        }
    }

    @Test("Bytes that do not have their image's digest never become a base", .timeLimit(.minutes(3)))
    func digests() async throws {
        try await PrivateLibvirt.with { host async throws in
            let hypervisor = host.hypervisor()
            func source(_ checksum: String) -> ImageSource {
                ImageSource(id: RandomIdentifiers().uuid(), checksum: checksum, format: .raw) { path throws(Fault) in
                    try FileSystem.write("hello", to: path)
                }
            }
            try await hypervisor.keep(source("5d41402abc4b2a76b9719d911017c592"))
            await #expect(throws: Fault.self) { try await hypervisor.keep(source(String(repeating: "0", count: 32))) }
            let kept = FileSystem.list(host.data + "/images")
            #expect(kept.count == 1)
            var facts = stat()
            let isThere = stat("\(host.data)/images/\(kept[0])", &facts) == 0
            #expect(isThere && facts.st_mode & 0o222 == 0, "it is read-only")
        }
    }

    @Test("What guests left behind is cleared away, and nothing else", .timeLimit(.minutes(3)))
    func leftovers() async throws {
        try await PrivateLibvirt.with { host async throws in
            let hypervisor = host.hypervisor()
            let (alive, spared, stray) = (host.spec(1), RandomIdentifiers().uuid(), RandomIdentifiers().uuid())
            try await hypervisor.boot(alive, image: nil)
            for server in [spared, stray] {
                try FileSystem.makeDirectory("\(host.data)/instances/\(server)")
            }
            let lost = GuestNIC(portID: RandomIdentifiers().uuid(), mac: "fa:16:3e:00:09:01", mtu: 1442)
            let known = GuestNIC(portID: RandomIdentifiers().uuid(), mac: "fa:16:3e:00:09:02", mtu: 1442)
            let plug = OpenVSwitchPlug(
                namespace: host.namespace.name, database: host.switchSocket, pool: host.pool)
            for nic in [lost, known] { try await plug.plug(nic) }
            let removed = try await hypervisor.sweep(sparing: [spared], ports: [known.portID])
            #expect(removed.sorted() == ["\(host.data)/instances/\(stray)", lost.tap].sorted())
            #expect(try await hypervisor.state(of: alive.server) == .running)
            let taps = try host.devices().filter { $0.hasPrefix("tap") }.sorted()
            #expect(taps == [alive.nics[0].tap, known.tap].sorted())
            #expect(FileSystem.exists("\(host.data)/instances/\(spared)"))
            #expect(try await hypervisor.sweep(sparing: [spared], ports: [known.portID]).isEmpty)
            try await hypervisor.destroy(alive.server)
        }
    }

    @Test("A card that libvirt did not live to hear of is unplugged all the same; another guest's is not")
    func unheard() async throws {
        try await PrivateLibvirt.with { host async throws in
            let hypervisor = host.hypervisor()
            let (one, other) = (host.spec(1), host.spec(2))
            for spec in [one, other] { try await hypervisor.boot(spec, image: nil) }
            let plug = OpenVSwitchPlug(
                namespace: host.namespace.name, database: host.switchSocket, pool: host.pool)
            let lost = GuestNIC(portID: RandomIdentifiers().uuid(), mac: "fa:16:3e:00:09:01", mtu: 1442)
            try await plug.plug(lost)
            try await hypervisor.unplug(port: lost.portID, from: one.server)
            try await hypervisor.unplug(port: other.nics[0].portID, from: one.server)
            let taps = try host.devices().filter { $0.hasPrefix("tap") }.sorted()
            #expect(taps == [one.nics[0].tap, other.nics[0].tap].sorted())
            for spec in [one, other] { try await hypervisor.destroy(spec.server) }
        }
    }
}
