// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// Where the image cache keeps its bytes: a store on this machine, whose drafts are read while they grow.
package protocol ImageCacheMedium: ImageStore {
    /// As `create`, with a draft that others may read along.
    func begin(_ name: String, size: Int?) async throws(Fault) -> any GrowingDraft

    /// The locations of all that is whole there.
    func contents() async throws(Fault) -> [String]
}

/// A draft that can be read while bytes are appended, and after its end as long as somebody holds it.
package protocol GrowingDraft: ImageDraft {
    /// What was appended so far; fewer bytes than asked for at the end of it.
    func written(at offset: Int, count: Int) async throws(Fault) -> [UInt8]
}
