// SPDX-License-Identifier: Apache-2.0
package import Base

extension Fault {
    private static let cancellation = "OperationCancelled"

    /// Work that somebody wanted to end. Its code says so, whatever its words are, and is stored with the operation.
    package static func cancelled(_ message: String) -> Fault { .conflict(message, code: cancellation) }

    /// Whether somebody wanted the work to end; it is not that anything would not go.
    package var isCancellation: Bool { code == Fault.cancellation }
}
