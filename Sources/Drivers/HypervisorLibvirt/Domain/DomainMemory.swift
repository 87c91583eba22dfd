// SPDX-License-Identifier: Apache-2.0
internal import Compute
internal import Kernel

/// A guest's memory: how much, of which pages, and on which of the host's nodes.
extension DomainXML {
    func memory(_ xml: inout XMLWriter) {
        xml.element("memory", ["unit": "MiB"], text: "\(spec.memoryMiB)")
        backing(&xml)
        placement(&xml)
    }

    /// The smallest page of the machines that guests run on.
    private static var usualPageKiB: Int { 4 }

    private var largePages: [(cell: Int, kibibytes: Int)] {
        (numa?.cells ?? []).compactMap { cell in
            cell.pageKiB.flatMap { $0 > Self.usualPageKiB ? (cell.id, $0) : nil }
        }
    }

    var hasLargePages: Bool { !largePages.isEmpty }

    private func backing(_ xml: inout XMLWriter) {
        let (pages, isRealtime) = (largePages, features.realtimeCPUs != nil)
        guard !pages.isEmpty || isRealtime || features.hasLockedMemory else { return }
        xml.element("memoryBacking") { xml in
            if !pages.isEmpty {
                xml.element("hugepages") { xml in
                    for page in pages {
                        xml.element(
                            "page", ["size": "\(page.kibibytes)", "unit": "KiB", "nodeset": "\(page.cell)"])
                    }
                }
            }
            if isRealtime { xml.element("nosharepages") }
            if isRealtime || features.hasLockedMemory { xml.element("locked") }
        }
    }

    /// Each node of the guest in the memory of the host's node that it was given.
    private func placement(_ xml: inout XMLWriter) {
        guard let numa, numa.isPlaced, settings.hasNUMA else { return }
        let hosts = numa.cells.compactMap(\.hostCell)
        xml.element("numatune") { xml in
            xml.element("memory", ["mode": "strict", "nodeset": CPUSet.text(hosts)])
            for cell in numa.cells {
                xml.element(
                    "memnode", ["cellid": "\(cell.id)", "mode": "strict", "nodeset": "\(cell.hostCell ?? 0)"])
            }
        }
    }
}
