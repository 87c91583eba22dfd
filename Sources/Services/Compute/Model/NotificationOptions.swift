// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What is told of servers to others, under nova.conf's names.
package struct NotificationOptions: Options {
    package static let section = "notifications"

    /// Of upstream's two forms only the newer is spoken; the older one, its default, tells nothing here.
    package var isOn = false
    package var topics = ["versioned_notifications"]

    package init() {}

    package init(_ read: inout OptionReader) {
        self.init()
        read.section(NotificationOptions.section)
        let form = read.choice(
            "notification_format", of: ["both", "versioned", "unversioned"], default: "unversioned",
            help: "Which notifications are sent: only the versioned ones exist, so 'unversioned' sends none.")
        isOn = form != "unversioned"
        topics = read.list(
            "versioned_notifications_topics", default: topics, help: "Where versioned notifications are sent to.")
    }
}
