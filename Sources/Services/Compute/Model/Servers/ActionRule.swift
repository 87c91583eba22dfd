// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What upstream asks of a server before an action (nova/compute/api.py, `check_instance_state`). The order
/// of the questions is upstream's as well, so that refusals are worded alike.
struct ActionRule: Sendable {
    /// In the actions log and in refusals: `createBackup`.
    let name: String
    /// The states it is allowed in; nil is any.
    let states: [VMState]?
    /// What may be going on meanwhile; nil is anything.
    var tasks: [TaskState]? = []
    var needsHost = false
    /// Whether it makes sense only for a server that ran before.
    var needsLaunch = true
    /// A lock guards against change, not against a look.
    var ignoresLock = false

    init(_ name: String, _ states: [VMState]?) {
        self.name = name
        self.states = states
    }

    func needingHost() -> ActionRule {
        var rule = self
        rule.needsHost = true
        return rule
    }

    func ignoringLock() -> ActionRule {
        var rule = self
        rule.ignoresLock = true
        return rule
    }

    func amid(_ tasks: [TaskState]?, launched: Bool = true) -> ActionRule {
        var rule = self
        rule.tasks = tasks
        rule.needsLaunch = launched
        return rule
    }
}

extension Server {
    /// Refuses an action that the server's state does not allow.
    func admit(_ rule: ActionRule) throws(Fault) {
        if rule.needsHost, host == nil { throw .conflict("Instance \(id) is not ready") }
        if let states = rule.states, !states.contains(vmState) {
            throw .serverState(id, "vm_state", vmState.rawValue, rule.name)
        }
        if let tasks = rule.tasks, let taskState, !tasks.contains(taskState) {
            throw .serverState(id, "task_state", taskState.rawValue, rule.name)
        }
        if rule.needsLaunch, launchedAt == nil {
            throw .conflict("Instance \(id) is in an invalid state for '\(rule.name)'")
        }
    }
}

// MARK: - The rules of a server's life

extension ActionRule {
    static let rebuild = ActionRule("rebuild", [.active, .stopped, .error]).needingHost()
    static let rescue = ActionRule("rescue", [.active, .stopped, .error]).needingHost()
    static let unrescue = ActionRule("unrescue", [.rescued])
    static let createImage = ActionRule("createImage", [.active, .stopped, .paused, .suspended]).ignoringLock()
    static let createBackup = ActionRule("createBackup", [.active, .stopped, .paused, .suspended]).ignoringLock()
    static let shelve = ActionRule("shelve", [.active, .stopped, .paused, .suspended])
    static let shelveOffload = ActionRule("shelveOffload", [.shelved])
    static let unshelve = ActionRule("unshelve", [.shelved, .shelvedOffloaded])
    static let softDelete = ActionRule("delete", nil).amid(nil)
    static let restore = ActionRule("restore", [.softDelete])
    static let crashDump = ActionRule("trigger_crash_dump", [.active, .paused, .rescued, .resized, .error])
        .needingHost()
    static let changePassword = ActionRule("changePassword", [.active])
}

extension Fault {
    static func serverState(_ id: String, _ what: String, _ state: String, _ action: String) -> Fault {
        .conflict("Cannot '\(action)' instance \(id) while it is in \(what) \(state)")
    }
}
