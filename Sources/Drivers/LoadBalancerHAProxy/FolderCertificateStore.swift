// SPDX-License-Identifier: Apache-2.0
package import Kernel
package import LoadBalancer

/// Certificates as PEM files in a folder, until there is a key manager: a reference means the file that is called like
/// its last part, `NAME.pem`. A certificate's file holds it, its chain and its key.
package struct FolderCertificateStore: CertificateStore {
    private let folder: String

    package init(folder: String) { self.folder = folder }

    package func certificate(_ reference: String, project: String) async throws(Fault) -> CertificateBundle? {
        guard let text = read(reference) else { return nil }
        let blocks = PEM.blocks(text)
        let certificates = blocks.filter { $0.kind == "CERTIFICATE" }.map(\.text)
        guard let first = certificates.first, let key = blocks.first(where: { $0.kind.hasSuffix("PRIVATE KEY") }) else {
            return nil
        }
        return CertificateBundle(
            certificate: first, chain: certificates.dropFirst().joined(separator: "\n"), key: key.text)
    }

    package func secret(_ reference: String, project: String) async throws(Fault) -> String? { read(reference) }

    private func read(_ reference: String) -> String? {
        guard let name = reference.split(separator: "/").last, !name.hasPrefix("."), !name.contains("\0") else {
            return nil
        }
        return FileSystem.text("\(folder)/\(name).pem") ?? FileSystem.text("\(folder)/\(name)")
    }
}

/// The blocks of a PEM file (RFC 7468).
enum PEM {
    static func blocks(_ text: String) -> [(kind: String, text: String)] {
        var blocks: [(kind: String, text: String)] = []
        var open: (kind: String, lines: [Substring])?
        for line in text.split(separator: "\n") {
            if line.hasPrefix("-----BEGIN "), line.hasSuffix("-----") {
                open = (String(line.dropFirst(11).dropLast(5)), [line])
            } else if line.hasPrefix("-----END "), let block = open {
                blocks.append((block.kind, (block.lines + [line]).joined(separator: "\n")))
                open = nil
            } else {
                open?.lines.append(line)
            }
        }
        return blocks
    }
}
