// SPDX-License-Identifier: Apache-2.0
internal import Synchronization

/// A value that many read and now and then somebody replaces as a whole. Readers keep what they got: they wait for
/// nobody's work, only for the moment in which the reference itself is taken or put.
package final class Published<Value: AnyObject & Sendable>: Sendable {
    private let place = Mutex<Value?>(nil)

    package init() {}

    package var value: Value? { place.withLock { $0 } }

    /// Puts a value in place of the present one, unless that is to be preferred.
    package func offer(_ value: Value, unless isBetter: (Value) -> Bool) {
        place.withLock { present in
            if let present, isBetter(present) { return }
            present = value
        }
    }
}
