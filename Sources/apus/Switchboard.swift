// SPDX-License-Identifier: Apache-2.0
import Compute
import Kernel
import Synchronization

/// Which part of the cloud answers a connection, by the listener it came through. The server is there before the rooms
/// are, so what it asks is plugged in later.
final class Switchboard: Sendable {
    struct Parts: Sendable {
        let front: Front
        let metadata: MetadataService
        let console: HTTPHandler
    }

    private let parts = Mutex<Parts?>(nil)

    var front: Front? { parts.withLock { $0?.front } }

    func connect(_ parts: Parts) { self.parts.withLock { $0 = parts } }

    func answer(_ http: HTTPRequest) async -> HTTPResponse {
        guard let parts = parts.withLock({ $0 }) else {
            return HTTPResponse(
                status: 503, headers: [("Retry-After", "1"), ("Content-Type", "text/plain")],
                body: .bytes(Array("The cloud is starting.\n".utf8)))
        }
        if http.tag == "console" { return await parts.console(http) }
        if http.tag == MetadataDoors.proxyTag { return await parts.metadata.handle(http, network: nil) }
        if http.tag.hasPrefix(MetadataDoors.tag) {
            return await parts.metadata.handle(http, network: String(http.tag.dropFirst(MetadataDoors.tag.count)))
        }
        return await parts.front.handle(http)
    }
}
