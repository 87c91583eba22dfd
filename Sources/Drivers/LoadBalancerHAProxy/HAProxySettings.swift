// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Where balancers run and what they are plugged into.
package struct HAProxySettings: Sendable, Hashable {
    /// A folder per balancer is made in it.
    package var folder: String
    /// What their namespaces' names begin with.
    package var prefix: String
    /// The namespace that the integration bridge is in.
    package var chassis: NetworkNamespace
    /// Open vSwitch's database: `unix:/path/db.sock`.
    package var switchDatabase: String
    package var connectionsMax = 50_000
    /// What PING monitors run. HAProxy runs it as nobody, who may not enter a cloud's own folder.
    var pingScript: String { "/run/\(prefix)-ping" }

    package init(folder: String, prefix: String, chassis: NetworkNamespace, switchDatabase: String) {
        self.folder = folder
        self.prefix = prefix
        self.chassis = chassis
        self.switchDatabase = switchDatabase
    }
}

/// The files of one balancer.
struct BalancerFiles: Sendable {
    let folder: String
    /// Unix sockets' names are short; the folder's own is not, so it holds only the beginning of the id.
    init(_ settings: HAProxySettings, _ id: String) { folder = "\(settings.folder)/\(id.prefix(13))" }

    var configuration: String { folder + "/haproxy.cfg" }
    var pid: String { folder + "/pid" }
    var socket: String { folder + "/s" }
    var owner: String { folder + "/balancer" }
    var log: String { folder + "/haproxy.log" }
    var certificates: String { folder + "/certs" }
}
