// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Programs that make other bytes of staged ones, beside them in the staging store. Each call may be repeated; what it
/// left half done is removed with its location.
package protocol ImageWorkshop: Sendable {
    /// Where bytes of a name will be.
    func location(_ name: String) -> String

    /// Makes an image of one format into one of another.
    func convert(
        _ source: String, from: String, to: String, into name: String
    ) async throws(Fault)

    /// Unpacks what is compressed: gzip, or a zip or LHA archive of one file. False when it is neither.
    /// - Parameter limit: the most bytes that may come out.
    func decompress(_ source: String, into name: String, limit: Int) async throws(Fault) -> Bool
}
