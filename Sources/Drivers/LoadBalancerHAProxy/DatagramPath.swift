// SPDX-License-Identifier: Apache-2.0
import Kernel
import LoadBalancer

/// The way of one balancer's datagrams through its namespace. HAProxy knows none: the kernel passes them on, and
/// HAProxy only looks at the members. Its methods block.
struct DatagramPath {
    let files: BalancerFiles
    let namespace: NetworkNamespace

    /// What was found down when the rules were written last.
    var down: Set<String> { Set((FileSystem.text(files.down) ?? "").split(separator: "\n").map(String.init)) }

    /// Makes the rules what they have to be; flows to members that stay are left alone.
    func apply(_ spec: BalancerSpec, down: Set<String>) throws(Fault) {
        let rules = DatagramRules(spec, down: down)
        let before = FileSystem.text(files.datagrams) ?? ""
        let wanted = header(rules) + rules.text
        guard before != wanted || (!rules.text.isEmpty && !isThere) else { return }
        if rules.text.isEmpty {
            try setForwarding(false)
            if isThere { try load("delete table \(DatagramRules.table)\n") }
        } else {
            // Rules are replaced in one step, and counters go on counting.
            let flushing = "add table \(DatagramRules.table)\nflush table \(DatagramRules.table)\n"
            try load(flushing + rules.text)
            try setForwarding(true)
            let wanted = Set(rules.listeners.flatMap(DatagramRules.counters))
            let stale = try counters().keys.filter { !wanted.contains($0) }.sorted()
            if !stale.isEmpty {
                try load(stale.map { "delete counter \(DatagramRules.table) \($0)\n" }.joined())
            }
        }
        for mark in marks(before).subtracting(rules.marks.values) {
            try ConnectionTracking.forget(mark: mark, in: namespace)
        }
        try FileSystem.write(down.sorted().joined(separator: "\n"), to: files.down)
        try FileSystem.write(wanted, to: files.datagrams)
    }

    /// What went through each listener.
    func figures() throws(Fault) -> [String: Figures] {
        guard !(FileSystem.text(files.datagrams) ?? "").isEmpty, isThere else { return [:] }
        var figures: [String: Figures] = [:]
        for (name, counted) in try counters() {
            let parts = name.split(separator: "-", maxSplits: 1).map(String.init)
            guard parts.count == 2 else { continue }
            switch parts[0] {
            case "in": figures[parts[1], default: Figures()].bytesIn = counted.bytes
            case "out": figures[parts[1], default: Figures()].bytesOut = counted.bytes
            default: figures[parts[1], default: Figures()].totalConnections = counted.packets
            }
        }
        return figures
    }

    /// The marks that rules may have given, each on a line of its own.
    private func header(_ rules: DatagramRules) -> String {
        rules.marks.sorted(by: <).map { "# \($0.value) \($0.key)\n" }.joined()
    }
    private func marks(_ text: String) -> Set<UInt32> {
        Set(
            text.split(separator: "\n").filter { $0.hasPrefix("# ") }.compactMap { line in
                line.split(separator: " ").dropFirst().first.flatMap { UInt32($0) }
            })
    }

    private var isThere: Bool {
        let argv = ["nft", "list", "chain"] + DatagramRules.table.split(separator: " ").map(String.init) + ["arriving"]
        return (try? run(argv))?.status == 0
    }

    private func run(_ argv: [String]) throws(Fault) -> Subprocess.Output {
        try Subprocess.runBlocking(argv, timeout: .seconds(10), in: Surroundings(network: namespace))
    }

    private func load(_ text: String) throws(Fault) {
        try Subprocess.check(["nft", "-f", "-"], input: Array(text.utf8), in: Surroundings(network: namespace))
    }

    private func counters() throws(Fault) -> [String: (packets: Int, bytes: Int)] {
        let argv =
            ["nft", "-j", "list", "counters", "table"] + DatagramRules.table.split(separator: " ").map(String.init)
        let text = try Subprocess.check(argv, in: Surroundings(network: namespace))
        guard let answer = try? JSON.parse(Array(text.utf8)) else { return [:] }
        var counters: [String: (packets: Int, bytes: Int)] = [:]
        for item in answer["nftables"]?.array ?? [] {
            guard let counter = item["counter"], let name = counter["name"]?.string else { continue }
            counters[name] = (counter["packets"]?.integer ?? 0, counter["bytes"]?.integer ?? 0)
        }
        return counters
    }

    /// This is no router but for what the rules turn to a member: everything else that would pass is dropped by them.
    private func setForwarding(_ isOn: Bool) throws(Fault) {
        let value = isOn ? "1" : "0"
        try Subprocess.check(
            ["sysctl", "-q", "-w", "net.ipv4.conf.all.forwarding=\(value)", "net.ipv6.conf.all.forwarding=\(value)"],
            in: Surroundings(network: namespace))
    }
}
