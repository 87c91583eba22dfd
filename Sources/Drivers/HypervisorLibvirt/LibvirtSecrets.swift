// SPDX-License-Identifier: Apache-2.0
internal import CLibvirt
internal import Compute
internal import Kernel

/// A secret that libvirt holds for a guest, apart from the guest's description. Nobody reads it from there.
struct GuestSecret: Sendable {
    /// What libvirt finds a secret by.
    enum Use: String {
        case iscsi, volume, vtpm

        /// The element that names what it is used for.
        var element: String {
            switch self {
            case .iscsi: "target"
            case .volume: "volume"
            case .vtpm: "name"
            }
        }

        var code: Int32 {
            let kind =
                switch self {
                case .iscsi: VIR_SECRET_USAGE_TYPE_ISCSI
                case .volume: VIR_SECRET_USAGE_TYPE_VOLUME
                case .vtpm: VIR_SECRET_USAGE_TYPE_VTPM
                }
            return Int32(kind.rawValue)
        }
    }

    let use: Use
    let name: String
    /// As guests' descriptions name it; nil leaves it to libvirt.
    var id: String?
    /// Whether it outlives the daemon, on the host's disk.
    var isKept = false

    fileprivate var description: String {
        var xml = XMLWriter()
        xml.element("secret", ["ephemeral": isKept ? "no" : "yes", "private": "yes"]) { xml in
            if let id { xml.element("uuid", text: id) }
            xml.element("usage", ["type": use.rawValue]) { $0.element(use.element, text: name) }
        }
        return xml.text
    }
}

extension LibvirtHypervisor {
    /// Gives libvirt a secret; asking again changes nothing.
    func keep(_ secret: GuestSecret, _ bytes: [UInt8]) async throws(Fault) {
        try await session.call { connection throws(Fault) in
            let known = virSecretLookupByUsage(connection, secret.use.code, secret.name)
            guard let held = known ?? virSecretDefineXML(connection, secret.description, 0) else {
                throw LibvirtError.last("keep the secret of \(secret.name)")
            }
            defer { virSecretFree(held) }
            guard virSecretSetValue(held, bytes, bytes.count, 0) == 0 else {
                throw LibvirtError.last("keep the secret of \(secret.name)")
            }
        }
    }

    /// Has libvirt forget a secret, if it knows it.
    func forget(_ secret: GuestSecret) async throws(Fault) {
        try await session.call { connection throws(Fault) in
            guard let held = virSecretLookupByUsage(connection, secret.use.code, secret.name) else { return }
            defer { virSecretFree(held) }
            virSecretUndefine(held)
        }
    }
}

// MARK: - Passwords of volumes

extension LibvirtHypervisor {
    /// Gives libvirt the passwords that volumes are reached with.
    func secure(_ volumes: [GuestVolume]) async throws(Fault) {
        for volume in volumes {
            if volume.encryption != nil { try await unlock([volume.volumeID]) }
            guard let password = volume.connection.password else { continue }
            try await keep(.password(of: volume.volumeID), Array(password.utf8))
        }
    }
}

extension GuestSecret {
    static func password(of volume: String) -> GuestSecret {
        GuestSecret(use: .iscsi, name: GuestVolume.secretUsage(volume), isKept: true)
    }
}

extension XMLElement {
    /// The volumes of a domain that are reached with a password of their own.
    var securedVolumes: [String] {
        (self["devices"]?.all("disk") ?? []).filter { $0["auth", "secret"]?.attributes["type"] == "iscsi" }
            .compactMap { $0["serial"]?.text }
    }
}

extension XMLElement {
    /// The volumes of a domain that are encrypted.
    var encryptedVolumes: [String] {
        (self["devices"]?.all("disk") ?? []).compactMap { disk in
            guard let volume = disk["serial"]?.text,
                (disk["source", "encryption"] ?? disk["encryption"])?["secret"]?.attributes["uuid"] == volume
            else { return nil }
            return volume
        }
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
