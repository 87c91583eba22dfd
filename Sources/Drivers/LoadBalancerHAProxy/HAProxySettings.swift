// SPDX-License-Identifier: Apache-2.0
package import Kernel
internal import LoadBalancer

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
    /// What UDP-CONNECT monitors run.
    var datagramScript: String { "/run/\(prefix)-udp" }

    /// The script that a monitor runs, when it is not HAProxy's own kind.
    func script(_ monitor: MonitorSpec?) -> String? {
        switch monitor?.kind {
        case .ping: pingScript
        case .udpConnect: datagramScript
        default: nil
        }
    }

    /// The scripts' texts. Arguments: address and port of the proxy, address and port of the member.
    var scripts: [String: String] {
        [
            pingScript: "#!/bin/sh\nexec ping -q -n -c 1 -W 5 \"$3\" > /dev/null 2>&1\n",
            // Whoever refuses or is not there is down; silence is health, as it is to upstream's script.
            // The kernel tells a socket of a refusal, but not that nobody answers for the address.
            datagramScript: """
            #!/bin/bash
            exec 2> /dev/null 3<> "/dev/udp/$3/$4" && printf X >&3 || exit 1
            read -r -t 0.8 -n 1 -u 3
            [ $? != 1 ] || exit 1
            case $(ip neigh show to "$3") in *INCOMPLETE* | *FAILED*) exit 1 ;; esac

            """,
        ]
    }

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
    /// The rules of datagrams, and who was down when they were written.
    var datagrams: String { folder + "/datagrams.nft" }
    var down: String { folder + "/down" }
}
