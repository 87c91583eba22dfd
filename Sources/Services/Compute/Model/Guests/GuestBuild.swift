// SPDX-License-Identifier: Apache-2.0
import Clients
import Kernel

extension ComputeService {
    /// What the hypervisor is told of a server.
    func guest(for server: Server) async throws(Fault) -> GuestSpec {
        var guest = GuestSpec(
            server: server.id, instanceName: server.instanceName, title: server.name, vcpus: server.flavor.vcpus,
            memoryMiB: server.flavor.memoryMiB, rootDiskGiB: server.flavor.diskGiB)
        guest.ephemeralGiB = server.flavor.ephemeralGiB
        guest.swapMiB = server.flavor.swapMiB
        guest.wire(server)
        guest.properties = server.imageProperties
        guest.extraSpecs = server.flavor.extraSpecs
        guest.numa = server.numa
        guest.origin.flavorName = server.flavor.name
        guest.origin.flavorID = server.flavor.id
        guest.origin.userID = server.userID
        guest.origin.projectID = server.projectID
        guest.origin.imageID = server.imageID ?? ""
        guest.origin.createdAt = server.createdAt
        try await addDisks(of: server, to: &guest)
        try await addKeys(to: &guest)
        guest.moduleKey = try await moduleKey(of: server)
        // What the operator wants now is not what a server was made with.
        if server.hasConfigDrive || server.imageProperties["img_config_drive"] == "mandatory" {
            guest.configDrive = try await GuestMetadata(self).drive(for: server)
        }
        return guest
    }

    /// Disks that were asked for, and volumes that are connected.
    private func addDisks(of server: Server, to guest: inout GuestSpec) async throws(Fault) {
        let devices = try await BlockDevice.of(server.id, database)
        guard !devices.isEmpty else { return }
        let ephemeral = devices.filter(\.isEphemeral)
        if !ephemeral.isEmpty {
            guest.ephemeralDisks = ephemeral.map { $0.size ?? server.flavor.ephemeralGiB }
            guest.ephemeralGiB = guest.ephemeralDisks.reduce(0, +)
        }
        if let swap = devices.first(where: \.isSwap) { guest.swapMiB = swap.size ?? server.flavor.swapMiB }
        guest.isVolumeBacked = devices.contains { $0.isRoot && $0.destination == .volume }
        let volumes = devices.filter { $0.destination == .volume && $0.state != .detaching }
        guest.volumes = try volumes.filter(\.isRoot).mapping { device throws(Fault) in
            try device.guestVolume(at: server.host)
        }.compactMap { $0 }
        guest.volumes += try volumes.filter { !$0.isRoot }.mapping { device throws(Fault) in
            try device.guestVolume(at: server.host)
        }.compactMap { $0 }
    }
}

extension GuestWishes {
    init(_ flavor: FlavorSnapshot, _ image: ImageClient.Image?) {
        self.init(
            vcpus: flavor.vcpus, memoryMiB: flavor.memoryMiB, flavorName: flavor.name, extraSpecs: flavor.extraSpecs,
            imageID: image?.id ?? "", imageName: image?.name ?? "", properties: image?.guestProperties ?? [:])
    }
}
