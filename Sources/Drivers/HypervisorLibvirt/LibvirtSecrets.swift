// SPDX-License-Identifier: Apache-2.0
internal import CLibvirt
internal import Compute
internal import Kernel

/// Passwords of volumes, which libvirt keeps apart from the guests' descriptions.
extension LibvirtHypervisor {
    /// Gives libvirt the passwords that volumes are reached with; asking again changes nothing.
    func secure(_ volumes: [GuestVolume]) async throws(Fault) {
        for volume in volumes {
            guard let password = volume.connection.password else { continue }
            let (usage, bytes) = (volume.secretUsage, Array(password.utf8))
            try await session.call { connection throws(Fault) in
                var xml = XMLWriter()
                xml.element("secret", ["ephemeral": "no", "private": "yes"]) { xml in
                    xml.element("usage", ["type": "iscsi"]) { $0.element("target", text: usage) }
                }
                let known = virSecretLookupByUsage(connection, Int32(VIR_SECRET_USAGE_TYPE_ISCSI.rawValue), usage)
                guard let secret = known ?? virSecretDefineXML(connection, xml.text, 0) else {
                    throw LibvirtError.last("keep the password of volume \(volume.volumeID)")
                }
                defer { virSecretFree(secret) }
                guard virSecretSetValue(secret, bytes, bytes.count, 0) == 0 else {
                    throw LibvirtError.last("keep the password of volume \(volume.volumeID)")
                }
            }
        }
    }

    /// Forgets a volume's password.
    func forgetSecret(of volume: String) async throws(Fault) {
        try await session.call { connection throws(Fault) in
            let usage = GuestVolume.secretUsage(volume)
            guard
                let secret = virSecretLookupByUsage(connection, Int32(VIR_SECRET_USAGE_TYPE_ISCSI.rawValue), usage)
            else { return }
            defer { virSecretFree(secret) }
            virSecretUndefine(secret)
        }
    }
}

extension XMLElement {
    /// The volumes of a domain that are reached with a password of their own.
    var securedVolumes: [String] {
        (self["devices"]?.all("disk") ?? []).filter { $0["auth", "secret"]?.attributes["type"] == "iscsi" }
            .compactMap { $0["serial"]?.text }
    }
}

extension GuestVolume {
    /// By this libvirt finds the password.
    var secretUsage: String { Self.secretUsage(volumeID) }

    static func secretUsage(_ volume: String) -> String { "apus-volume-" + volume }
}

extension VolumeConnection {
    var password: String? { if case .iscsi(_, _, _, _?, let password?) = self { password } else { nil } }
}
