// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// The signal that arrived, handed from its thread to the waiting task.
final class Caught: Sendable {
    private let value = Atomic<Int32>(0)

    func set(_ number: Int32) { value.store(number, ordering: .releasing) }
    var number: Int32 { value.load(ordering: .acquiring) }
}
