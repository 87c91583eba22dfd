// SPDX-License-Identifier: Apache-2.0
package import Base
package import HTTP
package import JSON
package import SQL
internal import Synchronization

/// A changing call that was carried out or refused, for services that tell others of what happens in them.
package struct EndedCall: Sendable {
    package let request: Request
    package let method: String
    /// As the route has it: `/users/{user_id}`.
    package let path: String
    package let outcome: Result<HTTPResponse, Fault>
    /// What was noted of it while it was carried out.
    package let notes: CallNotes
}

/// A changing call that is about to be carried out.
package struct BegunCall: Sendable {
    package let request: Request
    package let method: String
    package let path: String
    package let notes = CallNotes()
}

/// What a watcher notes of a call while it is carried out.
package final class CallNotes: Sendable {
    private let noted = Mutex<JSON?>(nil)

    package var note: JSON? { noted.withLock { $0 } }
    package func write(_ note: JSON) { noted.withLock { $0 = note } }
}

/// A service that hears of each changing call made to it, once the answer is known and before it is sent: the one
/// place where audit events come from.
package protocol CallWatcher: Service {
    /// Whether a call by this method to this route is heard of; those that change something are.
    static func hears(_ method: String, _ path: String) -> Bool

    /// The database that the call is carried out on, when it is to tell the watcher of what its transactions change.
    func database(for call: BegunCall) -> Database?

    func ended(_ call: EndedCall) async
}

extension CallWatcher {
    package static func hears(_ method: String, _ path: String) -> Bool { method != "GET" && method != "HEAD" }

    package func database(for call: BegunCall) -> Database? { nil }
}
