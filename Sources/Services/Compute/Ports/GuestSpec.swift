// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// All that a hypervisor must know to make a guest. A value that fits into a row: an agent can boot from it alone.
package struct GuestSpec: Sendable, Hashable, Codable {
    /// The server's UUID, which is the domain's as well.
    package var server: String
    /// `instance-0000002a`: unique on a host, kept for the server's life.
    package var instanceName: String
    /// The server's display name.
    package var title: String
    package var vcpus: Int
    package var memoryMiB: Int
    /// 0 takes the image's size.
    package var rootDiskGiB: Int
    package var ephemeralGiB = 0
    package var swapMiB = 0
    /// Sizes in GiB where there is to be more than one ephemeral disk; together they are `ephemeralGiB`.
    package var ephemeralDisks: [Int] = []
    /// The volumes the guest starts with, the one it boots from first.
    package var volumes: [GuestVolume] = []
    /// Whether the first volume is the root disk; then there is no local one.
    package var isVolumeBacked = false
    package var nics: [GuestNIC] = []
    package var configDrive: ConfigDrive?
    /// The image's properties (`hw_disk_bus`, `hw_vif_model`, ...); those that no driver knows are harmless.
    package var properties: [String: String] = [:]
    /// The flavor's extra specs (`hw:...`, `quota:...`), as they were when the server got its flavor.
    package var extraSpecs: [String: String] = [:]
    /// Where the guest's NUMA cells and processors are on the host; nil when it has no topology of its own.
    package var numa: GuestNUMA?
    /// Devices of the host that the guest has for itself.
    package var hostDevices: [HostDevice] = []
    /// The secrets that local disks are encrypted with, by id, under the disks' names: `root`, `ephemeral0`, `swap`,
    /// `rescue`. Empty of a guest whose disks are plain.
    package var diskKeys: [String: String] = [:]
    /// The secret that the state of its trusted module is encrypted with, by id; nil of one without a module, and of
    /// one whose state was made before there were such secrets.
    package var moduleKey: String?
    package var origin = GuestOrigin()

    package init(
        server: String, instanceName: String, title: String, vcpus: Int, memoryMiB: Int, rootDiskGiB: Int
    ) {
        self.server = server
        self.instanceName = instanceName
        self.title = title
        self.vcpus = vcpus
        self.memoryMiB = memoryMiB
        self.rootDiskGiB = rootDiskGiB
    }

    /// Nova's default `instance_name_template` over a number that counts servers.
    package static func instanceName(_ number: Int) -> String {
        let digits = String(number, radix: 16)
        return "instance-" + String(repeating: "0", count: max(0, 8 - digits.count)) + digits
    }
}

/// Whose guest it is and from what it was made: shown in the domain's metadata, needed by nothing.
package struct GuestOrigin: Sendable, Hashable, Codable {
    package var flavorName = ""
    package var flavorID = ""
    package var userID = ""
    package var userName = ""
    package var projectID = ""
    package var projectName = ""
    package var imageID = ""
    package var createdAt: Timestamp?

    package init() {}
}

/// A guest's end of a port.
package struct GuestNIC: Sendable, Hashable, Codable {
    package var portID: String
    package var mac: String
    package var mtu: Int
    /// Fixed addresses, for the record only: the network hands them out.
    package var addresses: [String]
    /// The device on the host, named as Neutron names it so that an operator finds it.
    package var tap: String
    package var kind = Kind.tap
    /// How many queues the card has; the tap must be made for as many.
    package var queues = 1
    /// The function of a network card that the port is, and the VLAN that it is put into.
    package var hostDevice: HostDevice?
    package var vlan: Int?

    /// What is behind the card: Open vSwitch, or a card of the host (Neutron's vnic types `direct`, `macvtap` and
    /// `direct-physical`).
    package enum Kind: String, Sendable, Hashable, Codable { case tap, direct, macvtap, whole }

    package init(portID: String, mac: String, mtu: Int, addresses: [String] = []) {
        self.portID = portID
        self.mac = mac
        self.mtu = mtu
        self.addresses = addresses
        tap = "tap" + portID.prefix(11)
    }
}

/// The files of a config drive by their path (`openstack/latest/meta_data.json`); the driver makes the medium.
package struct ConfigDrive: Sendable, Hashable, Codable {
    package var files: [String: [UInt8]]
    /// A FAT file system on a disk instead of an ISO 9660 one in a drive.
    package var isVFAT = false

    package init(files: [String: [UInt8]]) { self.files = files }

    private enum Keys: String, CodingKey { case files, isVFAT }

    /// Stored as hexadecimal text: user data need not be text itself.
    package init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Keys.self)
        isVFAT = try container.decode(Bool.self, forKey: .isVFAT)
        files = try container.decode([String: String].self, forKey: .files).mapValues { text in
            guard let bytes = Hex.decode(text) else {
                throw DecodingError.dataCorruptedError(
                    forKey: .files, in: container, debugDescription: "not hexadecimal")
            }
            return bytes
        }
    }
    package func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Keys.self)
        try container.encode(isVFAT, forKey: .isVFAT)
        try container.encode(files.mapValues { Hex.encode($0) }, forKey: .files)
    }
}

/// Where a root disk comes from. Hosts keep what they fetched: `fetch` runs once per image and host, however many boot.
package struct ImageSource: Sendable {
    package enum Format: String, Sendable, Codable {
        case raw, qcow2, vmdk, vdi, vhd, vhdx, iso
    }
    package let id: String
    /// The image's `os_hash_value` or `checksum`: two images under one id (after a reactivation) are told apart by it.
    package let checksum: String
    package let format: Format
    /// The size in bytes that a complete download has, when it is known.
    package let size: Int?
    /// The secret that the bytes are encrypted with (LUKS in qcow2), by id.
    package var key: String?
    /// Writes the image's bytes to a file that does not exist yet.
    package let fetch: @Sendable (_ path: String) async throws(Fault) -> Void
    /// Reads all bytes and throws when they are not as they were signed, for hosts that keep none: `fetch` does the
    /// same on its way. Nil when nobody asks for it.
    package var prove: (@Sendable () async throws(Fault) -> Void)?

    package init(
        id: String, checksum: String, format: Format, size: Int? = nil,
        fetch: @escaping @Sendable (_ path: String) async throws(Fault) -> Void
    ) {
        self.id = id
        self.checksum = checksum
        self.format = format
        self.size = size
        self.fetch = fetch
    }
}
