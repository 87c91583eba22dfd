// SPDX-License-Identifier: Apache-2.0
internal import Synchronization

/// The numbers a monitoring system collects. Asking for one by name and labels makes it, or finds it again; keep what
/// was returned, for asking takes a lock and counting does not.
package final class Metrics: Sendable {
    package typealias Labels = KeyValuePairs<String, String>

    private enum Kind: String { case counter, gauge, histogram }

    private enum Child: Sendable {
        case counter(Counter)
        case gauge(Gauge)
        case read(@Sendable () -> Double)
        case histogram(Histogram)
    }

    /// All that share a name, by their labels as text.
    private struct Family {
        let help: String
        let kind: Kind
        var children: [String: Child] = [:]
    }

    private let families = Mutex<[String: Family]>([:])

    package init() {}

    /// Only ever grows. By convention the name ends in `_total`.
    package func counter(_ name: String, _ help: String, _ labels: Labels = [:]) -> Counter {
        let child = child(name, help, labels, .counter) { .counter(Counter()) }
        guard case .counter(let counter) = child else { preconditionFailure("\(name) is not a counter") }
        return counter
    }

    /// Goes up and down.
    package func gauge(_ name: String, _ help: String, _ labels: Labels = [:]) -> Gauge {
        let child = child(name, help, labels, .gauge) { .gauge(Gauge()) }
        guard case .gauge(let gauge) = child else { preconditionFailure("\(name) is read, not set") }
        return gauge
    }

    /// A gauge that is asked when somebody looks; the first of a name and labels stays.
    package func gauge(_ name: String, _ help: String, _ labels: Labels = [:], read: @escaping @Sendable () -> Double) {
        _ = child(name, help, labels, .gauge) { .read(read) }
    }

    /// How observations are spread over the buckets, whose upper bounds are given in rising order.
    package func histogram(
        _ name: String, _ help: String, buckets: [Double] = Histogram.seconds, _ labels: Labels = [:]
    ) -> Histogram {
        let child = child(name, help, labels, .histogram) { .histogram(Histogram(bounds: buckets)) }
        guard case .histogram(let histogram) = child else { preconditionFailure("\(name) is not a histogram") }
        return histogram
    }

    private func child(_ name: String, _ help: String, _ labels: Labels, _ kind: Kind, _ make: () -> Child) -> Child {
        precondition(Metrics.isName(name), "'\(name)' is no name for a metric")
        let key = Metrics.text(labels)
        return families.withLock { families in
            var family = families[name] ?? Family(help: help, kind: kind)
            precondition(family.kind == kind, "\(name) is a \(family.kind.rawValue) already")
            if let child = family.children[key] { return child }
            let child = make()
            family.children[key] = child
            families[name] = family
            return child
        }
    }
}

// MARK: - Exposition

extension Metrics {
    /// Everything in Prometheus's text format, version 0.0.4, sorted.
    package func exposition() -> [UInt8] {
        let families = families.withLock { $0 }
        var text = ""
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            text += "# HELP \(name) \(Metrics.escaped(family.help, quotes: false))\n"
            text += "# TYPE \(name) \(family.kind.rawValue)\n"
            for (labels, child) in family.children.sorted(by: { $0.key < $1.key }) {
                switch child {
                case .counter(let counter): text += "\(name)\(Metrics.braced(labels)) \(counter.value)\n"
                case .gauge(let gauge): text += "\(name)\(Metrics.braced(labels)) \(Metrics.number(gauge.value))\n"
                case .read(let read): text += "\(name)\(Metrics.braced(labels)) \(Metrics.number(read()))\n"
                case .histogram(let histogram): Metrics.expose(histogram, name, labels, &text)
                }
            }
        }
        return Array(text.utf8)
    }

    private static func expose(_ histogram: Histogram, _ name: String, _ labels: String, _ text: inout String) {
        let comma = labels.isEmpty ? "" : ","
        var below: UInt64 = 0
        for (bound, count) in zip(histogram.bounds + [.infinity], histogram.counts) {
            below += count
            text += "\(name)_bucket{\(labels)\(comma)le=\"\(number(bound))\"} \(below)\n"
        }
        text += "\(name)_sum\(braced(labels)) \(number(histogram.sum))\n"
        text += "\(name)_count\(braced(labels)) \(below)\n"
    }

    private static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        return Int64(exactly: value).map(String.init) ?? "\(value)"
    }

    private static func braced(_ labels: String) -> String { labels.isEmpty ? "" : "{\(labels)}" }

    private static func text(_ labels: Labels) -> String {
        labels.map { name, value in
            precondition(isName(name), "'\(name)' is no name for a label")
            return "\(name)=\"\(escaped(value, quotes: true))\""
        }.joined(separator: ",")
    }

    private static func escaped(_ text: String, quotes: Bool) -> String {
        text.reduce(into: "") { escaped, character in
            switch character {
            case "\\": escaped += "\\\\"
            case "\n": escaped += "\\n"
            case "\"" where quotes: escaped += "\\\""
            default: escaped.append(character)
            }
        }
    }

    private static func isName(_ name: String) -> Bool {
        func isLetter(_ byte: UInt8) -> Bool { (97...122).contains(byte | 0x20) || byte == UInt8(ascii: "_") }
        guard let first = name.utf8.first, isLetter(first) else { return false }
        return name.utf8.allSatisfy { isLetter($0) || (48...57).contains($0) || $0 == UInt8(ascii: ":") }
    }
}
