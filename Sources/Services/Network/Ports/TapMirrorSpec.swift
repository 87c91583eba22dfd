// SPDX-License-Identifier: Apache-2.0

/// What copies of a port's traffic are sent elsewhere, in a tunnel.
package struct TapMirrorSpec: TopologySpec {
    package static let kind = TopologyKind("tapMirror")
    package enum Tunnel: String, Sendable, Hashable { case gre, erspan }

    package var id: String
    /// It is never changed once it is there.
    package var generation: Int { 0 }
    package var portID: String
    /// The tunnel's number for each way that is copied.
    package var tunnels: [TrafficDirection: Int]
    package var remote: IPAddress
    package var type: Tunnel

    package init(id: String, portID: String, tunnels: [TrafficDirection: Int], remote: IPAddress, type: Tunnel) {
        self.id = id
        self.portID = portID
        self.tunnels = tunnels
        self.remote = remote
        self.type = type
    }
}
