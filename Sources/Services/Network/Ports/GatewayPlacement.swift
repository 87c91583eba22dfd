// SPDX-License-Identifier: Apache-2.0

/// A back end that can tell which hosts carry a router's way out.
package protocol GatewayPlacement: Sendable {
    /// The hosts that stand by for a gateway's port, by their ids; the one that carries it while all are well first.
    func gatewayHosts(of portID: String) async -> [String]
}
