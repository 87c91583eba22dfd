// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Somebody whom a proxy in front of this has checked and names in a header: what `REMOTE_USER` is to Keystone under
/// Apache. Only the proxies that the operator lists are believed, by the address that the connection comes from.
struct RemoteUser {
    let reference: NameReference

    /// Nil when nobody is named, or not by somebody who may.
    init?(_ request: Request) {
        let identity = request.identity.options
        let options = identity.tokens.external
        guard options.proxies.contains(request.http.peer) else { return nil }
        let names = request.http.headers.all(options.userHeader)
        // Two names are none: one of them may have come through from the client.
        guard names.count == 1, let name = names.first, !name.isEmpty else { return nil }
        let domain = options.domainHeader.flatMap { request.header($0) }.flatMap { $0.isEmpty ? nil : $0 }
        reference = .name(String(name), domain.map { .name($0) } ?? .id(identity.defaultDomainID))
    }
}
