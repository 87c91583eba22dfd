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
    case rebootingHard = "rebooting_hard", rebootPendingHard = "reboot_pending_hard"
    case rebootStartedHard = "reboot_started_hard"
    case pausing, unpausing, suspending, resuming
    case poweringOff = "powering-off", poweringOn = "powering-on"
    case imageSnapshot = "image_snapshot", imageSnapshotPending = "image_snapshot_pending"
    case imagePendingUpload = "image_pending_upload", imageUploading = "image_uploading", imageBackup = "image_backup"
    case updatingPassword = "updating_password"
    case rebuilding, rebuildBlockDeviceMapping = "rebuild_block_device_mapping", rebuildSpawning = "rebuild_spawning"
    case resizePrep = "resize_prep", resizeMigrating = "resize_migrating", resizeMigrated = "resize_migrated"
    case resizeFinish = "resize_finish", resizeReverting = "resize_reverting", resizeConfirming = "resize_confirming"
    case migrating, rescuing, unrescuing
    case shelving, shelvingImagePendingUpload = "shelving_image_pending_upload"
    case shelvingImageUploading = "shelving_image_uploading", shelvingOffloading = "shelving_offloading", unshelving
    case deleting, softDeleting = "soft-deleting", restoring

    static let ofRebuild: Set<TaskState> = [.rebuilding, .rebuildBlockDeviceMapping, .rebuildSpawning]
    static let ofResize: Set<TaskState> = [.resizePrep, .resizeMigrating, .resizeMigrated, .resizeFinish]
}

/// The status clients see, made of the two states (nova/api/openstack/common.py).
enum ServerStatus {
    static func of(_ state: VMState, _ task: TaskState?) -> String {
        if let task, let passing = passing(state, task) { return passing }
        return switch state {
        case .active: "ACTIVE"
        case .building: "BUILD"
        case .stopped: "SHUTOFF"
        case .paused: "PAUSED"
        case .suspended: "SUSPENDED"
        case .rescued: "RESCUE"
        case .resized: "VERIFY_RESIZE"
        case .error: "ERROR"
        case .deleted: "DELETED"
        case .softDelete: "SOFT_DELETED"
        case .shelved: "SHELVED"
        case .shelvedOffloaded: "SHELVED_OFFLOADED"
        }
    }

    /// The status that a task lends a state while it lasts; nil where clients see no difference.
    private static func passing(_ state: VMState, _ task: TaskState) -> String? {
        switch task {
        case .rebooting, .rebootPending, .rebootStarted: state == .active ? "REBOOT" : nil
        case .rebootingHard, .rebootPendingHard, .rebootStartedHard:
            state == .error || state == .building ? nil : "HARD_REBOOT"
        case .updatingPassword: state == .active ? "PASSWORD" : nil
        case .resizeReverting: state == .resized ? "REVERT_RESIZE" : nil
        case .migrating: state == .active || state == .paused ? "MIGRATING" : nil
        case _ where TaskState.ofRebuild.contains(task):
            state == .active || state == .stopped || state == .error ? "REBUILD" : nil
        case _ where TaskState.ofResize.contains(task): state == .active || state == .stopped ? "RESIZE" : nil
        default: nil
        }
    }

    /// The states a status filter stands for; nil when there is no such status.
    static func states(_ status: String) -> [VMState]? {
        switch status.uppercased() {
        case "ACTIVE", "REBOOT", "HARD_REBOOT", "PASSWORD", "REBUILD", "RESIZE", "MIGRATING": [.active]
        case "BUILD": [.building]
        case "SHUTOFF": [.stopped]
        case "PAUSED": [.paused]
        case "SUSPENDED": [.suspended]
        case "RESCUE": [.rescued]
        case "VERIFY_RESIZE", "REVERT_RESIZE": [.resized]
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

    var change: PowerChange {
        switch self {
        case .start: .start
        case .stop: .stop
        case .rebootSoft: .rebootSoft
        case .rebootHard: .rebootHard
        case .pause: .pause
        case .unpause: .unpause
        case .suspend: .suspend
        case .resume: .resume
        }
    }
}
