// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What others are told of changes and logins.
package struct NotificationOptions: Sendable {
    package enum Form: String, CaseIterable, Sendable { case basic, cadf }

    package var form = Form.cadf
    /// Event types that nobody is told of; authentication's end with their outcome.
    package var silenced = ["identity.authenticate.success", "identity.authenticate.pending"]
    package var drivers = NotificationDrivers()
    package var topics = ["notifications"]

    package init() {}

    package init(_ read: inout OptionReader) {
        self.init()
        read.section(INI.defaultSection)
        form = read.choice(
            "notification_format", default: form,
            help: "Whether notifications are CADF audit events or name only what was changed.")
        silenced = read.list(
            "notification_opt_out", default: silenced,
            help: "Events that are not notified: identity.user.created, identity.authenticate.success. Empty, every "
                + "login is told of too.")
        drivers = NotificationDrivers(&read)
        topics = read.list(
            "topics", default: topics, help: "Where Identity's notifications are sent to; the log is log/audit.log.")
    }
}
