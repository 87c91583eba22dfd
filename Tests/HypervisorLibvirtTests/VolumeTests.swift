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
            try await hypervisor.power(spec.server, .stop(grace: .zero))
            for _ in 0..<2 { try await hypervisor.detach(volume: second.volumeID, from: spec.server) }
            try await hypervisor.power(spec.server, .start)
            try await hypervisor.attach(second, to: spec.server)
            try await hypervisor.destroy(spec.server)
            try await hypervisor.detach(volume: second.volumeID, from: spec.server)
            #expect(FileSystem.exists(host.data + "/volumes/v1") && FileSystem.exists(host.data + "/volumes/v2"))
        }
    }
}
