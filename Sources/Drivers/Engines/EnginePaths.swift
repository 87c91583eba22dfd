// SPDX-License-Identifier: Apache-2.0
package import Base

/// Where the engines of one cloud keep everything, and the names that tell its namespaces and links from another's.
package struct EnginePaths: Sendable, Hashable {
    /// The cloud's data directory, without symbolic links.
    package let root: String

    /// - Parameter create: make the directory if it is not there.
    package init(dataDirectory: String, create: Bool = true) throws(Fault) {
        guard dataDirectory.hasPrefix("/") else {
            throw .badRequest("The data directory must be an absolute path, not '\(dataDirectory)'.")
        }
        if create { try FileSystem.makeDirectory(dataDirectory, mode: 0o700) }
        let path = FileSystem.resolved(dataDirectory)
        // A unix socket's address holds 107 bytes, the longest name below the root about 40.
        guard path.utf8.count <= 64 else {
            throw .badRequest("The data directory's path is longer than 64 bytes, too long for unix sockets: \(path)")
        }
        root = path
    }

    /// Every namespace and link of this cloud begins with it: `apus-` and eight hexadecimal digits of the path.
    package var prefix: String { "apus-\(digest)" }
    /// FNV-1a of the path.
    package var digest: String {
        let hash = root.utf8.reduce(UInt32(2_166_136_261)) { ($0 ^ UInt32($1)) &* 16_777_619 }
        return Hex.encode((0..<4).reversed().map { UInt8(truncatingIfNeeded: hash >> (UInt32($0) * 8)) })
    }

    package var chassisNamespace: NetworkNamespace { NetworkNamespace(prefix) }
    package var externalNamespace: NetworkNamespace { NetworkNamespace("\(prefix)-ext") }

    package var northbound: String { "unix:\(ovn)/nb.sock" }
    package var southbound: String { "unix:\(ovn)/sb.sock" }
    package var switchDatabase: String { "unix:\(ovs)/db.sock" }
    /// Where br-int is managed.
    package var integrationControl: String { "unix:\(ovs)/br-int.mgmt" }
    package var libvirtSocket: String { "\(libvirt)/run/libvirt-sock" }
    package var libvirtURI: String { "qemu+unix:///system?socket=\(libvirtSocket)" }
    /// Where the libvirt daemon keeps what QEMU says, a file per guest.
    package var guestOutput: String { "\(libvirt)/varlog/qemu" }
    /// Where it keeps what guests' trusted modules have learnt.
    package var guestModules: String { "\(libvirt)/varlib/swtpm" }

    var ovn: String { "\(root)/ovn" }
    var ovs: String { "\(root)/ovs" }
    var libvirt: String { "\(root)/libvirt" }
    var lock: String { "\(root)/engines.lock" }
    var kvmVerdict: String { "\(root)/kvm" }
    var borrowedLink: String { "\(root)/borrowed-link" }
    var hostForwarding: String { "\(root)/host-forwarding" }

    /// The environment that points Open vSwitch's tools at this cloud's instance.
    package var switchEnvironment: [String: String] {
        ["OVS_RUNDIR": ovs, "OVS_DBDIR": ovs, "OVS_LOGDIR": ovs, "OVN_RUNDIR": ovs]
    }
}
