// SPDX-License-Identifier: Apache-2.0

/// Why a text is not JSON that we accept: a sentence fit for a 400 answer, and the byte where it went wrong.
package struct JSONError: Error, Sendable, Equatable, CustomStringConvertible {
    /// "The document is not valid JSON: a comma or '}' was expected at byte 17."
    package let message: String
    package let offset: Int

    package init(message: String, offset: Int) {
        self.message = message
        self.offset = offset
    }

    init(_ reason: String, at offset: Int) {
        self.init(message: "The document is not valid JSON: \(reason) at byte \(offset).", offset: offset)
    }

    package var description: String { message }
}

/// How much a document may ask of us.
package struct JSONLimits: Sendable {
    /// What a second member of the same name means: a mistake of the caller, or a new value for the first.
    package enum DuplicateKeys: Sendable { case refuse, keepLast }

    package var bytes: Int
    package var depth: Int
    package var duplicateKeys: DuplicateKeys

    package init(bytes: Int = 1 << 20, depth: Int = 64, duplicateKeys: DuplicateKeys = .refuse) {
        self.bytes = bytes
        self.depth = depth
        self.duplicateKeys = duplicateKeys
    }

    /// For bodies that anybody may send.
    package static let request = JSONLimits()
    /// For what we or our own engines wrote.
    package static let trusted = JSONLimits(bytes: 256 << 20, depth: 512, duplicateKeys: .keepLast)
}
