// SPDX-License-Identifier: Apache-2.0
package import Base
package import HTTP

/// A changing call that was carried out or refused, for services that tell others of what happens in them.
package struct EndedCall: Sendable {
    package let request: Request
    package let method: String
    /// As the route has it: `/users/{user_id}`.
    package let path: String
    package let outcome: Result<HTTPResponse, Fault>
}

/// A service that hears of each changing call made to it, once the answer is known and before it is sent: the one
/// place where audit events come from.
package protocol CallWatcher: Service {
    /// Whether a call by this method to this route is heard of; those that change something are.
    static func hears(_ method: String, _ path: String) -> Bool

    func ended(_ call: EndedCall) async
}

extension CallWatcher {
    package static func hears(_ method: String, _ path: String) -> Bool { method != "GET" && method != "HEAD" }
}
