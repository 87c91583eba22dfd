// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// The way to a service's public API: into its router in the same process, or over HTTP.
package protocol Transport: Sendable {
    /// Sends a request in the name of a caller; the answer's body is complete.
    func send(_ service: String, _ request: HTTPRequest, as caller: Caller, requestID: String) async -> HTTPResponse
}

/// The way inside one process: the request value goes straight to the other room's router, policy included.
package struct InProcess: Transport {
    private let front: @Sendable () -> Front?

    /// - Parameter front: the cloud's front, asked for at each call because rooms and front are made together.
    package init(_ front: @escaping @Sendable () -> Front?) { self.front = front }

    package func send(
        _ service: String, _ request: HTTPRequest, as caller: Caller, requestID: String
    ) async -> HTTPResponse {
        guard let front = front() else {
            return HTTPResponse(status: 503, body: .bytes(Array("the cloud is not open yet".utf8)))
        }
        var request = request
        request.trusted = TrustedCaller(caller, requestID: requestID)
        return await front.call(service, request)
    }
}

/// A service's API as another room uses it: JSON in, JSON out, faults as faults.
package struct ServiceClient: Sendable {
    package let type: String
    private let transport: any Transport
    private let base: String
    private let caller: Caller
    private let version: String?

    /// - Parameters:
    ///   - base: what stands before each path: `/v2.0`.
    ///   - version: the microversion spoken, as in `OpenStack-API-Version: compute 2.1`.
    package init(
        _ type: String, base: String, version: String? = nil, over transport: any Transport, as caller: Caller
    ) {
        self.type = type
        self.base = base
        self.version = version
        self.transport = transport
        self.caller = caller
    }

    /// Calls and answers the body; a status of 400 or more is thrown as a fault with the service's own message.
    /// - Parameter prefers: what the service may do otherwise for us, as RFC 7240 has it.
    @discardableResult
    package func call(
        _ method: String, _ path: String, query: [(String, String)] = [], body: JSON? = nil,
        type content: String = "application/json", prefers: String? = nil, requestID: String
    ) async throws(Fault) -> JSON {
        let response = await raw(
            method, path, query: query, body: body, type: content, prefers: prefers, requestID: requestID)
        let bytes = try await ServiceClient.collect(response)
        guard response.status < 400 else {
            throw Fault(response.status, "\(type): \(ServiceClient.message(bytes) ?? "status \(response.status)")")
        }
        guard !bytes.isEmpty else { return .null }
        do {
            return try JSON.parse(bytes, limits: .trusted)
        } catch {
            throw .internalError("\(type) answered \(method) \(path) with something that is not JSON: \(error.message)")
        }
    }

    /// Calls and answers the response as it is, whatever its status.
    package func raw(
        _ method: String, _ path: String, query: [(String, String)] = [], body: JSON? = nil,
        type content: String = "application/json", prefers: String? = nil, requestID: String
    ) async -> HTTPResponse {
        var headers = HTTPHeaders()
        if let prefers { headers.add("Prefer", prefers) }
        if let version { headers.add("OpenStack-API-Version", version) }
        if body != nil { headers.add("Content-Type", content) }
        return await send(
            method, path, query: query, headers, body.map { HTTPBody(bytes: $0.bytes()) } ?? .empty,
            requestID: requestID)
    }

    func send(
        _ method: String, _ path: String, query: [(String, String)] = [], _ headers: HTTPHeaders, _ body: HTTPBody,
        requestID: String
    ) async -> HTTPResponse {
        let text = query.map { Percent.encode($0.0) + "=" + Percent.encode($0.1) }.joined(separator: "&")
        let request = HTTPRequest(method: method, path: base + path, query: text, headers: headers, body: body)
        return await transport.send(type, request, as: caller, requestID: requestID)
    }

    package static func collect(_ response: HTTPResponse) async throws(Fault) -> [UInt8] {
        switch response.body {
        case .empty: return []
        case .bytes(let bytes): return bytes
        default: throw .internalError("a streamed answer where a document was expected")
        }
    }

    /// The sentence in any of the services' fault envelopes.
    package static func message(_ bytes: [UInt8]) -> String? {
        guard let document = try? JSON.parse(bytes, limits: .trusted), let object = document.object else { return nil }
        if let text = document["message"]?.string { return text }
        if let errors = document["errors"]?.array, let text = errors.first?["detail"]?.string { return text }
        for (_, value) in object {
            if let text = value["message"]?.string { return text }
        }
        return nil
    }
}
