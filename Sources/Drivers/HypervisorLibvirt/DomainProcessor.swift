// SPDX-License-Identifier: Apache-2.0
internal import Compute
internal import Kernel

/// The processors that a guest sees.
extension DomainXML {
    func processors(_ xml: inout XMLWriter) {
        xml.element("vcpu", ["placement": "static"], text: "\(spec.vcpus)")
    }

    func cpu(_ xml: inout XMLWriter) {
        let model = settings.cpuModel ?? (settings.accelerator == .kvm ? "host-model" : "qemu64")
        let isMode = ["host-model", "host-passthrough", "maximum"].contains(model)
        xml.element("cpu", ["mode": isMode ? model : "custom", "match": isMode ? nil : "exact"]) { xml in
            if !isMode { xml.element("model", ["fallback": "forbid"], text: model) }
            let topology = CPUTopology(vcpus: spec.vcpus, properties: spec.properties)
            xml.element(
                "topology",
                ["sockets": "\(topology.sockets)", "cores": "\(topology.cores)", "threads": "\(topology.threads)"])
        }
    }
}

/// How vCPUs are arranged: what the image demands as far as it adds up, else one socket each, as in Nova.
struct CPUTopology: Hashable {
    let sockets: Int
    let cores: Int
    let threads: Int

    init(vcpus: Int, properties: [String: String]) {
        func wish(_ name: String) -> Int? { properties[name].flatMap { Int($0) }.flatMap { $0 > 0 ? $0 : nil } }
        let threads = wish("hw_cpu_threads") ?? 1
        let cores = wish("hw_cpu_cores") ?? wish("hw_cpu_sockets").map { max(1, vcpus / ($0 * threads)) } ?? 1
        let sockets = max(1, vcpus / (cores * threads))
        if sockets * cores * threads == vcpus {
            (self.sockets, self.cores, self.threads) = (sockets, cores, threads)
        } else {
            (self.sockets, self.cores, self.threads) = (vcpus, 1, 1)
        }
    }
}
