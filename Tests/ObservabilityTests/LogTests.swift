// SPDX-License-Identifier: Apache-2.0
import Base
import Glibc
import JSON
import Observability
import Synchronization
import Testing

/// A clock that stands still.
private struct Frozen: WallClock {
    func now() -> Timestamp { Timestamp("2026-11-21T10:04:05.123456Z")! }
    func sleep(_ duration: Duration) async throws(CancellationError) {}
}

struct LogTests {
    @Test("A record is one JSON object per line, with its fields after time, level and message")
    func line() throws {
        let log = Log(sink: .memory, level: .debug, clock: Frozen())
        log.info("server \"a\"\nbooted", ["server_id": "s1", "attempt": 2, "host": String?.none])
        #expect(
            log.lines == [
                #"{"time":"2026-11-21T10:04:05.123456Z","level":"info","message":"server \"a\"\nbooted","#
                    + #""server_id":"s1","attempt":2,"host":null}"#
            ])
        #expect(try JSON.parse(log.lines[0])["attempt"] == 2)
    }

    @Test("A child adds its fields to every line and shares the sink")
    func child() {
        let log = Log(sink: .memory, level: .debug, clock: Frozen())
        let child = log.with(["request_id": "req-1"]).with(["user_id": "u"])
        child.warning("slow", ["seconds": 1.5])
        #expect(log.lines.count == 1)
        #expect(log.lines[0].hasSuffix(#""message":"slow","request_id":"req-1","user_id":"u","seconds":1.5}"#))
    }

    @Test("A level that is off builds neither message nor fields")
    func off() {
        let log = Log(sink: .memory, level: .warning, clock: Frozen())
        func never() -> String {
            Issue.record("built although the level is off")
            return ""
        }
        log.info(never(), ["field": never()])
        log.debug(never())
        Log.silent.error(never())
        #expect(log.lines.isEmpty)
    }

    @Test("For people a line has time, level, message and fields, and stays one line")
    func plain() {
        let log = Log(sink: .memory, level: .debug, clock: Frozen(), format: .plain)
        log.with(["request_id": "req-1"]).error("bad\nthing\u{1B}[2J", ["path": "/v3", "why": "no space"])
        #expect(log.lines == [#"10:04:05.123 error   bad\nthing\x1b[2J request_id=req-1 path=/v3 why="no space""#])
    }

    @Test("An error is in the file when the call returns, the rest after a flush")
    func file() throws {
        let path = "/tmp/apus-log-\(RandomIdentifiers().hex()).log"
        defer { unlink(path) }
        let log = Log(sink: .file(path), level: .info, clock: Frozen())
        log.info("first")
        log.error("second")
        #expect(contents(path).split(separator: "\n").count == 2)
        log.info("third")
        log.flush()
        #expect(contents(path).split(separator: "\n").count == 3)
        unlink(path)
        log.reopen()
        log.info("fourth")
        log.flush()
        #expect(contents(path).contains("fourth") && !contents(path).contains("third"))
    }

    @Test("What waits is written when the last log goes away")
    func lastWords() throws {
        let path = "/tmp/apus-log-\(RandomIdentifiers().hex()).log"
        defer { unlink(path) }
        do {
            let log = Log(sink: .file(path), level: .info, clock: Frozen())
            log.info("farewell")
        }
        #expect(contents(path).contains("farewell"))
    }

    @Test("Lines of many speakers come whole")
    func manySpeakers() async throws {
        let path = "/tmp/apus-log-\(RandomIdentifiers().hex()).log"
        defer { unlink(path) }
        let log = Log(sink: .file(path), level: .info, clock: Frozen())
        await withTaskGroup(of: Void.self) { group in
            for speaker in 0..<8 {
                group.addTask {
                    for number in 0..<1000 { log.info("said", ["speaker": speaker, "number": number]) }
                }
            }
        }
        log.flush()
        let lines = contents(path).split(separator: "\n")
        #expect(lines.count == 8000)
        for line in lines { #expect(throws: Never.self) { try JSON.parse(String(line)) } }
    }

    private func contents(_ path: String) -> String {
        let file = open(path, O_RDONLY)
        guard file >= 0 else { return "" }
        defer { close(file) }
        var all: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while case let got = read(file, &chunk, chunk.count), got > 0 { all += chunk[0..<got] }
        return String(decoding: all, as: UTF8.self)
    }
}
