// SPDX-License-Identifier: Apache-2.0
package import Base

/// What a receipt says: which methods a user has proved so far, where one is not enough. In Keystone's own form.
package struct Receipt: Sendable, Equatable {
    package let userID: String
    package let methods: [String]
    package let expiresAt: Timestamp

    package init(userID: String, methods: [String], expiresAt: Timestamp) {
        self.userID = userID
        self.methods = methods
        self.expiresAt = expiresAt
    }

    package func bytes(methods known: [String]) -> [UInt8] {
        var out = MessagePackWriter()
        out.array(3)
        out.identifier(userID)
        out.integer(known.enumerated().reduce(0) { methods.contains($1.element) ? $0 | 1 << $1.offset : $0 })
        out.double(Double(expiresAt.microseconds) / 1_000_000)
        return out.bytes
    }

    package init(_ bytes: [UInt8], methods known: [String]) throws(Fault) {
        var reader = MessagePackReader(bytes)
        guard reader.array() == 3, let userID = try reader.identifier(), let mask = reader.integer(),
            let expires = reader.double(), abs(expires) < 1e12, reader.atEnd
        else { throw .unauthorized("Could not recognize Fernet receipt") }
        self.userID = userID
        methods = known.enumerated().reversed().filter { mask & 1 << $0.offset != 0 }.map(\.element)
        expiresAt = Timestamp(microseconds: Int64((expires * 1_000_000).rounded(.toNearestOrEven)))
    }
}
