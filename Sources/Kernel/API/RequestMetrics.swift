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
                labels: ["service": service, "method": method, "status": "\(status)"])
            counters[key] = made
            return made
        }
        counter.increment()
        let histogram = seconds.withLock { seconds in
            if let known = seconds[service] { return known }
            let made = metrics.histogram(
                "apus_http_request_seconds", "Time to answer.",
                buckets: [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5], labels: ["service": service])
            seconds[service] = made
            return made
        }
        histogram.observe(duration.asSeconds)
    }
}
