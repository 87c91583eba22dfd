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
            connection.write(to: &xml)
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

    fileprivate func write(to xml: inout XMLWriter) {
        switch self {
        case .file(let path, _): xml.element("source", ["file": path])
        case .block(let path): xml.element("source", ["dev": path])
        case .nbd(let host, let port, let export):
            xml.element("source", ["protocol": "nbd", "name": export]) {
                $0.element("host", ["name": host, "port": "\(port)"])
            }
        case .nbdSocket(let path, let export):
            xml.element("source", ["protocol": "nbd", "name": export]) {
                $0.element("host", ["transport": "unix", "socket": path])
            }
        case .rbd(let name, let monitors, _, _):
            xml.element("source", ["protocol": "rbd", "name": name]) { xml in
                for monitor in monitors { xml.element("host", ["name": monitor.host, "port": "\(monitor.port)"]) }
            }
        case .iscsi(let target, let lun, let portal, _, _):
            xml.element("source", ["protocol": "iscsi", "name": "\(target)/\(lun)"]) {
                $0.element("host", ["name": portal.host, "port": "\(portal.port)"])
            }
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
