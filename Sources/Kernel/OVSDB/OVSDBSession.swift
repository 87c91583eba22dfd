// SPDX-License-Identifier: Apache-2.0
import Base
import CLinux
import Glibc
import JSON
import Observability
import Synchronization

/// The thread's own side of a client: the socket, what is half read and half written, and the handshake.
struct OVSDBSession {
    private let core: OVSDBCore
    private var stream: OVSDBStream?
    private var splitter = OVSDBSplitter()
    private var outgoing: [UInt8] = []
    private var written = 0
    private var schema: OVSDBSchema?
    private var isLive = false
    private var lastTransaction = OVSDBSession.never
    private var lastHeard: UInt64 = 0
    private var isProbing = false
    private var attempt = 0

    private static let never = "00000000-0000-0000-0000-000000000000"
    /// A silent server is asked for a sign of life after this long, and given up after twice as long.
    private static let silence: UInt64 = 10_000_000_000

    init(_ core: OVSDBCore) { self.core = core }

    private var isStopped: Bool { core.state.withLock { $0.phase == .stopped } }

    mutating func serve() {
        // OpenSSL writes without MSG_NOSIGNAL: a server that is gone must be an error here, not the end of the process.
        var broken = sigset_t()
        sigemptyset(&broken)
        sigaddset(&broken, SIGPIPE)
        pthread_sigmask(SIG_BLOCK, &broken, nil)
        while !isStopped {
            let endpoint = core.endpoints[attempt % core.endpoints.count]
            do throws(Fault) {
                stream = try OVSDBStream(endpoint)
                begin()
                try converse()
            } catch {
                lose(error, endpoint)
            }
            // 50 ms at first, doubling up to 3.2 s: private engines start in a fraction of a second.
            if !isStopped { linger(milliseconds: 50 << min(attempt, 6)) }
            attempt += 1
        }
        stream?.close()
    }

    /// Waits, answering those whose time ends meanwhile.
    private func linger(milliseconds: Int) {
        let end = Deadline.after(.milliseconds(milliseconds))
        while !end.isPast, !isStopped {
            core.judgeWaiters()
            core.expireRequests()
            var wake = pollfd(fd: core.wake, events: Int16(POLLIN), revents: 0)
            _ = poll(&wake, 1, patience(until: end))
            drainWake()
        }
    }

    private func drainWake() {
        var count: UInt64 = 0
        _ = read(core.wake, &count, 8)
    }

    private func patience(until end: Deadline) -> Int32 {
        let next = min(end, core.nextDeadline ?? end)
        let now = Stopwatch.nanoseconds()
        return next.nanoseconds <= now ? 0 : Int32(min(60_000, (next.nanoseconds - now) / 1_000_000 + 1))
    }

    private mutating func lose(_ fault: Fault, _ endpoint: OVSDBEndpoint) {
        stream?.close()
        stream = nil
        let wasLive = isLive
        isLive = false
        let broken = core.state.withLock { state in
            state.trouble = fault.message
            if state.phase != .stopped { state.phase = .connecting }
            let broken = state.requests.filter { $0.value.isSent }
            for id in broken.keys { state.requests[id] = nil }
            return broken.values
        }
        for request in broken {
            request.continuation.resume(
                returning: .failure(
                    .unavailable(
                        "The connection to \(endpoint) was lost while a transaction was under way: \(fault.message)")))
        }
        if wasLive || attempt == 0 { core.log.warning(fault.message) }
        if wasLive { attempt = 0 }
    }
}

// MARK: - Conversation

extension OVSDBSession {
    private mutating func begin() {
        splitter = OVSDBSplitter()
        outgoing = []
        written = 0
        isProbing = false
        lastHeard = Stopwatch.nanoseconds()
        send(["method": "get_schema", "id": "schema", "params": [.string(core.database)]])
    }

    private mutating func converse() throws(Fault) {
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while !isStopped {
            if isLive { queueRequests() }
            try flush()
            core.judgeWaiters()
            core.expireRequests()
            try probe()
            let wanted = written < outgoing.count ? POLLIN | POLLOUT : POLLIN
            var sources = [
                pollfd(fd: stream?.socket ?? -1, events: Int16(wanted), revents: 0),
                pollfd(fd: core.wake, events: Int16(POLLIN), revents: 0),
            ]
            let limit = Deadline(nanoseconds: lastHeard + (isProbing ? 2 : 1) * OVSDBSession.silence)
            _ = poll(&sources, 2, patience(until: limit))
            if sources[1].revents != 0 { drainWake() }
            if sources[0].revents & ~Int16(POLLOUT) != 0 { try receive(&buffer) }
        }
    }

    private mutating func probe() throws(Fault) {
        let silent = Stopwatch.nanoseconds() - lastHeard
        if silent >= 2 * OVSDBSession.silence {
            throw .unavailable("The OVSDB server has been silent for 20 seconds.")
        }
        guard silent >= OVSDBSession.silence, !isProbing else { return }
        isProbing = true
        send(["method": "echo", "id": "echo", "params": []])
        try flush()
    }

    private mutating func receive(_ buffer: inout [UInt8]) throws(Fault) {
        while true {
            guard case .bytes(let got) = try stream?.read(into: &buffer) else { return }
            lastHeard = Stopwatch.nanoseconds()
            isProbing = false
            splitter.feed(buffer[0..<got])
            while let message = splitter.next() { try take(message) }
            guard !splitter.isBroken else { throw .unavailable("The OVSDB server sent what is not JSON.") }
        }
    }

    private mutating func send(_ message: JSON) {
        outgoing += message.bytes()
    }

