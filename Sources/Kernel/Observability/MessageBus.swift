// SPDX-License-Identifier: Apache-2.0
package import Base
package import Config
package import JSON

/// A bus that others listen on.
package protocol MessageBus: Sendable {
    /// Returns once the bus has the message.
    /// - Parameters:
    ///   - exchange: whose messages these are.
    ///   - topic: what listeners ask for, and the queue that keeps it until they do.
    func send(_ message: JSON, exchange: String, topic: String) async throws(Fault)
}

/// Where a program's notifications go, under oslo.messaging's names, which has one list of drivers for all of them.
package struct NotificationDrivers: Sendable, Equatable {
    package static let section = "oslo_messaging_notifications"

    package var isLogged = true
    package var isSent = false

    package init() {}

    /// Leaves the reader in this section.
    package init(_ read: inout OptionReader) {
        read.section(NotificationDrivers.section)
        let chosen = read.text(
            "driver", "list of log, messagingv2 and noop", default: "log",
            help: "Where notifications go: 'log' is a log, 'messagingv2' the bus at transport_url, 'noop' nowhere; "
                + "several are parted by commas."
        ) { text -> NotificationDrivers? in NotificationDrivers(text) }
        self = chosen ?? NotificationDrivers()
    }

    private init?(_ text: String) {
        let names = text.split { $0 == "," || $0 == " " }.map(String.init)
        guard names.allSatisfy(["log", "messagingv2", "noop"].contains) else { return nil }
        isLogged = names.contains("log")
        isSent = names.contains("messagingv2")
    }
}
