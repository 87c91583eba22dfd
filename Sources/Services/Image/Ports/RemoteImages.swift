// SPDX-License-Identifier: Apache-2.0
package import Kernel
internal import Synchronization

/// Bytes on other servers, for imports.
package protocol RemoteImages: Sendable {
    /// Opens what is at an address, to be read while it arrives. A redirect is followed where `allows` lets it, and
    /// refused (400) where not. Addresses that must not be reached are refused when the connection is made, whatever a
    /// name meant a moment before.
    func open(
        _ url: String, headers: [(String, String)], allows: @escaping @Sendable (String) -> Bool
    ) async throws(Fault) -> HTTPBody
}

/// Servers that are made up.
package final class FakeRemoteImages: RemoteImages {
    package enum Page: Sendable {
        case bytes([UInt8])
        case redirect(String)
        case fault(Fault)
        /// A first portion, and then nothing until the reader gives up.
        case stalled([UInt8])
    }

    private let pages = Mutex<[String: Page]>([:])
    private let asked = Mutex<[(String, [String])]>([])

    package init() {}

    package func put(_ url: String, _ page: Page) { pages.withLock { $0[url] = page } }

    /// What was asked for, with the names of the headers.
    package var requests: [(url: String, headers: [String])] { asked.withLock { $0.map { ($0.0, $0.1) } } }

    package func open(
        _ url: String, headers: [(String, String)], allows: @escaping @Sendable (String) -> Bool
    ) async throws(Fault) -> HTTPBody {
        asked.withLock { $0.append((url, headers.map(\.0))) }
        switch pages.withLock({ $0[url] }) {
        case nil: throw .unavailable("GET \(url): Could not resolve hostname.")
        case .bytes(let bytes): return HTTPBody(bytes: bytes)
        case .fault(let fault): throw fault
        case .stalled(let bytes): return HTTPBody(contentLength: nil, source: Stall(bytes))
        case .redirect(let next):
            guard allows(next) else { throw .redirectRefused(next) }
            return try await open(next, headers: headers, allows: allows)
        }
    }
}

/// Some bytes, and then none until the task is cancelled.
private final class Stall: BodySource {
    private let first: Mutex<[UInt8]?>

    init(_ bytes: [UInt8]) { first = Mutex(bytes) }

    func read() async throws(Fault) -> [UInt8]? {
        let bytes = first.withLock { first in
            defer { first = nil }
            return first
        }
        if let bytes { return bytes }
        while !Task.isCancelled { await Task.yield() }
        throw .timeout("The request was given up.")
    }
}

extension Fault {
    package static func redirectRefused(_ url: String) -> Fault { .badRequest("Redirect to disallowed URL: \(url)") }
}
