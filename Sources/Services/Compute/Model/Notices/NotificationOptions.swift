// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What others are told, under nova.conf's names.
package struct NotificationOptions: Options {
    package static let section = "notifications"

    /// Which changes of servers are told of as such, beside the actions that make them.
    package enum StateChanges: String, Sendable, CaseIterable {
        case none = ""
        case state = "vm_state"
        case stateAndTask = "vm_and_task_state"
    }

    /// Of upstream's two forms only the newer is spoken; the older one, its default, tells nothing here.
    package var isOn = false
    package var topics = ["versioned_notifications"]
    package var drivers = NotificationDrivers()
    package var stateChanges = StateChanges.none
    /// Whether volumes are told of with every server.
    package var hasDevices = false
    /// Whether hosts tell of their servers' usage after each period.
    package var auditsUsage = false
    package var auditPeriod = AuditPeriod.month

    package init() {}

    package init(_ read: inout OptionReader) {
        self.init()
        read.section(INI.defaultSection)
        auditsUsage = read.bool(
            "instance_usage_audit", default: auditsUsage,
            help: "Whether hosts tell of their servers' usage after each period.")
        auditPeriod =
            read.text(
                "instance_usage_audit_period", "'hour', 'day', 'month' or 'year', with an offset like 'month@15'",
                help: "The period that usage is told for; 'month' unless set."
            ) { text -> AuditPeriod? in AuditPeriod(text) } ?? .month
        read.section(NotificationOptions.section)
        let form = read.choice(
            "notification_format", of: ["both", "versioned", "unversioned"], default: "unversioned",
            help: "Which notifications are sent: only the versioned ones exist, so 'unversioned' sends none.")
        let isWanted = form != "unversioned"
        topics = read.list(
            "versioned_notifications_topics", default: topics, help: "Where versioned notifications are sent to.")
        let changes = read.choice(
            "notify_on_state_change", of: ["", "vm_state", "vm_and_task_state"], default: "",
            help: "Which changes of servers' states are told of as instance.update; empty is none.")
        stateChanges = StateChanges(rawValue: changes) ?? .none
        hasDevices = read.bool(
            "bdms_in_notifications", default: hasDevices, help: "Whether volumes are told of with every server.")
        drivers = NotificationDrivers(&read)
        isOn = isWanted && (drivers.isLogged || drivers.isSent)
    }
}
