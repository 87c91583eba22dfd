// SPDX-License-Identifier: Apache-2.0
package import Compute
internal import Kernel

extension HostPartition {
    /// A host that is not there, parted as the machine's would be: two cells of half its processors each, two threads a
    /// core, and devices that fit the operator's specs. Without any of that it has neither cells nor devices.
    package func madeUpHost(_ name: String) -> HostResources {
        var host = HostResources.fake(name)
        if !mediated.types.isEmpty { host.mediatedSources = mediated.madeUpSources }
        guard sharedCPUs != nil || dedicatedCPUs != nil || !devices.isEmpty else { return host }
        let all = Set(0..<host.vcpus)
        let own = all.intersection(dedicatedCPUs ?? [])
        // Where only some are set aside to be given whole, the others are not for guests.
        let shared = sharedCPUs.map { all.intersection($0) } ?? (dedicatedCPUs == nil ? all : [])
        let half = host.vcpus / 2
        host.numaCells = (0..<2).map { id in
            let cpus = id * half..<(id + 1) * half
            var cell = HostResources.NUMACell(
                id: id, sharedCPUs: cpus.filter(shared.contains), ownCPUs: cpus.filter(own.contains),
                memoryMiB: host.memoryMiB / 2)
            cell.siblings = stride(from: cpus.lowerBound, to: cpus.upperBound, by: 2).map { [$0, $0 + 1] }
            // Half of the memory is set aside as large pages.
            cell.pages = [
                .init(kibibytes: 4, total: cell.memoryMiB * 128), .init(kibibytes: 2048, total: cell.memoryMiB / 4),
            ]
            return cell
        }
        if dedicatedCPUs != nil { (host.ownCPUs, host.sharedCPUs) = (own.count, shared.count) }
        host.pciDevices = devices.enumerated().flatMap { at, spec in
            // A spec with stars stands for four devices, one with an address for that one.
            let isOne = spec.address.map { !$0.contains("*") } ?? false
            return (0..<(isOne ? 1 : 4)).map { function in
                var device = HostResources.PCIDevice(
                    address: isOne
                        ? spec.address ?? "" : "0000:" + Hex.encode([UInt8(0x81 + at % 64)]) + ":00.\(function)",
                    vendorID: spec.vendorID ?? "8086", productID: spec.productID ?? "1520", cell: at % 2)
                spec.mark(&device)
                // What is on a network is a function of a card.
                if spec.physicalNetwork != nil { (device.kind, device.functionNumber) = (.virtual, function) }
                return device
            }
        }
        return host
    }
}
