// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// A noun without upstream's standard attributes: no description, tags, times or revisions of its own.
package protocol PlainNoun: Noun {}

extension PlainNoun {
    package var description: String {
        get { "" }
        set {}
    }
    package var tags: [String] {
        get { [] }
        set {}
    }
    package var createdAt: Timestamp { Timestamp(microseconds: 0) }
    package var updatedAt: Timestamp {
        get { createdAt }
        set {}
    }
    package var revisionNumber: Int {
        get { 0 }
        set {}
    }
}
