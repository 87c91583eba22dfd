// SPDX-License-Identifier: Apache-2.0
import Kernel

/// What is being done to a part of a balancer.
package enum ProvisioningStatus: String, Codable, Sendable, SQLBindable {
    case active = "ACTIVE", pendingCreate = "PENDING_CREATE", pendingUpdate = "PENDING_UPDATE"
    case pendingDelete = "PENDING_DELETE", error = "ERROR"
}

/// What a part of a balancer is found to be like.
package enum OperatingStatus: String, Codable, Sendable, SQLBindable {
    case online = "ONLINE", draining = "DRAINING", offline = "OFFLINE", degraded = "DEGRADED", error = "ERROR"
    case noMonitor = "NO_MONITOR"
}

package enum ListenerProtocol: String, Codable, Sendable, CaseIterable, SQLBindable {
    case tcp = "TCP", https = "HTTPS", http = "HTTP", terminated = "TERMINATED_HTTPS", udp = "UDP", sctp = "SCTP"
    case prometheus = "PROMETHEUS"

    /// What travels below it; two listeners of one kind cannot share a port.
    package enum Transport: String, Sendable { case tcp = "TCP", udp = "UDP", sctp = "SCTP" }
    package var transport: Transport {
        switch self {
        case .udp: .udp
        case .sctp: .sctp
        default: .tcp
        }
    }

    package var pools: [PoolProtocol] {
        switch self {
        case .tcp: [.http, .https, .proxy, .proxy2, .tcp]
        case .http, .terminated: [.http, .proxy, .proxy2]
        case .https: [.https, .proxy, .proxy2, .tcp]
        case .udp: [.udp]
        case .sctp: [.sctp]
        case .prometheus: []
        }
    }
}

package enum PoolProtocol: String, Codable, Sendable, CaseIterable, SQLBindable {
    case tcp = "TCP", http = "HTTP", https = "HTTPS", proxy = "PROXY", proxy2 = "PROXYV2", udp = "UDP", sctp = "SCTP"

    package var isDatagram: Bool { self == .udp || self == .sctp }
}

package enum BalancingAlgorithm: String, Codable, Sendable, CaseIterable, SQLBindable {
    case leastConnections = "LEAST_CONNECTIONS", roundRobin = "ROUND_ROBIN", sourceIP = "SOURCE_IP"
    case sourceIPPort = "SOURCE_IP_PORT"
}

package enum PersistenceKind: String, Codable, Sendable, CaseIterable {
    case sourceIP = "SOURCE_IP", httpCookie = "HTTP_COOKIE", appCookie = "APP_COOKIE"
}

package enum MonitorKind: String, Codable, Sendable, CaseIterable, SQLBindable {
    case http = "HTTP", https = "HTTPS", ping = "PING", tcp = "TCP", tlsHello = "TLS-HELLO"
    case udpConnect = "UDP-CONNECT", sctp = "SCTP"

    var isWeb: Bool { self == .http || self == .https }
}

package enum HTTPMethod: String, Codable, Sendable, CaseIterable {
    case get = "GET", head = "HEAD", post = "POST", put = "PUT", delete = "DELETE", trace = "TRACE"
    case options = "OPTIONS", connect = "CONNECT", patch = "PATCH"
}

package enum PolicyAction: String, Codable, Sendable, CaseIterable, SQLBindable {
    case reject = "REJECT", redirectToURL = "REDIRECT_TO_URL", redirectToPool = "REDIRECT_TO_POOL"
    case redirectPrefix = "REDIRECT_PREFIX"
}

package enum RuleKind: String, Codable, Sendable, CaseIterable, SQLBindable {
    case hostName = "HOST_NAME", path = "PATH", fileType = "FILE_TYPE", header = "HEADER", cookie = "COOKIE"
    case hasCertificate = "SSL_CONN_HAS_CERT", verifyResult = "SSL_VERIFY_RESULT", nameField = "SSL_DN_FIELD"
}

package enum RuleComparison: String, Codable, Sendable, CaseIterable, SQLBindable {
    case regex = "REGEX", startsWith = "STARTS_WITH", endsWith = "ENDS_WITH", contains = "CONTAINS"
    case equalTo = "EQUAL_TO"
}

package enum ClientAuthentication: String, Codable, Sendable, CaseIterable, SQLBindable {
    case none = "NONE", optional = "OPTIONAL", mandatory = "MANDATORY"
}

extension Timestamp {
    /// As Octavia writes them: whole seconds, no zone.
    var octavia: String { String(iso8601.dropLast()) }
}
