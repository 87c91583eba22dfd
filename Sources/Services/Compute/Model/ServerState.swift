// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What a server is, apart from what is being done to it (nova/compute/vm_states.py).
enum VMState: String, Codable, Sendable, CaseIterable {
    case building, active, paused, suspended, stopped, rescued, resized, softDelete = "soft-delete", deleted, error
    case shelved, shelvedOffloaded = "shelved_offloaded"
}

/// What is being done to a server (nova/compute/task_states.py).
enum TaskState: String, Codable, Sendable, CaseIterable {
    case scheduling, networking, blockDeviceMapping = "block_device_mapping", spawning
    case rebooting, rebootPending = "reboot_pending", rebootStarted = "reboot_started"
    case rebootingHard = "rebooting_hard"
    case pausing, unpausing, suspending, resuming
    case poweringOff = "powering-off", poweringOn = "powering-on"
    case deleting, imageSnapshot = "image_snapshot", imageUploading = "image_uploading"
    case updatingPassword = "updating_password", rebuilding, rebuildSpawning = "rebuild_spawning"
    case resizePrep = "resize_prep", resizeMigrating = "resize_migrating"
}

/// The status clients see, made of the two states (nova/api/openstack/common.py).
enum ServerStatus {
    static func of(_ state: VMState, _ task: TaskState?) -> String {
        switch (state, task) {
        case (.active, .rebooting), (.active, .rebootPending), (.active, .rebootStarted): "REBOOT"
        case (_, .rebootingHard) where state != .error && state != .building: "HARD_REBOOT"
        case (.active, .updatingPassword): "PASSWORD"
        case (.active, .rebuilding), (.active, .rebuildSpawning), (.stopped, .rebuilding), (.error, .rebuilding):
            "REBUILD"
        case (.active, .resizePrep), (.active, .resizeMigrating): "RESIZE"
        case (.active, _): "ACTIVE"
        case (.building, _): "BUILD"
        case (.stopped, _): "SHUTOFF"
        case (.paused, _): "PAUSED"
        case (.suspended, _): "SUSPENDED"
        case (.rescued, _): "RESCUE"
        case (.resized, _): "VERIFY_RESIZE"
        case (.error, _): "ERROR"
        case (.deleted, _): "DELETED"
        case (.softDelete, _): "SOFT_DELETED"
        case (.shelved, _): "SHELVED"
        case (.shelvedOffloaded, _): "SHELVED_OFFLOADED"
        }
    }

    /// The states a status filter stands for; nil when there is no such status.
    static func states(_ status: String) -> [VMState]? {
        switch status.uppercased() {
        case "ACTIVE", "REBOOT", "HARD_REBOOT", "PASSWORD", "REBUILD", "RESIZE": [.active]
        case "BUILD": [.building]
        case "SHUTOFF": [.stopped]
        case "PAUSED": [.paused]
        case "SUSPENDED": [.suspended]
        case "RESCUE": [.rescued]
        case "VERIFY_RESIZE": [.resized]
        case "ERROR": [.error]
        case "DELETED": [.deleted]
        case "SOFT_DELETED": [.softDelete]
        case "SHELVED": [.shelved]
        case "SHELVED_OFFLOADED": [.shelvedOffloaded]
        default: nil
        }
    }
}

/// What a power action asks of a server and leaves it in (nova/compute/api.py, `check_instance_state`).
enum PowerAction: String, Codable, Sendable {
    case start, stop, rebootSoft, rebootHard, pause, unpause, suspend, resume

    /// The name in instance actions and in the conflict's message.
    var name: String {
        switch self {
        case .rebootSoft, .rebootHard: "reboot"
        default: rawValue
        }
    }

    var allowed: [VMState] {
        switch self {
        case .start: [.stopped]
        case .stop: [.active, .error]
        case .rebootSoft: [.active]
        case .rebootHard: [.active, .stopped, .paused, .suspended, .error]
        case .pause: [.active]
        case .unpause: [.paused]
        case .suspend: [.active]
        case .resume: [.suspended]
        }
    }

    var task: TaskState {
        switch self {
        case .start: .poweringOn
        case .stop: .poweringOff
        case .rebootSoft: .rebooting
        case .rebootHard: .rebootingHard
        case .pause: .pausing
        case .unpause: .unpausing
        case .suspend: .suspending
        case .resume: .resuming
        }
    }

    /// The state after it worked.
    var result: (vm: VMState, power: GuestState) {
        switch self {
        case .stop: (.stopped, .shutdown)
        case .pause: (.paused, .paused)
        case .suspend: (.suspended, .shutdown)
        default: (.active, .running)
        }
    }

    func change(grace: Duration) -> PowerChange {
        switch self {
        case .start: .start
        case .stop: .stop(grace: grace)
        case .rebootSoft: .rebootSoft(grace: grace)
        case .rebootHard: .rebootHard
        case .pause: .pause
        case .unpause: .unpause
        case .suspend: .suspend
        case .resume: .resume
        }
    }
}
