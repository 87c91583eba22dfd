// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Whether servers, guests, allocations and inventories agree, and how to make them agree again. Apus's own addition to
/// the API.
enum PlacementAudits: Resource {
    static let routes: [Route] = [
        .get(
            "/placement-audit", "Audit servers, guests and allocations", of: Anything.from,
            allow: .adminOnly("placement-audit:show"), show),
        .post(
            "/placement-audit", "Mend what an audit finds", of: Anything.from,
            allow: .adminOnly("placement-audit:mend"), mend, status: 200),
    ]

    private static func show(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let found = try await Auditor(request.compute).audit()
        return .object("placement_audit") { view in
            view.put("count", found.count)
            view.list("drifts", found) { view, drift in drift.details(&view) }
        }
    }

    private static func mend(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let auditor = Auditor(request.compute)
        let found = try await auditor.audit()
        let done = await auditor.mend(found)
        let left = found.filter(\.remedy.isEmpty)
        return .object("placement_audit") { view in
            view.put("count", found.count)
            view.list("drifts", left) { view, drift in drift.details(&view) }
            view.list("mended", done) { view, item in
                item.drift.details(&view)
                view.put("outcome", item.outcome)
            }
        }
    }
}

extension Auditor.Drift {
    fileprivate func details(_ view: inout View) {
        view.put("kind", kind.rawValue)
        view.put("subject", subject)
        view.put("host", host)
        view.put("detail", detail)
        view.put("remedy", remedy)
    }
}
