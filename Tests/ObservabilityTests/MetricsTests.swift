// SPDX-License-Identifier: Apache-2.0
import Observability
import Testing

struct MetricsTests {
    @Test("The exposition is Prometheus's text format, sorted")
    func exposition() {
        let metrics = Metrics()
        metrics.gauge("apus_open", "Open\nthings.", ["who": "a\"b\\c"]).set(1.5)
        metrics.counter("apus_hits_total", "Hits.", ["room": "image"]).add(3)
        metrics.counter("apus_hits_total", "Hits.", ["room": "compute"]).add()
        metrics.gauge("apus_read", "Read when asked.") { 7 }
        let histogram = metrics.histogram("apus_wait_seconds", "Waits.", buckets: [0.5, 1], ["room": "image"])
        for value in [0.25, 0.5, 0.75, 8] { histogram.observe(value) }
        #expect(
            String(decoding: metrics.exposition(), as: UTF8.self) == #"""
                # HELP apus_hits_total Hits.
                # TYPE apus_hits_total counter
                apus_hits_total{room="compute"} 1
                apus_hits_total{room="image"} 3
                # HELP apus_open Open\nthings.
                # TYPE apus_open gauge
                apus_open{who="a\"b\\c"} 1.5
                # HELP apus_read Read when asked.
                # TYPE apus_read gauge
                apus_read 7
                # HELP apus_wait_seconds Waits.
                # TYPE apus_wait_seconds histogram
                apus_wait_seconds_bucket{room="image",le="0.5"} 2
                apus_wait_seconds_bucket{room="image",le="1"} 3
                apus_wait_seconds_bucket{room="image",le="+Inf"} 4
                apus_wait_seconds_sum{room="image"} 9.5
                apus_wait_seconds_count{room="image"} 4

                """#)
    }

    @Test("Asking twice for a metric gives the same one")
    func same() {
        let metrics = Metrics()
        #expect(metrics.counter("a_total", "A.", ["x": "1"]) === metrics.counter("a_total", "A.", ["x": "1"]))
        #expect(metrics.counter("a_total", "A.", ["x": "1"]) !== metrics.counter("a_total", "A.", ["x": "2"]))
    }

    @Test("Nothing is lost when many count at once")
    func manyCount() async {
        let metrics = Metrics()
        let counter = metrics.counter("a_total", "A.")
        let gauge = metrics.gauge("g", "G.")
        let histogram = metrics.histogram("h", "H.", buckets: [1])
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<1000 {
                        counter.add()
                        gauge.add(2)
                        histogram.observe(.milliseconds(500))
                    }
                }
            }
        }
        #expect(counter.value == 8000)
        #expect(gauge.value == 16000)
        #expect(histogram.count == 8000 && histogram.sum == 4000)
    }
}
