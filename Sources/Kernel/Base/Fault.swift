// SPDX-License-Identifier: Apache-2.0

/// The only error that leaves a handler, a step or a driver: an HTTP status, a machine name and a sentence for a
/// person. The envelope it is sent in (Nova's, Keystone's, ...) belongs to the service that answers.
package struct Fault: Error, Sendable, Equatable, CustomStringConvertible {
    /// The HTTP status that upstream answers in this case.
    package var status: Int
    /// The machine name: Neutron's exception type (`NetworkNotFound`), Placement's error code
    /// (`placement.concurrent_update`), Nova's fault key when it differs from the status's own. May be empty.
    package var code: String
    /// Names what was wrong and with which member, worded as upstream words it.
    package var message: String
    /// Extra response headers: `Allow`, `Retry-After`, `WWW-Authenticate`.
    package var headers: [String: String]

    package init(_ status: Int, code: String = "", _ message: String, headers: [String: String] = [:]) {
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers
    }

    package var description: String { code.isEmpty ? "\(status) \(message)" : "\(status) \(code): \(message)" }
}

extension Fault {
    package static func badRequest(_ message: String, code: String = "") -> Fault { Fault(400, code: code, message) }
    package static func unauthorized(_ message: String = "The request you have made requires authentication.") -> Fault
    {
        Fault(401, message, headers: ["WWW-Authenticate": "Keystone uri=\"/v3\""])
    }
    package static func forbidden(_ message: String, code: String = "") -> Fault { Fault(403, code: code, message) }
    package static func notFound(_ message: String, code: String = "") -> Fault { Fault(404, code: code, message) }
    package static func conflict(_ message: String, code: String = "") -> Fault { Fault(409, code: code, message) }
    package static func gone(_ message: String) -> Fault { Fault(410, message) }
    package static func tooLarge(_ message: String, code: String = "") -> Fault { Fault(413, code: code, message) }
    package static func unsupportedMedia(_ message: String) -> Fault { Fault(415, message) }
    package static func internalError(_ message: String) -> Fault { Fault(500, message) }
    package static func notImplemented(_ message: String) -> Fault { Fault(501, message) }
    package static func unavailable(_ message: String, code: String = "", retryAfter seconds: Int? = nil) -> Fault {
        Fault(503, code: code, message, headers: seconds.map { ["Retry-After": "\($0)"] } ?? [:])
    }
    package static func timeout(_ message: String) -> Fault { Fault(504, message) }
}

extension Fault {
    /// Any other error, as the 500 it amounts to; the text goes to the log, not to the caller.
    package init(_ error: any Error) {
        self = (error as? Fault) ?? .internalError("\(error)")
    }
}
