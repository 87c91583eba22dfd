// SPDX-License-Identifier: Apache-2.0
internal import Compute
internal import Kernel

/// Disks that live elsewhere, as a domain has them.
extension GuestVolume {
    /// By this the domain itself says which volume each of its disks is.
    var alias: String { "ua-" + volumeID }

    /// - Parameter target: the name and the bus the domain gives the disk.
    func write(to xml: inout XMLWriter, target: (target: String, bus: String)) {
        xml.element("disk", ["type": connection.kind, "device": kind ?? "disk"]) { xml in
            xml.element(
                "driver",
                ["name": "qemu", "type": connection.format, "cache": connection.cache, "discard": "unmap"])
            if let user = connection.user {
                xml.element("auth", ["username": user.name]) { xml in
                    xml.element(
                        "secret",
                        ["type": user.type, "uuid": user.secret, "usage": user.secret == nil ? secretUsage : nil])
                }
            }
            connection.write(to: &xml, key: encryption == nil ? nil : volumeID)
            xml.element("target", ["dev": target.target, "bus": target.bus])
            if isShared { xml.element("shareable") }
            xml.element("serial", text: volumeID)
            xml.element("alias", ["name": alias])
        }
    }
}

extension VolumeConnection {
    fileprivate var kind: String {
        switch self {
        case .file: "file"
        case .block: "block"
        case .nbd, .nbdSocket, .rbd, .iscsi: "network"
        }
    }

    fileprivate var format: String {
        if case .file(_, let format) = self { format } else { "raw" }
    }

    /// What the host shares with others must not stay in its cache; RBD has one of its own that knows of flushes.
    fileprivate var cache: String {
        switch self {
        case .rbd: "writeback"
        case .file: "writethrough"
        default: "none"
        }
    }

    /// Who logs in, where a secret of libvirt's holds the password.
    fileprivate var user: (name: String, type: String, secret: String?)? {
        switch self {
        case .rbd(_, _, let user?, let secret?): (user, "ceph", secret)
        case .iscsi(_, _, _, let user?, _?): (user, "iscsi", nil)
        default: nil
        }
    }

    /// - Parameter key: the secret that it is decrypted with, by id.
    fileprivate func write(to xml: inout XMLWriter, key: String?) {
        guard !hosts.isEmpty || key != nil else { return xml.element("source", place) }
        xml.element("source", place) { xml in
            for host in hosts { xml.element("host", host) }
            if let key { xml.encryption(key) }
        }
    }

    private var place: KeyValuePairs<String, String?> {
        switch self {
        case .file(let path, _): ["file": path]
        case .block(let path): ["dev": path]
        case .nbd(_, _, let export), .nbdSocket(_, let export): ["protocol": "nbd", "name": export]
        case .rbd(let name, _, _, _): ["protocol": "rbd", "name": name]
        case .iscsi(let target, let lun, _, _, _): ["protocol": "iscsi", "name": "\(target)/\(lun)"]
        }
    }

    private var hosts: [KeyValuePairs<String, String?>] {
        switch self {
        case .file, .block: []
        case .nbd(let host, let port, _): [["name": host, "port": "\(port)"]]
        case .nbdSocket(let path, _): [["transport": "unix", "socket": path]]
        case .rbd(_, let monitors, _, _): monitors.map { ["name": $0.host, "port": "\($0.port)"] }
        case .iscsi(_, _, let portal, _, _): [["name": portal.host, "port": "\(portal.port)"]]
        }
    }
}

extension DiskNames {
    /// Names beside those that a domain's disks have.
    init(beside domain: XMLElement, machine: String, properties: [String: String]) {
        self.init(machine: machine, properties: properties)
        taken = Set((domain["devices"]?.all("disk") ?? []).compactMap { $0["target"]?.attributes["dev"] })
    }
}

extension XMLElement {
    /// The disk of a domain that is a volume.
    func disk(of volume: String) -> XMLElement? {
        self["devices"]?.all("disk").first { $0["serial"]?.text == volume }
    }
}
