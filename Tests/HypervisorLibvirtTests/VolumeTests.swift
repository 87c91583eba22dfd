// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Testing

@testable import HypervisorLibvirt

/// Volumes in the XML of domains.
struct VolumeXMLTests {
    static let volume = "aaaaaaaa-0000-4000-8000-000000000001"

    static let connections: [(VolumeConnection, [String])] = [
        (.file(path: "/v/a", format: "qcow2"), ["type='file'", "file='/v/a'", "type='qcow2'", "cache='writethrough'"]),
        (.block(path: "/dev/vg/a"), ["type='block'", "dev='/dev/vg/a'", "cache='none'"]),
        (.nbd(host: "h", port: 10_809, export: "e"), ["protocol='nbd' name='e'", "name='h' port='10809'"]),
        (.nbdSocket(path: "/s", export: "e"), ["protocol='nbd' name='e'", "transport='unix' socket='/s'"]),
        (
            .rbd(name: "p/i", monitors: [.init(host: "m", port: 6789)], user: "u", secret: "k"),
            ["protocol='rbd' name='p/i'", "name='m' port='6789'", "username='u'", "type='ceph' uuid='k'"]
        ),
        (
            .iscsi(target: "iqn.x", lun: 3, portal: .init(host: "t", port: 3260), user: nil, password: nil),
            ["protocol='iscsi' name='iqn.x/3'", "name='t' port='3260'"]
        ),
    ]

    @Test("Each kind of connection has its own source", arguments: connections)
    func sources(connection: VolumeConnection, parts: [String]) throws {
        var spec = DomainXMLTests.spec()
        spec.volumes = [GuestVolume(volumeID: Self.volume, connection: connection, device: "/dev/vdb")]
        let text = try DomainXMLTests.text(spec).replacing("\"", with: "'")
        for part in parts { #expect(text.contains(part), "\(part) is not in\n\(text)") }
        let root = try #require(XMLElement.parse(text))
        #expect(root.disk(of: Self.volume)?["target"]?.attributes["dev"] == "vdb")
    }

    @Test("A guest that boots from a volume has it first")
    func root() throws {
        var spec = DomainXMLTests.spec()
        spec.isVolumeBacked = true
        spec.volumes = [GuestVolume(volumeID: Self.volume, connection: .block(path: "/dev/a"), device: "/dev/vda")]
        let root = try #require(XMLElement.parse(try DomainXMLTests.text(spec)))
        #expect(root["devices", "disk"]?["serial"]?.text == Self.volume)
        #expect(root["devices", "disk"]?["target"]?.attributes["dev"] == "vda")
    }

    @Test("An encrypted volume names the secret that QEMU decrypts it with, which has the volume's id")
    func encrypted() throws {
        var spec = DomainXMLTests.spec()
        spec.volumes = [
            GuestVolume(
                volumeID: Self.volume,
                connection: .rbd(name: "volumes/v", monitors: [.init(host: "a", port: 1)], user: "u", secret: "s"),
                device: "/dev/vdb", encryption: "luks")
        ]
        let root = try #require(XMLElement.parse(try DomainXMLTests.text(spec)))
        let source = try #require(root.disk(of: Self.volume)?["source"])
        #expect(source["encryption"]?.attributes["format"] == "luks")
        #expect(source["encryption", "secret"]?.attributes["uuid"] == Self.volume)
        #expect(source["host"]?.attributes["name"] == "a")
        #expect(root.encryptedVolumes == [Self.volume])
    }

    @Test("What Block storage says of a connection is read, and what is unknown is refused")
    func reading() throws {
        let rbd: JSON = [
            "driver_volume_type": "rbd",
            "data": [
                "name": "volumes/v", "hosts": ["a", "b"], "ports": ["6789", "6790"], "auth_enabled": true,
                "auth_username": "cinder", "secret_uuid": "s",
            ],
        ]
        #expect(
            try VolumeConnection(rbd)
                == .rbd(
                    name: "volumes/v", monitors: [.init(host: "a", port: 6789), .init(host: "b", port: 6790)],
                    user: "cinder", secret: "s"))
        let iscsi: JSON = [
            "driver_volume_type": "iscsi",
            "data": ["target_portal": "[fd00::1]:3260", "target_iqn": "iqn.x", "target_lun": 1],
        ]
        #expect(
            try VolumeConnection(iscsi)
                == .iscsi(
                    target: "iqn.x", lun: 1, portal: .init(host: "[fd00::1]", port: 3260), user: nil, password: nil))
        #expect(throws: Fault.self) { try VolumeConnection(["driver_volume_type": "tape", "data": [:]]) }
        #expect(throws: Fault.self) { try VolumeConnection(["driver_volume_type": "rbd", "data": [:]]) }
    }
}

