// SPDX-License-Identifier: Apache-2.0
internal import Image
package import Kernel

/// Certificates as files that an operator trusts: `<uuid>.pem`, `.crt` or `.der` in one folder.
package final class FolderCertificates: Certificates {
    private let folder: String
    private let pool = BlockingPool(name: "certificates", threads: 1, queue: 256)

    package init(folder: String) { self.folder = folder }

    package func certificate(_ id: String) async throws(Fault) -> [UInt8] {
        guard Hex.isUUID(id) else { throw .noCertificate(id) }
        let folder = folder
        return try await pool.run { () throws(Fault) in
            for suffix in ["pem", "crt", "der"] {
                if let bytes = FileSystem.read("\(folder)/\(id).\(suffix)", limit: 1 << 20) { return bytes }
            }
            throw .noCertificate(id)
        }
    }
}
