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

extension MessageBus {
    /// Sends a notification to one topic; listeners choose topics by how urgent they are, too.
    package func notify(_ message: JSON, exchange: String, topic: String) async throws(Fault) {
        let priority = (message["priority"]?.string ?? "info").lowercased()
        try await send(message, exchange: exchange, topic: topic + "." + priority)
    }
}

/// Where a program's notifications go, under oslo.messaging's names, which has one list of drivers for all of them.
package struct NotificationDrivers: Sendable, Equatable {
    package static let section = "oslo_messaging_notifications"

    package var isLogged = true
    package var isSent = false
    /// How often a notification is tried again before it is given up; nil is for ever.
    package var retriesMax: Int?

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
        let retries = read.int(
            "retry", default: -1, in: -1...Int.max,
            help: "How often a notification that the bus does not take is tried again before it is given up; -1 is for "
                + "ever.")
        retriesMax = retries < 0 ? nil : retries
    }

    private init?(_ text: String) {
        let names = text.split { $0 == "," || $0 == " " }.map(String.init)
        guard names.allSatisfy(["log", "messagingv2", "noop"].contains) else { return nil }
        isLogged = names.contains("log")
        isSent = names.contains("messagingv2")
    }
}
