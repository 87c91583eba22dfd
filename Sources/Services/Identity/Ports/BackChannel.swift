// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// How Identity asks an identity provider something itself, past the browser.
package protocol BackChannel: Sendable {
    /// The answer whatever its status; 503 or 504 when there is none.
    func ask(
        _ method: String, _ url: String, headers: [(String, String)], body: [UInt8]
    ) async throws(Fault) -> BackChannelReply
}

package struct BackChannelReply: Sendable {
    package let status: Int
    package let body: [UInt8]

    package init(status: Int, body: [UInt8]) {
        self.status = status
        self.body = body
    }
}

/// The same over HTTP. Redirects are not followed, and answers are short.
package struct HTTPBackChannel: BackChannel {
    private let client: HTTPClient

    package init(_ client: HTTPClient) { self.client = client }

    package func ask(
        _ method: String, _ url: String, headers: [(String, String)], body: [UInt8]
    ) async throws(Fault) -> BackChannelReply {
        let reply = try await client.send(
            method, url, headers: headers, body: body, timeout: .seconds(10), limit: 1 << 20)
        return BackChannelReply(status: reply.status, body: reply.body)
    }
}

/// An identity provider that is a function.
package struct FakeBackChannel: BackChannel {
    package typealias Answer =
        @Sendable (
            _ method: String, _ url: String, _ headers: [(String, String)], _ body: String
        ) async -> BackChannelReply

    private let answer: Answer

    package init(_ answer: @escaping Answer) { self.answer = answer }

    package func ask(
        _ method: String, _ url: String, headers: [(String, String)], body: [UInt8]
    ) async throws(Fault) -> BackChannelReply {
        await answer(method, url, headers, String(decoding: body, as: UTF8.self))
    }
}
