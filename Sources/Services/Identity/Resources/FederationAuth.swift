// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Coming in from an identity provider.
enum FederationAuth: Resource {
    static let routes: [Route] = []
}

extension Token {
    /// The methods as tokens show them: somebody from a provider came by its protocol.
    var methods: [String] {
        guard let federation = payload.federation else { return payload.methods }
        return payload.methods.map { $0 == "mapped" ? federation.protocolID : $0 }
    }
}

extension TokenPayload.Federation {
    func write(_ view: inout View) {
        view.nest("OS-FEDERATION") {
            $0.list("groups", groupIDs) { $0.put("id", $1) }
            $0.nest("identity_provider") { $0.put("id", identityProvider) }
            $0.nest("protocol") { $0.put("id", protocolID) }
        }
    }
}
