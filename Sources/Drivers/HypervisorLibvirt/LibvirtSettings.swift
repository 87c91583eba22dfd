// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// How guests' instructions are run.
package enum Accelerator: String, Sendable, Hashable {
    /// The processor's own virtualisation. That /dev/kvm exists does not prove that it works: probe before choosing it.
    case kvm
    /// QEMU's translator: everywhere, and slow.
    case tcg

    var domainType: String { self == .kvm ? "kvm" : "qemu" }
}

/// What the driver must be told about its host.
package struct LibvirtSettings: Sendable, Hashable {
    /// `qemu:///system`, or `qemu+unix:///system?socket=PATH` for a private daemon.
    package var uri: String
    /// Disks, images, logs and sockets live below it, on a path that the libvirt daemon sees as well.
    package var dataDirectory: String
    package var accelerator: Accelerator
    package var hostName: String
    package var hostIP = "127.0.0.1"
    package var architecture = "x86_64"
    /// Where the libvirt daemon keeps QEMU's own output, a file per guest, if that is ours to clean.
    package var outputDirectory: String?
    /// Where the libvirt daemon keeps the state of trusted modules, as it is seen from here.
    package var moduleDirectory = "/var/lib/libvirt/swtpm"
    /// A CPU model by name, or `host-model`, `host-passthrough`, `maximum`. Nil takes what suits the accelerator.
    package var cpuModel: String?
    /// With Open vSwitch's userspace datapath nobody fills in checksums that a guest leaves to its card: all offloads
    /// of the guest's card must be off then.
    package var userspaceDatapath = true
    /// Whether clients may open guests' serial lines, and whether guests have a SPICE screen beside VNC.
    package var hasSerialConsoles = false
    package var hasSPICE = false
    /// The address on which SPICE screens listen; nil makes them sockets.
    package var spiceListen: String?

    /// Whether guests change hosts over TLS, with certificates that QEMU has.
    package var migratesWithTLS = false
    /// Features of the processor to add or, with a minus, to take away.
    package var cpuFlags: [String] = []
    /// The machine type of guests whose image names none; nil takes what suits the architecture.
    package var machineType: String?
    /// The control group that guests' shares and quotas of processors are kept in, as libvirt names it.
    package var partition: String?
    /// Whether it is known that the daemon has no such groups.
    package var lacksProcessorGroups = false
    /// Of the host, those that guests without processors of their own may run on; nil is all of them.
    package var sharedCPUs: [Int]?
    /// Of the host, those that are given to guests for themselves.
    package var dedicatedCPUs: [Int]?
    /// Devices that are set aside for guests.
    package var devices = PCIScan([])
    /// Cards that guests get parts of.
    package var mediated = MediatedDevices()
    /// Whether the network tells of the taps that are plugged here.
    package var reportsPlugs = false
    /// Whether memory can be bound to nodes: a host of one node has nothing to choose.
    package var hasNUMA = true
    /// QEMU's memory for translated code; 0 leaves it to QEMU.
    package var translationCacheMiB = 32
    package var pciePorts = 8
    package var randomnessPath = "/dev/urandom"
    /// How often a guest's balloon tells of its memory, in seconds; 0 for no balloon.
    package var balloonPeriod = 10
    /// How disks are cached, by the kind of their source; what is not named takes what suits the file system.
    package var diskCacheModes: [String: String] = [:]
    /// Whether disks are laid over their image; otherwise each is a copy of it.
    package var usesOverlays = true
    /// Whether images are kept as raw bytes, which take more room and need no look at a table.
    package var forcesRawImages = false
    /// Whether a guest's freed blocks are given back.
    package var diskDiscard = "unmap"
    /// The most queues that a card may have.
    package var queuesMax = 8
    package var rxQueueSize: Int?
    package var txQueueSize: Int?

    var usualMachine: String { machineType ?? (architecture == "aarch64" ? "virt" : "pc") }

    package init(uri: String, dataDirectory: String, accelerator: Accelerator, hostName: String) {
        self.uri = uri
        self.dataDirectory = dataDirectory
        self.accelerator = accelerator
        self.hostName = hostName
    }
}

/// Where a guest's files are.
struct GuestFolder: Sendable, Hashable {
    let path: String
    let vncSocket: String
    let serialSocket: String
    let spiceSocket: String

    /// A server's id becomes part of paths, so nothing but a UUID is let through.
    init(of server: String, in dataDirectory: String) throws(Fault) {
        guard Hex.isUUID(server), server.utf8.count == 36 else { throw .badRequest("'\(server)' is not a UUID.") }
        path = "\(dataDirectory)/instances/\(server)"
        vncSocket = "\(dataDirectory)/vnc/\(server)"
        serialSocket = "\(dataDirectory)/serial/\(server)"
        spiceSocket = "\(dataDirectory)/spice/\(server)"
        // sun_path has 108 bytes with its NUL, and QEMU appends nothing.
        guard serialSocket.utf8.count < 108 else {
            throw .internalError("The data directory's path is too long for a socket in it: \(vncSocket)")
        }
    }

    var root: String { path + "/disk" }
    var ephemeral: String { ephemeral(0) }
    func ephemeral(_ number: Int) -> String { path + "/disk.eph\(number)" }
    var swap: String { path + "/disk.swap" }
    var installer: String { path + "/disk.iso" }
    var configDrive: String { path + "/disk.config" }
    /// The same on a disk instead of in a drive.
    var configDisk: String { path + "/disk.config.vfat" }
    var rescue: String { path + "/disk.rescue" }
    var rescueConfig: String { path + "/disk.config.rescue" }
    /// What the guest is started from, when that is not its disk.
    var kernel: String { path + "/kernel" }
    var ramdisk: String { path + "/ramdisk" }
    /// The parts of cards that the guest has.
    var mediated: String { path + "/mediated.json" }
    var consoleLog: String { path + "/console.log" }
}
