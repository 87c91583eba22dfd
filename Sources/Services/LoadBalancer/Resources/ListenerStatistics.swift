// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What went through a listener.
package struct Figures: Codable, Sendable, Hashable {
    package var bytesIn = 0
    package var bytesOut = 0
    package var activeConnections = 0
    package var totalConnections = 0
    package var requestErrors = 0

    package init(
        bytesIn: Int = 0, bytesOut: Int = 0, activeConnections: Int = 0, totalConnections: Int = 0,
        requestErrors: Int = 0
    ) {
        self.bytesIn = bytesIn
        self.bytesOut = bytesOut
        self.activeConnections = activeConnections
        self.totalConnections = totalConnections
        self.requestErrors = requestErrors
    }

    package static func + (left: Figures, right: Figures) -> Figures {
        Figures(
            bytesIn: left.bytesIn + right.bytesIn, bytesOut: left.bytesOut + right.bytesOut,
            activeConnections: left.activeConnections + right.activeConnections,
            totalConnections: left.totalConnections + right.totalConnections,
            requestErrors: left.requestErrors + right.requestErrors)
    }

    func write(_ view: inout View) {
        view.put("active_connections", activeConnections)
        view.put("bytes_in", bytesIn)
        view.put("bytes_out", bytesOut)
        view.put("request_errors", requestErrors)
        view.put("total_connections", totalConnections)
    }
}

/// A listener's figures over all the lives of what counted them: `past` is the sum of those that are over.
struct ListenerStatistics: Record {
    static let table = "load_balancer_listener_statistics"

    let listenerID: String, loadBalancerID: String
    var run: String
    var past: Figures
    var present: Figures

    var total: Figures { past + present }

    /// Takes in what was read from one life of the counters.
    mutating func take(_ figures: Figures, run: String) {
        if run != self.run {
            past = total
            past.activeConnections = 0
            self.run = run
        }
        present = figures
    }
}

extension ListenerStatistics: Resource {
    static let routes: [Route] = []
    static let migrations: [Migration] = [
        """
        2026-11-29 load balancer listener statistics
        CREATE TABLE load_balancer_listener_statistics (
            listener_id VARCHAR(36) PRIMARY KEY, load_balancer_id VARCHAR(36) NOT NULL, run VARCHAR(64) NOT NULL,
            past TEXT NOT NULL, present TEXT NOT NULL);
        CREATE INDEX load_balancer_listener_statistics_by_balancer
            ON load_balancer_listener_statistics (load_balancer_id)
        """
    ]
}
