// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// How far the back end was from what the rows say, when everything was compared.
package struct DriftGauges: Sendable {
    private let drift: [(kind: String, gauge: Gauge)]
    private let audits: Counter
    private let failures: Counter

    package init(_ metrics: Metrics) {
        drift = ["inserted", "updated", "deleted"].map { kind in
            (
                kind,
                metrics.gauge(
                    "apus_network_drift_rows", "Rows of the network's back end that the last audit mended.",
                    ["change": kind])
            )
        }
        audits = metrics.counter("apus_network_audits_total", "How often all networks were compared with the back end.")
        failures = metrics.counter("apus_network_audit_failures_total", "Audits of the networks that came to no end.")
    }

    func record(_ report: DriftReport) {
        audits.add()
        for (kind, gauge) in drift {
            switch kind {
            case "inserted": gauge.set(Double(report.inserted.count))
            case "updated": gauge.set(Double(report.updated.count))
            default: gauge.set(Double(report.deleted.count))
            }
        }
    }

    func recordFailure() { failures.add() }
}

extension NetworkSync {
    /// Compares everything: what somebody else changed, or a lost word left undone, is mended.
    package func auditOnce(_ gauges: DriftGauges) async {
        do throws(Fault) {
            let drift = try await synchronize()
            gauges.record(drift)
            guard !drift.isEmpty else { return }
            service.log.warning(
                "the networks had drifted",
                [
                    "inserted": drift.inserted.count, "updated": drift.updated.count, "deleted": drift.deleted.count,
                    "first": (drift.inserted + drift.updated + drift.deleted).prefix(5).joined(separator: "; "),
                ])
        } catch {
            gauges.recordFailure()
            service.log.warning("the networks could not be audited", ["error": error.message])
        }
    }
}
