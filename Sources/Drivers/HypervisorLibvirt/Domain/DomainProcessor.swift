// SPDX-License-Identifier: Apache-2.0
internal import Compute
internal import Kernel

/// The processors that a guest sees, and those of the host that they run on.
extension DomainXML {
    func processors(_ xml: inout XMLWriter) {
        let cpuset = numa == nil ? settings.sharedCPUs.map { CPUSet.text($0) } : nil
        xml.element("vcpu", ["placement": "static", "cpuset": cpuset], text: "\(spec.vcpus)")
        tuning(&xml)
    }

    /// Shares of the host's processors, and which ones.
    private func tuning(_ xml: inout XMLWriter) {
        if let partition = settings.partition {
            xml.element("resource") { $0.element("partition", text: partition) }
        }
        let quotas = processorQuotas
        let pins = numa?.pins.sorted { $0.cpu < $1.cpu } ?? []
        let realtime = features.realtimeCPUs ?? []
        guard !quotas.isEmpty || !pins.isEmpty || !realtime.isEmpty else { return }
        xml.element("cputune") { xml in
            for (name, value) in quotas { xml.element(name, text: "\(value)") }
            for pin in pins { xml.element("vcpupin", ["vcpu": "\(pin.cpu)", "cpuset": "\(pin.host)"]) }
            if let own = emulatorCPUs(pins) { xml.element("emulatorpin", ["cpuset": CPUSet.text(own)]) }
            if !realtime.isEmpty {
                xml.element(
                    "vcpusched", ["vcpus": CPUSet.text(realtime), "scheduler": "fifo", "priority": "1"])
            }
        }
    }

    private var processorQuotas: [(String, Int)] {
        ["shares", "period", "quota"].compactMap { name in
            spec.extraSpecs["quota:cpu_" + name].flatMap { Int($0) }.map { (name, $0) }
        }
    }

    /// Refuses shares and quotas where nothing would keep them.
    func requireProcessorGroups() throws(Fault) {
        guard settings.lacksProcessorGroups, let first = processorQuotas.first else { return }
        throw .unavailable(
            "quota:cpu_\(first.0) needs the control group controller 'cpu', which \(settings.hostName) cannot "
                + "use; 'apus doctor' says how to mend it.")
    }

    /// Where QEMU's own threads run: on a processor of theirs, on the shared ones, or beside vCPUs that are not in real
    /// time.
    private func emulatorCPUs(_ pins: [GuestNUMA.Pin]) -> [Int]? {
        guard !pins.isEmpty else { return nil }
        if let own = numa?.emulatorPin { return [own] }
        if numa?.emulatorPolicy == .share, let shared = settings.sharedCPUs { return shared }
        let realtime = Set(features.realtimeCPUs ?? [])
        return pins.filter { !realtime.contains($0.cpu) }.map(\.host)
    }

    func cpu(_ xml: inout XMLWriter) {
        let model = settings.cpuModel ?? (settings.accelerator == .kvm ? "host-model" : "qemu64")
        let isMode = ["host-model", "host-passthrough", "maximum"].contains(model)
        xml.element("cpu", ["mode": isMode ? model : "custom", "match": isMode ? nil : "exact"]) { xml in
            if !isMode { xml.element("model", ["fallback": "forbid"], text: model) }
            addressSpace(&xml)
            let topology = features.topology
            xml.element(
                "topology",
                ["sockets": "\(topology.sockets)", "cores": "\(topology.cores)", "threads": "\(topology.threads)"])
            for flag in settings.cpuFlags {
                let isOff = flag.hasPrefix("-")
                let name = flag.hasPrefix("-") || flag.hasPrefix("+") ? String(flag.dropFirst()) : flag
                xml.element("feature", ["policy": isOff ? "disable" : "require", "name": name])
            }
            cells(&xml)
        }
    }

    private func addressSpace(_ xml: inout XMLWriter) {
        guard let mode = wish("hw:maxphysaddr_mode", "hw_maxphysaddr_mode") else { return }
        xml.element("maxphysaddr", ["mode": mode, "bits": wish("hw:maxphysaddr_bits", "hw_maxphysaddr_bits")])
    }

    /// The guest's own NUMA nodes.
    private func cells(_ xml: inout XMLWriter) {
        guard let numa else { return }
        xml.element("numa") { xml in
            for cell in numa.cells {
                xml.element(
                    "cell",
                    [
                        "id": "\(cell.id)", "cpus": CPUSet.text(cell.cpus), "memory": "\(cell.memoryMiB)",
                        "unit": "MiB",
                        "memAccess": hasLargePages ? "shared" : nil,
                    ])
            }
        }
    }
}
