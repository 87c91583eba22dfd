// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// What of guests an operator may tune, under nova.conf's names.
struct LibvirtTuning: Sendable {
    private let cpuFlags: [String]
    private let machines: [String]
    private let translationCacheMiB: Int
    private let pciePorts: Int
    private let randomnessPath: String
    private let balloonPeriod: Int
    private let cacheModes: [String]
    private let discard: String
    private let queuesMax: Int
    private let queueSizes: (rx: Int?, tx: Int?)
    private let usesOverlays: Bool
    private let forcesRaw: Bool

    private static let modes = ["none", "writethrough", "writeback", "directsync", "unsafe"]

    init(_ read: inout OptionReader) {
        read.section(LibvirtOptions.section)
        cpuFlags = read.list(
            "cpu_model_extra_flags", help: "Features of the processor that guests get, or with a minus do not get.")
        machines = read.list(
            "hw_machine_type", help: "The machine type by architecture, for images that name none: x86_64=q35.")
        translationCacheMiB = read.int(
            "tb_cache_size", default: 32, in: 0...Int(Int32.max),
            help: "QEMU's memory for translated code of a guest in MiB; 0 leaves it to QEMU.")
        pciePorts = read.int(
            "num_pcie_ports", default: 8, in: 0...28,
            help: "How many devices can be plugged into a running guest whose machine has PCI express.")
        randomnessPath = read.string("rng_dev_path", default: "/dev/urandom", help: "Where guests' randomness is from.")
        balloonPeriod = read.int(
            "mem_stats_period_seconds", default: 10, in: 0...Int(Int32.max),
            help: "How often guests tell of their memory; 0 takes them the device for it.")
        cacheModes = read.list("disk_cachemodes", help: "How disks are cached, by their source: file=directsync.")
        for mode in cacheModes {
            let parts = mode.split(separator: "=")
            if parts.count != 2 || !Self.modes.contains(String(parts[1])) {
                read.refuse(
                    "disk_cachemodes has '\(mode)', which is not file= with \(Self.modes.joined(separator: ", ")).")
            }
        }
        discard = read.choice(
            "hw_disk_discard", of: ["ignore", "unmap"], default: "unmap",
            help: "Whether blocks that guests free are given back to the host.")
        queuesMax = read.int("max_queues", default: 8, in: 1...256, help: "The most queues that a guest's card has.")
        func size(_ name: String) -> Int? {
            read.text(name, "one of 256, 512, 1024", help: "The size of queues of guests' cards.") { text -> Int? in
                Int(text).flatMap { [256, 512, 1024].contains($0) ? $0 : nil }
            }
        }
        queueSizes = (size("rx_queue_size"), size("tx_queue_size"))
        read.section(INI.defaultSection)
        forcesRaw = read.bool(
            "force_raw_images", default: false,
            help: "Whether hosts keep images as raw bytes, whatever they came as; upstream does, for the room it takes."
        )
        usesOverlays = read.bool(
            "use_cow_images", default: true,
            help: "Whether disks are laid over their image, which hosts keep once; otherwise each is a copy of it.")
    }

    func apply(to settings: inout LibvirtSettings) {
        settings.cpuFlags = cpuFlags
        for machine in machines {
            let parts = machine.split(separator: "=").map(String.init)
            if parts.count == 2, parts[0] == settings.architecture { settings.machineType = parts[1] }
        }
        settings.translationCacheMiB = translationCacheMiB
        settings.pciePorts = pciePorts
        settings.randomnessPath = randomnessPath
        settings.balloonPeriod = balloonPeriod
        for mode in cacheModes {
            let parts = mode.split(separator: "=").map(String.init)
            if parts.count == 2 { settings.diskCacheModes[parts[0]] = parts[1] }
        }
        settings.diskDiscard = discard
        settings.queuesMax = queuesMax
        (settings.rxQueueSize, settings.txQueueSize) = queueSizes
        settings.usesOverlays = usesOverlays
        settings.forcesRawImages = forcesRaw
    }
}
