// SPDX-License-Identifier: Apache-2.0
import Kernel

extension ComputeService {
    /// What the hypervisor is told of a server.
    func guest(for server: Server) async throws(Fault) -> GuestSpec {
        var guest = GuestSpec(
            server: server.id, instanceName: server.instanceName, title: server.name, vcpus: server.flavor.vcpus,
            memoryMiB: server.flavor.memoryMiB, rootDiskGiB: server.flavor.diskGiB)
        guest.ephemeralGiB = server.flavor.ephemeralGiB
        guest.swapMiB = server.flavor.swapMiB
        guest.nics = server.ports.map {
            GuestNIC(portID: $0.portID, mac: $0.mac, mtu: $0.mtu, addresses: $0.addresses.map(\.address))
        }
        guest.properties = server.imageProperties
        guest.origin.flavorName = server.flavor.name
        guest.origin.flavorID = server.flavor.id
        guest.origin.userID = server.userID
        guest.origin.projectID = server.projectID
        guest.origin.imageID = server.imageID ?? ""
        guest.origin.createdAt = server.createdAt
        if server.hasConfigDrive { guest.configDrive = try await GuestMetadata(self).drive(for: server) }
        return guest
    }
}
