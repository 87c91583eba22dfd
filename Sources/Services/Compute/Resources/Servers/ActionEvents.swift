// SPDX-License-Identifier: Apache-2.0
import Kernel

/// One event of an action as clients see it: an operation under the name of upstream's function that did the same, with
/// its beginning, its end and what went wrong.
struct ActionEvent: Sendable {
    let name: String
    let startedAt: Timestamp
    var finishedAt: Timestamp?
    /// Why it failed.
    var failure: String?

    /// Those of one request on one subject, the newest first, as upstream lists them.
    static func all(
        on subject: String, of request: String, action: String, _ queue: OperationQueue
    ) async throws(Fault) -> [ActionEvent] {
        let timeline = try await queue.timeline(of: subject).filter { $0.requestID == request }
        return try await queue.operations(on: subject).filter { $0.requestID == request }.flatMap { operation in
            let own = timeline.filter { $0.operationID == operation.id }
            if moves.contains(operation.kind) { return steps(own) }
            guard let first = own.first(where: { $0.what == "began" }) else { return [] }
            return [
                ActionEvent(
                    name: name(operation.kind, step: first.step, action: action), startedAt: first.at,
                    finishedAt: operation.isOver ? operation.updatedAt : nil,
                    failure: operation.isOver && operation.state != .done ? operation.fault : nil)
            ]
        }
    }

    /// A move is several functions of upstream's, one after another: each step is one.
    private static let moves: Set = [MoveServer.kind, RevertMove.kind, LiveMigrateServer.kind, EvacuateServer.kind]

    /// What upstream's functions do at their end is a step of its own here.
    private static let ends: Set = ["plugging", "rebuild_instance_finish"]

    private static func steps(_ timeline: [OperationEvent]) -> [ActionEvent] {
        var events: [ActionEvent] = []
        for at in timeline.indices where timeline[at].what == "began" {
            let (event, next) = (timeline[at], timeline.dropFirst(at + 1).first)
            // Upstream's does it within the next.
            if event.step == "power_off" { continue }
            let isError = next?.what == "failed" || next?.what == "retried"
            let isConductors = event.step.hasPrefix("conductor_") || event.step == "rebuild_server"
            let failure = isError ? next?.message : nil
            // What is done for volumes is a part of the function beside it.
            let step = event.step.hasSuffix("_volumes") ? String(event.step.dropLast(8)) : event.step
            let name = isConductors ? step : "compute_" + step
            let isMore = events.last.map { $0.name == name && $0.failure == nil } ?? false
            if ends.contains(step) || isMore, let last = events.popLast() {
                events.append(
                    ActionEvent(name: last.name, startedAt: last.startedAt, finishedAt: next?.at, failure: failure))
                continue
            }
            events.append(
                ActionEvent(name: name, startedAt: event.at, finishedAt: next?.at, failure: failure))
        }
        return events.reversed()
    }

    /// As upstream's conductor and compute manager name theirs.
    private static func name(_ kind: String, step: String, action: String) -> String {
        switch kind {
        case ScheduleServers.kind: "conductor_schedule_and_build_instances"
        case BootServer.kind: "compute__do_build_and_run_instance"
        case PowerServer.kind: "compute_\(step)_instance"
        case DeleteServer.kind: "compute_terminate_instance"
        case SoftDeleteServer.kind: "compute_soft_delete_instance"
        case RestoreServer.kind: "compute_restore_instance"
        case RebuildServer.kind: "compute_rebuild_instance"
        case RescueServer.kind: "compute_rescue_instance"
        case UnrescueServer.kind: "compute_unrescue_instance"
        case SnapshotServer.kind:
            action == ActionRule.createBackup.name ? "compute_backup_instance" : "compute_snapshot_instance"
        case SnapshotVolumes.kind: "api_snapshot_instance"
        case ReimageServer.kind: "compute_rebuild_instance"
        case ShelveServer.kind: "compute_shelve_instance"
        case OffloadServer.kind: "compute_shelve_offload_instance"
        case UnshelveServer.kind: "compute_unshelve_instance"
        case AttachVolume.kind: "compute_attach_volume"
        case DetachVolume.kind: "compute_detach_volume"
        case SwapVolume.kind: "compute_swap_volume"
        case GrowVolume.kind: "compute_extend_volume"
        // What upstream's conductor does has that name; the rest is done by its compute service.
        default: step.hasPrefix("conductor_") || step == "rebuild_server" ? step : "compute_\(step)"
        }
    }
}

extension InstanceAction {
    func write(_ events: [ActionEvent], _ server: Server, _ view: inout View) {
        let maySee = view.may("os-instance-actions:events", on: server)
        view.list("events", events) { view, event in
            view.put("event", event.name)
            view.put("start_time", event.startedAt.iso8601Naive)
            view.put("finish_time", event.finishedAt?.iso8601Naive)
            view.put("result", event.finishedAt.map { _ in event.failure == nil ? "Success" : "Error" })
            if maySee {
                view.put("traceback", event.failure)
                view.put("host", server.host, since: "2.62")
            }
            view.put("hostId", server.hostID, since: "2.62")
            view.put("details", event.failure, since: "2.84")
        }
    }
}
