// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Testing

@testable import HypervisorLibvirt

/// Mediated devices on a /sys that the test has made.
struct MediatedDevicesTests {
    private static func machine(_ test: (_ root: String) throws -> Void) throws {
        let root = try FileSystem.makeTemporaryDirectory("apus-mdev")
        defer { FileSystem.remove(root) }
        for (card, type, left) in [
            ("0000:84:00.0", "nvidia-35", 3), ("0000:84:00.0", "nvidia-36", 1), ("0000:85:00.0", "nvidia-36", 2),
        ] {
            let folder = "\(root)/class/mdev_bus/\(card)/mdev_supported_types/\(type)"
            try FileSystem.makeDirectory(folder + "/devices")
            try FileSystem.write("\(left)\n", to: folder + "/available_instances")
            try FileSystem.write("", to: folder + "/create")
        }
        try FileSystem.makeDirectory(
            root + "/class/mdev_bus/0000:84:00.0/mdev_supported_types/nvidia-35/devices/in-use")
        try FileSystem.makeDirectory(root + "/bus/mdev/devices")
        try test(root)
    }

    @Test("Cards are parted by the type that is theirs, or the first that is for all")
    func sources() throws {
        try Self.machine { root in
            #expect(MediatedDevices(root: root).sources().isEmpty)
            let one = MediatedDevices(["nvidia-35", "nvidia-36"], root: root).sources()
            #expect(one == [MediatedSource(address: "0000:84:00.0", type: "nvidia-35", total: 4)])
            let two = MediatedDevices(
                ["nvidia-35", "nvidia-36"], cards: ["nvidia-35": [], "nvidia-36": ["0000:85:00.0"]], root: root)
            #expect(two.sources().map(\.type) == ["nvidia-35", "nvidia-36"] && two.sources().map(\.total) == [4, 2])
        }
    }

    @Test("A guest's parts are made before it starts, unless they are there, and removed with it")
    func parts() throws {
        try Self.machine { root in
            let devices = MediatedDevices(["nvidia-35"], root: root)
            let folder = try GuestFolder(of: RandomIdentifiers().uuid(), in: root)
            try FileSystem.makeDirectory(folder.path)
            var device = HostDevice(.mediated, address: RandomIdentifiers().uuid(), alias: "VGPU")
            (device.parent, device.type) = ("0000:84:00.0", "nvidia-35")
            try MediatedDevices.note([HostDevice(.pci, address: "0000:81:00.0"), device], in: folder)
            #expect(MediatedDevices.noted(in: folder) == [device])
            try devices.make(MediatedDevices.noted(in: folder))
            let create = root + "/class/mdev_bus/0000:84:00.0/mdev_supported_types/nvidia-35/create"
            #expect(FileSystem.text(create) == device.address)
            // Now the kernel would have it.
            let place = "\(root)/bus/mdev/devices/\(device.address)"
            try FileSystem.makeDirectory(place)
            try FileSystem.write("", to: place + "/remove")
            try FileSystem.write("", to: create)
            try devices.make([device])
            #expect(FileSystem.text(create)?.isEmpty == true)
            devices.remove([device])
            #expect(FileSystem.text(place + "/remove") == "1")
            try MediatedDevices.note([], in: folder)
            #expect(MediatedDevices.noted(in: folder).isEmpty)
            device.type = "nvidia-99"
            device.address = RandomIdentifiers().uuid()
            #expect(throws: Fault.self) { try devices.make([device]) }
        }
    }
}
