// SPDX-License-Identifier: Apache-2.0
internal import Compute
internal import Kernel

/// The host's NUMA cells as libvirt's capabilities tell them, parted into processors that guests share and those that
/// are given to guests for themselves (`[compute] cpu_shared_set`, `cpu_dedicated_set`).
enum HostCells {
    static func read(_ capabilities: XMLElement, _ settings: LibvirtSettings) -> [HostResources.NUMACell]? {
        let cells = capabilities["host", "topology", "cells"]?.all("cell") ?? []
        guard !cells.isEmpty else { return nil }
        return cells.compactMap { cell in
            guard let id = cell.attributes["id"].flatMap({ Int($0) }) else { return nil }
            let known = cell["cpus"]?.all("cpu") ?? []
            let cpus = known.compactMap { $0.attributes["id"].flatMap { Int($0) } }
            let own = Set(settings.dedicatedCPUs ?? [])
            // Where only some are set aside to be given whole, the others are not for guests.
            let shared = settings.sharedCPUs.map(Set.init) ?? (settings.dedicatedCPUs == nil ? Set(cpus) : [])
            var facts = HostResources.NUMACell(
                id: id, sharedCPUs: cpus.filter(shared.contains), ownCPUs: cpus.filter(own.contains),
                memoryMiB: (cell["memory"].flatMap { Int($0.text) } ?? 0) / 1024)
            var cores: Set<[Int]> = []
            for cpu in known {
                let threads = (try? CPUSet.parse(cpu.attributes["siblings"] ?? "")) ?? []
                if threads.count > 1 { cores.insert(threads) }
            }
            facts.siblings = cores.sorted { $0[0] < $1[0] }
            facts.pages = cell.all("pages").compactMap { pages in
                guard let size = pages.attributes["size"].flatMap({ Int($0) }), let total = Int(pages.text) else {
                    return nil
                }
                return HostResources.Pages(kibibytes: size, total: total)
            }
            return facts
        }
    }
}