/// What is different in a guest's description where it arrives.
struct ArrivalChangesTests {
    @Test("Volumes are reached, and processors used, as the other host has them; all else stays")
    func changes() throws {
        let (one, two) = ("aaaaaaaa-0000-4000-8000-000000000001", "aaaaaaaa-0000-4000-8000-000000000002")
        func disk(_ id: String, _ source: String, type: String = "network", auth: String = "") -> String {
            """
            <disk type='\(type)' device='disk'><driver name='qemu' type='raw'/>\(auth)\(source)\
            <target dev='vdb' bus='virtio'/><serial>\(id)</serial><address type='pci' slot='0x07'/></disk>
            """
        }
        let here = """
            <domain><vcpu placement='static'>2</vcpu><resource><partition>/apus-1</partition></resource>\
            <cputune><vcpupin vcpu='0' cpuset='2'/></cputune><devices>\
            <disk type='file' device='disk'><source file='/here/disk'/><target dev='vda'/></disk>\
            \(disk(one, "<source protocol='nbd' name='v'><host name='127.0.0.1' port='1'/></source>"))\
            \(disk(two, "<source file='/v/2'/>", type: "file"))</devices></domain>
            """
        let secret = "<auth username='u'><secret type='iscsi' usage='s'/></auth>"
        let there = """
            <domain><vcpu placement='static'>2</vcpu><resource><partition>/apus-2</partition></resource>\
            <cputune><vcpupin vcpu='0' cpuset='7'/></cputune>\
            <numatune><memory mode='strict' nodeset='1'/></numatune><devices>\
            \(disk(one, "<source protocol='nbd' name='v'><host name='10.9.0.1' port='2'/></source>"))\
            \(disk(two, "<source protocol='iscsi' name='t/1'/>", auth: secret))</devices></domain>
            """
        let sent = try #require(XMLElement.parse(ArrivalChanges(there, volumes: [one, two]).apply(to: here)))
        #expect(sent["cputune", "vcpupin"]?.attributes["cpuset"] == "7")
        #expect(sent["resource", "partition"]?.text == "/apus-2")
        #expect(sent["numatune", "memory"]?.attributes["nodeset"] == "1")
        #expect(sent["devices", "disk"]?["source"]?.attributes["file"] == "/here/disk")
        let first = try #require(sent.disk(of: one))
        #expect(first["source", "host"]?.attributes["name"] == "10.9.0.1")
        #expect(first["address"]?.attributes["slot"] == "0x07")
        let second = try #require(sent.disk(of: two))
        #expect(second.attributes["type"] == "network" && second["auth", "secret"]?.attributes["usage"] == "s")
        #expect(second["source"]?.attributes["protocol"] == "iscsi" && second.all("source").count == 1)
        #expect(ArrivalChanges(here, volumes: []).apply(to: there).contains("numatune") == false)
    }
}

/// Volumes of real guests, where the machine allows it.
@Suite(
    .serialized,
    .enabled(if: PrivateLibvirt.isPossible, "needs root, libvirtd, QEMU, genisoimage and Open vSwitch's tools"))
