// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What the shared port answers beside the services: the list of them, and the figures for Prometheus.
enum Pages {
    static func all(_ metrics: Metrics, _ log: Log) -> [(prefix: String, handler: HTTPHandler)] {
        [
            (
                "/metrics",
                { _ in
                    HTTPResponse(
                        status: 200, headers: [("Content-Type", "text/plain; version=0.0.4")],
                        body: .bytes(metrics.exposition()))
                }
            ),
            (
                "/health",
                { _ in
                    HTTPResponse(
                        status: 200, headers: [("Content-Type", "text/plain")], body: .bytes(Array("ok\n".utf8)))
                }
            ),
        ]
    }
}
