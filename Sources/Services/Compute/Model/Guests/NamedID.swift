// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// Ids that follow from a name: the same at any time, in any process.
enum NamedID {
    static func of(_ name: String) -> String {
        let digest = Digest(.sha256)
        digest.update(Array(name.utf8))
        var bytes = Array(digest.finish().prefix(16))
        bytes[6] = bytes[6] & 0x0F | 0x50
        bytes[8] = bytes[8] & 0x0F | 0x80
        return Hex.uuid(bytes)
    }
}