    private mutating func queueRequests() {
        let messages = core.state.withLock { state in
            var messages: [[UInt8]] = []
            for (id, request) in state.requests.filter({ !$0.value.isSent }).sorted(by: { $0.key < $1.key }) {
                state.requests[id]?.isSent = true
                messages.append(request.message)
            }
            return messages
        }
        for message in messages { outgoing += message }
    }

    private mutating func flush() throws(Fault) {
        while written < outgoing.count {
            let result = outgoing.withUnsafeBytes { bytes -> Result<OVSDBStream.Outcome?, Fault> in
                do throws(Fault) {
                    return .success(try stream?.write(UnsafeRawBufferPointer(rebasing: bytes[written...])))
                } catch { return .failure(error) }
            }
            guard case .bytes(let sent) = try result.get() else { return }
            written += sent
        }
        outgoing.removeAll(keepingCapacity: true)
        written = 0
    }
}

// MARK: - Messages

extension OVSDBSession {
    private mutating func take(_ bytes: ArraySlice<UInt8>) throws(Fault) {
        let message: JSON
        do throws(JSONError) {
            message = try JSON.parse(bytes, limits: .trusted)
        } catch { throw .unavailable("The OVSDB server sent what is not JSON: \(error.message)") }
        switch message["method"]?.string {
        case "echo": send(["id": message["id"] ?? .null, "result": message["params"] ?? [], "error": nil])
        case "update3": try update(message["params"])
        case nil: try reply(message)
        default: break
        }
    }

    private mutating func reply(_ message: JSON) throws(Fault) {
        switch message["id"] {
        case .string("schema"):
            guard let result = message["result"], let tables = result["tables"] else {
                throw .unavailable("The OVSDB server has no database '\(core.database)'.")
            }
            if let missing = core.monitors.first(where: { tables[$0.table] == nil }) {
                throw .unavailable("The database '\(core.database)' has no table '\(missing.table)'.")
            }
            schema = OVSDBSchema(result)
            if core.monitors.isEmpty { becomeLive() } else { send(monitorRequest) }
        case .string("monitor"): try fill(message)
        case .integer(let id):
            let request = core.state.withLock { $0.requests.removeValue(forKey: Int(id)) }
            request?.continuation.resume(returning: OVSDBSession.outcome(message))
        default: break
        }
    }

    private var monitorRequest: JSON {
        var tables = JSONObject()
        for monitor in core.monitors {
            var wish = JSONObject()
            if let columns = monitor.columns { wish["columns"] = .array(columns.map { .string($0) }) }
            if !monitor.conditions.isEmpty {
                var writer = JSONWriter()
                writer.beginObject()
                OVSDBOperation.write(monitor.conditions, &writer)
                writer.endObject()
                wish["where"] = (try? JSON.parse(writer.finish()))?["where"]
            }
            tables[monitor.table] = .array([.object(wish)])
        }
        let params: JSON = [.string(core.database), "apus", .object(tables), .string(lastTransaction)]
        return ["method": "monitor_cond_since", "id": "monitor", "params": params]
    }

    private var columns: [String: [String]?] {
        Dictionary(core.monitors.map { ($0.table, $0.columns) }) { first, _ in first }
    }

    /// The answer to the monitor request: what happened since the last transaction we know, or everything.
    private mutating func fill(_ message: JSON) throws(Fault) {
        guard let schema, let result = message["result"]?.array, result.count == 3, let isKnown = result[0].bool else {
            throw .unavailable("The OVSDB server refused to be monitored: \(message["error"] ?? .null)")
        }
        let before = core.state.withLock { $0.replica }
        var replica = isKnown ? before : OVSDBReplica(indexing: core.monitors)
        guard let changes = replica.apply(result[2], schema, columns) else { throw broken() }
        lastTransaction = result[1].string ?? OVSDBSession.never
        core.state.withLock { $0.replica = replica }
        core.announce(isKnown ? changes : replica.changes(since: before))
        becomeLive()
    }

    private mutating func becomeLive() {
        isLive = true
        attempt = 0
        core.state.withLock { if $0.phase == .connecting { $0.phase = .live } }
        core.log.info("Connected to an OVSDB server.", ["database": core.database])
    }

    private mutating func update(_ params: JSON?) throws(Fault) {
        guard let schema, let params = params?.array, params.count == 3 else { throw broken() }
        let columns = columns
        // In place, under the lock: pure work, and nobody sees half of a transaction.
        let applied = core.state.withLock { $0.replica.apply(params[2], schema, columns) }
        guard let applied else { throw broken() }
        lastTransaction = params[1].string ?? OVSDBSession.never
        core.announce(applied)
    }

    /// Forgets where we were, so that the next connection starts from a whole copy.
    private mutating func broken() -> Fault {
        lastTransaction = OVSDBSession.never
        return .unavailable("The OVSDB server sent an update that does not fit its schema.")
    }

    private static func outcome(_ message: JSON) -> Result<[OVSDBResult], Fault> {
        guard let results = message["result"]?.array else {
            return .failure(.internalError("The OVSDB server refused a request: \(message["error"] ?? .null)"))
        }
        for (place, result) in results.enumerated() {
            guard let error = result["error"]?.string else { continue }
            let details = result["details"]?.string ?? ""
            let text = "OVSDB transaction failed at operation \(place): \(error): \(details)"
            switch error {
            case "constraint violation", "timed out", "referential integrity violation", "aborted":
                return .failure(.conflict(text, code: "ovsdb.\(error)"))
            case "not leader", "resources exhausted", "I/O error":
                return .failure(.unavailable(text, code: "ovsdb.\(error)"))
            default: return .failure(Fault(500, code: "ovsdb.\(error)", text))
            }
        }
        return .success(results.map { OVSDBResult($0) })
    }
}
