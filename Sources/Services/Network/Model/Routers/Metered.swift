// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Which label counts what, all labels together.
struct Metered: Sendable {
    /// One label with its rules as regions.
    struct Label: Sendable {
        let label: MeteringLabel
        let counted: [MeterRegion]
        let excluded: [MeterRegion]

        func counts(_ region: MeterRegion) -> Bool {
            counted.contains { $0.contains(region) } && !excluded.contains { $0.contains(region) }
        }
    }

    /// How many counters a router may have: blocks that lie across each other make more of them than there are rules.
    static let regionsMax = 1000

    private let labels: [String: [Label]]

    init(_ labels: [MeteringLabel], _ rules: [MeteringLabelRule]) {
        let byLabel = Dictionary(grouping: rules, by: \.meteringLabelID)
        self.labels = Dictionary(
            grouping: labels.map { label in
                let own = byLabel[label.id] ?? []
                return Label(
                    label: label, counted: own.filter { !$0.excluded }.compactMap(\.region),
                    excluded: own.filter(\.excluded).compactMap(\.region))
            }, by: \.label.place)
    }

    init(_ transaction: Transaction) throws(Fault) {
        self.init(try transaction.all(MeteringLabel.self), try transaction.all(MeteringLabelRule.self))
    }

    /// The labels that count what lies in a region at a project's routers.
    func labels(of project: String, _ region: MeterRegion) -> [MeteringLabel] {
        ((labels[project] ?? []) + (labels[MeteringSpec.everybody] ?? [])).filter { $0.counts(region) }.map(\.label)
    }

    /// Refuses rules that would need more counters at one router than it may have.
    func requireBounds() throws(Fault) {
        let shared = regions(MeteringSpec.everybody)
        for place in labels.keys {
            let all = place == MeteringSpec.everybody ? shared : shared + regions(place)
            guard all.count <= Metered.regionsMax, MeterRegion.closure(all).count <= Metered.regionsMax else {
                throw .overQuota("metering_label_rule")
            }
        }
    }

    private func regions(_ place: String) -> [MeterRegion] {
        (labels[place] ?? []).flatMap { $0.counted + $0.excluded }
    }
}
