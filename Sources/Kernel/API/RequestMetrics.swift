// SPDX-License-Identifier: Apache-2.0
internal import Base
internal import Observability
internal import Synchronization

/// How many requests each service answered, how, and how long they took.
final class RequestMetrics: Sendable {
    private struct Key: Hashable { let service: String, method: String, status: Int }

    private let metrics: Metrics
    private let counters = Mutex<[Key: Counter]>([:])
    private let seconds = Mutex<[String: Histogram]>([:])

    init(_ metrics: Metrics) { self.metrics = metrics }

    func observe(_ service: String, _ method: String, _ status: Int, _ duration: Duration) {
        let key = Key(service: service, method: method, status: status)
        let counter = counters.withLock { counters in
            if let known = counters[key] { return known }
            let made = metrics.counter(
                "apus_http_requests_total", "Requests answered.",
                ["service": service, "method": method, "status": "\(status)"])
            counters[key] = made
            return made
        }
        counter.add()
        let histogram = seconds.withLock { seconds in
            if let known = seconds[service] { return known }
            let made = metrics.histogram(
                "apus_http_request_seconds", "Time to answer.", ["service": service])
            seconds[service] = made
            return made
        }
        histogram.observe(duration.asSeconds)
    }
}
