// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What calls to other programs need of Identity: an address and a token.
package protocol IdentityDesk: Sendable {
    /// A token that is worth what the caller's own is, or the service's own for a room that acts for itself.
    func token(for caller: Caller) async throws(Fault) -> String
    /// A token of the account that a service has for itself.
    func token(ofService name: String) async throws(Fault) -> String
    /// Where the first of some types of service answers, as the catalog says it now.
    func address(of types: [String], interface: String, region: String?) async throws(Fault) -> String?
}

/// The way to services of this cloud that another program runs: over HTTP to where the catalog says they are, in the
/// caller's name, with the calling service's own token beside it. Everything else goes the way that it went.
package struct ServicesElsewhere: Transport {
    /// One service, as the room that calls it is told to find it.
    package struct Place: Sendable, Hashable {
        /// As the room calls it: `block-storage`.
        package var service: String
        /// What the catalog may call it.
        package var types: [String]
        package var interface = "public"
        package var region: String?
        /// Where it is, whatever the catalog says.
        package var address: String?
        /// What paths begin with there: `/v3`.
        package var base: String
        package var authorities: String?
        package var isInsecure = false
        package var patience = Duration.seconds(120)

        package init(service: String, types: [String], base: String) {
            self.service = service
            self.types = types
            self.base = base
        }
    }

    private static let answerMax = 64 << 20
    private let inside: any Transport
    private let desk: any IdentityDesk
    /// Who calls: the name of the service's own account.
    private let name: String
    private let places: [String: (place: Place, client: HTTPClient)]

    package init(_ places: [Place], as name: String, desk: any IdentityDesk, or inside: any Transport) {
        self.inside = inside
        self.desk = desk
        self.name = name
        var known: [String: (place: Place, client: HTTPClient)] = [:]
        for place in places {
            let client = HTTPClient(
                threads: 8, queue: 256, authorities: place.authorities, verifiesPeers: !place.isInsecure)
            known[place.service] = (place, client)
        }
        self.places = known
    }

    package func send(
        _ service: String, _ request: HTTPRequest, as caller: Caller, requestID: String
    ) async -> HTTPResponse {
        guard let (place, client) = places[service] else {
            return await inside.send(service, request, as: caller, requestID: requestID)
        }
        do throws(Fault) {
            guard let address = try await address(of: place, for: caller) else {
                return await inside.send(service, request, as: caller, requestID: requestID)
            }
            return try await call(place, client, address, request, caller, requestID)
        } catch {
            return HTTPResponse(
                status: error.status == 401 ? 403 : error.status,
                body: .bytes((["message": .string(error.message)] as JSON).bytes()))
        }
    }

    /// Without what stands for a project: none has to be named.
    private func address(of place: Place, for caller: Caller) async throws(Fault) -> String? {
        var found = place.address
        if found == nil {
            found = try await desk.address(of: place.types, interface: place.interface, region: place.region)
        }
        guard var address = found else { return nil }
        if let mark = address.firstIndex(where: { $0 == "$" || $0 == "%" }) { address = String(address[..<mark]) }
        if let project = caller.projectID, !project.isEmpty, address.hasSuffix(project) {
            address.removeLast(project.count)
        }
        if address.hasSuffix("AUTH_") { address.removeLast(5) }
        while address.hasSuffix("/") { address.removeLast() }
        if address.hasSuffix(place.base) { address.removeLast(place.base.count) }
        return address
    }

    private func call(
        _ place: Place, _ client: HTTPClient, _ address: String, _ request: HTTPRequest, _ caller: Caller,
        _ requestID: String
    ) async throws(Fault) -> HTTPResponse {
        let body = try await request.body.collect(limit: ServicesElsewhere.answerMax)
        var headers = request.headers.map { ($0.name, $0.value) }
        headers.append(("X-Auth-Token", try await desk.token(for: caller)))
        headers.append(("X-Service-Token", try await desk.token(ofService: name)))
        headers.append(("X-OpenStack-Request-ID", requestID))
        if request.headers["Accept"] == nil { headers.append(("Accept", "application/json")) }
        let reply = try await client.send(
            request.method, address + request.path + (request.query.isEmpty ? "" : "?" + request.query),
            headers: headers, body: body, timeout: place.patience, limit: ServicesElsewhere.answerMax)
        // What it thinks of our tokens is not about the client's; and one that is down is not one that is missing.
        guard reply.status == 401 || reply.status == 503 else {
            return HTTPResponse(status: reply.status, body: .bytes(reply.body))
        }
        throw .unavailable(
            "\(address) answered with \(reply.status): \(ServiceClient.message(reply.body) ?? "it gave no reason").")
    }
}