struct LibvirtVolumeTests {
    @Test("A guest boots from a file, gets another while it runs, grows it, and gives it back", .timeLimit(.minutes(5)))
    func files() async throws {
        try await PrivateLibvirt.with { host async throws in
            let hypervisor = host.hypervisor()
            try FileSystem.makeDirectory(host.data + "/volumes", mode: 0o755)
            func volume(_ number: Int, _ device: String) throws -> GuestVolume {
                let path = host.data + "/volumes/v\(number)"
                try Subprocess.check(["qemu-img", "create", "-q", "-f", "raw", path, "16M"])
                return GuestVolume(
                    volumeID: "aaaaaaaa-0000-4000-8000-00000000000\(number)",
                    connection: .file(path: path, format: "raw"), device: device)
            }
            var spec = host.spec(1)
            let (root, second) = (try volume(1, "/dev/vda"), try volume(2, "/dev/vdb"))
            spec.isVolumeBacked = true
            spec.volumes = [root]
            try await hypervisor.boot(spec, image: nil)
            #expect(try await hypervisor.state(of: spec.server) == .running)
            #expect(!FileSystem.exists(host.data + "/instances/\(spec.server)/disk"))

            for _ in 0..<2 { try await hypervisor.attach(second, to: spec.server) }
            let size = Int64(32) << 20
            try await hypervisor.grow(volume: second.volumeID, of: spec.server, toBytes: size)
            let grown = try Subprocess.check(["qemu-img", "info", "-U", host.data + "/volumes/v2"])
            #expect(grown.contains("32 MiB"))

            // Nothing runs in this guest that would let a disk go: it is given back while the guest is down.
            try await hypervisor.power(spec.server, .stop)
            for _ in 0..<2 { try await hypervisor.detach(volume: second.volumeID, from: spec.server) }
            try await hypervisor.power(spec.server, .start)
            try await hypervisor.attach(second, to: spec.server)
            try await hypervisor.destroy(spec.server)
            try await hypervisor.detach(volume: second.volumeID, from: spec.server)
            #expect(FileSystem.exists(host.data + "/volumes/v1") && FileSystem.exists(host.data + "/volumes/v2"))
        }
    }

    @Test("A disk goes from one volume to another while its guest runs, and is there after the next start")
    func swap() async throws {
        try await PrivateLibvirt.with { host async throws in
            let hypervisor = host.hypervisor()
            try FileSystem.makeDirectory(host.data + "/volumes", mode: 0o755)
            let volumes = try (1...2).map { number in
                let path = host.data + "/volumes/v\(number)"
                try Subprocess.check(["qemu-img", "create", "-q", "-f", "raw", path, "16M"])
                return GuestVolume(
                    volumeID: "aaaaaaaa-0000-4000-8000-00000000000\(number)",
                    connection: .file(path: path, format: "raw"), device: "/dev/vdb")
            }
            try FileSystem.write("what it holds", to: host.directory + "/words")
            let write = "write -s \(host.directory)/words 0 512"
            try Subprocess.check(["qemu-io", "-f", "raw", "-c", write, host.data + "/volumes/v1"])
            var spec = host.spec(1)
            spec.volumes = [volumes[0]]
            try await hypervisor.boot(spec, image: nil)
            for _ in 0..<2 { try await hypervisor.swap(volume: volumes[0].volumeID, for: volumes[1], of: spec.server) }
            for isKept in [false, true] {
                let text =
                    try isKept
                    ? host.virsh("dumpxml", "--inactive", spec.server) : host.virsh("dumpxml", spec.server)
                let disk = try #require(XMLElement.parse(text)?.disk(of: volumes[0].volumeID))
                #expect(disk["source"]?.attributes["file"] == host.data + "/volumes/v2")
            }
            #expect(FileSystem.text(host.data + "/volumes/v2")?.hasPrefix("what it holds") == true)
            try await hypervisor.power(spec.server, .rebootHard)
            #expect(try await hypervisor.state(of: spec.server) == .running)
            try await hypervisor.destroy(spec.server)
        }
    }

    @Test("The password of a volume is kept by libvirt as long as a guest has the volume, and is nowhere in its XML")
    func secrets() async throws {
        try await PrivateLibvirt.with { host async throws in
            let hypervisor = host.hypervisor()
            let spec = host.spec(1)
            try await hypervisor.boot(spec, image: nil)
            try await hypervisor.power(spec.server, .stop)
            let volume = GuestVolume(
                volumeID: "aaaaaaaa-0000-4000-8000-000000000001",
                connection: .iscsi(
                    target: "iqn.2026-11.test:v", lun: 1, portal: .init(host: "127.0.0.1", port: 3260), user: "me",
                    password: "secret words"), device: "/dev/vdb")
            for _ in 0..<2 { try await hypervisor.attach(volume, to: spec.server) }
            let text = try host.virsh("dumpxml", "--security-info", spec.server)
            let disk = try #require(XMLElement.parse(text)?.disk(of: volume.volumeID))
            #expect(disk["auth"]?.attributes["username"] == "me" && !text.contains("secret words"))
            #expect(try host.virsh("secret-list").contains(volume.volumeID))
            try await hypervisor.detach(volume: volume.volumeID, from: spec.server)
            #expect(try !host.virsh("secret-list").contains(volume.volumeID))
            try await hypervisor.attach(volume, to: spec.server)
            try await hypervisor.destroy(spec.server)
            #expect(try !host.virsh("secret-list").contains(volume.volumeID))
        }
    }
}
