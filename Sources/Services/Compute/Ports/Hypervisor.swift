// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What Compute asks of a hypervisor. Every call may be repeated: a second one changes nothing. A call about a server
/// that the host does not have is `Fault.guestNotFound`, except for `destroy`, `unplug` and `state`, which find it
/// done.
package protocol Hypervisor: Sendable {
    /// What the host has and how much of it is in use, measured now.
    func resources() async throws(Fault) -> HostResources

    /// Makes the guest's disks and ports and starts it; without an image the root disk is empty.
    /// A guest that exists already is started if it is down, otherwise left alone.
    func boot(_ guest: GuestSpec, image: ImageSource?) async throws(Fault)

    /// Changes the power state; a guest that is there already stays as it is. A reboot is never skipped.
    func power(_ server: String, _ change: PowerChange) async throws(Fault)

    /// The guest's state, nil when the host does not have it.
    func state(of server: String) async throws(Fault) -> GuestState?

    /// All guests on the host, also those that somebody else made: a driver reports them and touches only its own.
    func guests() async throws(Fault) -> [String: GuestState]

    /// Stops the guest at once and leaves nothing of it: no disk, port, log or config drive.
    func destroy(_ server: String) async throws(Fault)

    /// The last lines of what the guest wrote to its serial console; all that is kept when nil.
    func consoleOutput(of server: String, lines: Int?) async throws(Fault) -> [UInt8]

    /// Where the guest's screen is served, as raw VNC.
    func display(of server: String) async throws(Fault) -> ConsoleEndpoint

    /// Adds a port to a guest, running or not.
    func plug(_ nic: GuestNIC, into server: String) async throws(Fault)

    /// Takes the port with this id from a guest, running or not.
    func unplug(port: String, from server: String) async throws(Fault)

    /// What happens to guests from now on, asked for or not, and sometimes in more steps than it was asked for (QEMU
    /// starts a guest paused and lets it go). Each call gives its own stream, which keeps the newest
    /// `GuestEvent.backlog` events: a reader that was slow asks for `guests()` again.
    func events() async -> AsyncStream<GuestEvent>
}

/// What connects a guest's port to the host's network.
package protocol NetworkPlug: Sendable {
    /// Makes the tap `nic.tap` and joins it to the integration bridge under the port's id.
    func plug(_ nic: GuestNIC) async throws(Fault)
    /// Takes it off the bridge and deletes it.
    func unplug(_ nic: GuestNIC) async throws(Fault)
}

/// A power state's change, named as the server action that asks for it.
package enum PowerChange: Sendable, Hashable, Codable {
    case start
    /// Switches off at once; who would have the guest shut itself down asks it before (`GuestShutdown`).
    case stop
    /// Of a guest that runs; it is not down although it was asked to be.
    case rebootSoft
    case rebootHard
    case pause, unpause
    /// Memory to disk and off; `resume` (or `start`) restores it.
    case suspend, resume
}

/// A guest's state under the numbers of Nova's `OS-EXT-STS:power_state`.
package enum GuestState: Int, Sendable, Hashable, Codable {
    case none = 0
    case running = 1
    case paused = 3
    case shutdown = 4
    case crashed = 6
    case suspended = 7
}

/// Something that happened to a guest, and the state it is in since.
package struct GuestEvent: Sendable, Hashable {
    package enum Kind: String, Sendable, Hashable {
        case started, stopped, paused, unpaused, suspended, resumed, rebooted, crashed, destroyed
        case portPlugged, portUnplugged, agentConnected, agentDisconnected
    }
    /// How many events a stream keeps for a reader that is slow.
    package static let backlog = 1024

    package let server: String
    package let kind: Kind
    package let state: GuestState

    package init(server: String, kind: Kind, state: GuestState) {
        self.server = server
        self.kind = kind
        self.state = state
    }
}

/// Where raw VNC is to be had; the console proxy speaks WebSocket to the browser and this to the guest.
package enum ConsoleEndpoint: Sendable, Hashable, Codable {
    case unix(path: String)
    case tcp(host: String, port: Int)
}

/// What a host offers and what of it is used, as Nova's hypervisor resource and Placement's inventories want it.
package struct HostResources: Sendable, Hashable, Codable {
    package var hostName: String
    /// `QEMU`, `fake`: what Nova shows as `hypervisor_type`.
    package var hypervisorType: String
    /// Nova's integer form: 7.2.22 is 7002022.
    package var hypervisorVersion: Int
    package var hostIP: String
    package var architecture: String
    package var cpu: CPU
    package var vcpus: Int
    package var memoryMiB: Int
    package var diskGiB: Int
    package var vcpusUsed = 0
    package var memoryUsedMiB = 0
    package var diskUsedGiB = 0
    package var diskAvailableGiB = 0
    package var guestsRunning = 0
    /// Seconds since the host started, for `uptime`; 0 when it is not known.
    package var uptimeSeconds = 0
    /// 1, 5 and 15 minutes' load.
    package var load: [Double] = []
    /// Parts with memory of their own; nil from a driver that does not tell.
    package var numaCells: [NUMACell]?
    /// Devices that guests may be given.
    package var pciDevices: [PCIDevice]?
    /// What mediated devices, parts of graphics cards, are made of; nil where nothing is set aside for that.
    package var mediatedSources: [MediatedSource]?
    /// How many processors are given to guests for themselves, and how many the others share; nil where nothing is set
    /// aside.
    package var ownCPUs: Int?
    package var sharedCPUs: Int?
    /// Measurements by name, for schedulers that weigh them.
    package var metrics: [String: Double]?
    /// Abilities by the names of Placement's standard traits.
    package var traits: [String]?

    /// The processor, as Nova's `cpu_info` tells it.
    package struct CPU: Sendable, Hashable, Codable {
        package var vendor: String
        package var model: String
        package var sockets: Int
        package var cores: Int
        package var threads: Int
        package var features: [String]

        package init(
            vendor: String, model: String, sockets: Int = 1, cores: Int, threads: Int = 1, features: [String] = []
        ) {
            self.vendor = vendor
            self.model = model
            self.sockets = sockets
            self.cores = cores
            self.threads = threads
            self.features = features
        }
    }

    package init(
        hostName: String, hypervisorType: String, hypervisorVersion: Int, hostIP: String,
        architecture: String = "x86_64", cpu: CPU, vcpus: Int, memoryMiB: Int, diskGiB: Int
    ) {
        self.hostName = hostName
        self.hypervisorType = hypervisorType
        self.hypervisorVersion = hypervisorVersion
        self.hostIP = hostIP
        self.architecture = architecture
        self.cpu = cpu
        self.vcpus = vcpus
        self.memoryMiB = memoryMiB
        self.diskGiB = diskGiB
        diskAvailableGiB = diskGiB
    }
}

extension Fault {
    package static func guestNotFound(_ server: String) -> Fault {
        .notFound("Instance \(server) could not be found.", code: "InstanceNotFound")
    }
    /// A domain that carries no mark of ours belongs to somebody else.
    package static func guestNotOurs(_ server: String) -> Fault {
        .conflict("Domain \(server) was not made by this service and is left alone.", code: "DomainNotOurs")
    }
    package static func diskShrinks(_ server: String) -> Fault {
        .badRequest("The root disk of instance \(server) cannot be made smaller.", code: "ResizeError")
    }
    package static func guestState(_ server: String, _ state: GuestState, _ wanted: String) -> Fault {
        .conflict("Cannot \(wanted) instance \(server) while it is \(state).", code: "InstanceInvalidState")
    }
}
