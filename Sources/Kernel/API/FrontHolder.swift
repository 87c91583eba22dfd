// SPDX-License-Identifier: Apache-2.0
internal import Synchronization

/// The knot between rooms, which call each other through the front, and the front, which is made of rooms.
package final class FrontHolder: Sendable {
    private let held = Mutex<Front?>(nil)

    package init() {}
    package var front: Front? { held.withLock { $0 } }
    package func set(_ front: Front?) { held.withLock { $0 = front } }
}
