// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// `nova-scheduler` and `nova-conductor` of the service list. Their work is done by this very process, so they are up
/// whenever anybody can ask; monitoring that looks for them by name finds them.
struct ControlService: Sendable {
    /// The zone of services that run no servers.
    static let zone = "internal"

    let source: Notices.Source
    let host: String
    /// Until 2.53 services have numbers: these are far above those of hosts.
    let number: Int

    var binary: String { "nova-\(source.rawValue)" }
    /// The same at each start: of the binary and the host.
    var id: String { Hex.uuid(Array(Digest.bytes(.sha256, Array("\(binary) \(host)".utf8)).prefix(16))) }

    static func all(on host: String) -> [ControlService] {
        let sources: [Notices.Source] = [.scheduler, .conductor]
        return sources.enumerated().map { ControlService(source: $1, host: host, number: 2_000_000_000 + $0) }
    }

    /// Nothing of one can be changed. The path names a service as the version has it, by a number or a UUID.
    static func refuse(_ request: Request, _ doing: String, _ done: String) throws(Fault) {
        let id = request["service_id"]
        let meant = all(on: request.compute.notices.host).first { $0.id == id || String($0.number) == id }
        if let meant { throw .onlyCompute(meant.binary, doing, done) }
    }

    func write(_ view: inout View, now: Timestamp) {
        view.put("binary", binary)
        view.put("host", host)
        view.put("id", number, until: "2.53")
        view.put("id", id, since: "2.53")
        view.put("zone", ControlService.zone)
        view.put("status", "enabled")
        view.put("state", "up")
        view.put("updated_at", now.iso8601Naive)
        view.put("disabled_reason", String?.none)
        view.put("forced_down", false, since: "2.11")
    }
}

extension Fault {
    static func onlyCompute(_ binary: String, _ doing: String, _ done: String) -> Fault {
        .badRequest("\(doing) a \(binary) service is not supported. Only nova-compute services can be \(done).")
    }
}
