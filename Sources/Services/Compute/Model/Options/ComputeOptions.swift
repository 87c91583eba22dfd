// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// What an operator may set, under nova.conf's sections and names. What Nova keeps in [DEFAULT] stays there.
package struct ComputeOptions: Options {
    package static let section = INI.defaultSection

    /// The most items in one answer.
    package var maxLimit = 1000
    /// How old a host's report may be before it counts as down.
    package var serviceDownTime = Duration.seconds(60)
    package var consoleTokenTTL = Duration.seconds(600)
    /// How long a guest may take to shut down before it is cut off.
    package var graceOfStop = Duration.seconds(60)
    /// Whether a server that is resized may stay where it is. Upstream's default is no; a cloud of one host needs yes.
    package var allowsResizeToSameHost = true
    /// How long a resize waits for its confirmation before it confirms itself; zero waits for ever.
    package var resizeConfirmWindow = Duration.zero
    /// How many more hosts a live migration is tried with; nil is all that there are.
    package var liveMigrationRetries: Int?
    /// Set for good, or nil: then a new host begins with the initial ratio, and what Placement is told later stays.
    package var cpuRatio: Double?
    package var memoryRatio: Double?
    package var diskRatio: Double?
    package var initialCPURatio = 4.0
    package var initialMemoryRatio = 1.0
    package var initialDiskRatio = 1.0
    package var reservedCPUs = 0
    package var reservedMemoryMiB = 512
    package var reservedDiskMiB = 0
    package var quota = QuotaLimits()
    package var scheduler = SchedulerOptions()
    package var notifications = NotificationOptions()
    package var life = LifeOptions()
    package var signatures = SignatureOptions()
    package var metadata = MetadataOptions()
    package var pci = PCIOptions()
    package var care = CareOptions()
    package var plugs = PlugOptions()
    package var storage = BlockStorageOptions()
    package var keys = VolumeKeyOptions()
    /// Where consoles are answered, as browsers reach it: `http://127.0.0.1:6080`.
    package var consoleURL = "http://127.0.0.1:6080"

    package init() {}

    package init(_ read: inout OptionReader) {
        self.init()
        serviceDownTime = read.duration(
            "service_down_time", default: serviceDownTime, atLeast: .seconds(1),
            help: "How old a host's last report may be before the host counts as down.")
        readRatios(&read)
        reservedCPUs = read.int(
            "reserved_host_cpus", default: reservedCPUs, in: 0...Int.max,
            help: "Processors that a host keeps for itself.")
        reservedDiskMiB = read.int(
            "reserved_host_disk_mb", default: reservedDiskMiB, in: 0...Int.max,
            help: "Disk space that a host keeps for itself.")
        reservedMemoryMiB = read.int(
            "reserved_host_memory_mb", default: reservedMemoryMiB, in: 0...Int.max,
            help: "Memory that a host keeps for itself, at most a quarter of what it has.")
        graceOfStop = read.duration(
            "shutdown_timeout", default: graceOfStop,
            help: "How long a guest may take to shut down before it is cut off.")
        allowsResizeToSameHost = read.bool(
            "allow_resize_to_same_host", default: allowsResizeToSameHost,
            help: "Whether a server that is resized may stay on its host.")
        resizeConfirmWindow = read.duration(
            "resize_confirm_window", default: resizeConfirmWindow,
            help: "How long after a resize it confirms itself; 0 waits for ever.")
        read.section("conductor")
        let retries = read.int(
            "migrate_max_retries", default: -1, in: -1...Int.max,
            help: "How many more hosts a live migration is tried with when one cannot receive the guest; -1 is all.")
        liveMigrationRetries = retries < 0 ? nil : retries
        read.section("api")
        maxLimit = read.int(
            "max_limit", default: maxLimit, in: 1...Int.max, help: "The most items in one answer of the compute API.")
        read.section("consoleauth")
        consoleTokenTTL = read.duration(
            "token_ttl", default: consoleTokenTTL, atLeast: .seconds(1),
            help: "How long the address of a console may be used to connect.")
        quota = QuotaLimits(&read)
        scheduler = SchedulerOptions(&read)
        notifications = NotificationOptions(&read)
        life = LifeOptions(&read)
        signatures = SignatureOptions(&read)
        metadata = MetadataOptions(&read)
        pci = PCIOptions(&read)
        care = CareOptions(&read)
        plugs = PlugOptions(&read)
        storage = BlockStorageOptions(&read)
        keys = VolumeKeyOptions(&read)
    }

    private mutating func readRatios(_ read: inout OptionReader) {
        func ratio(_ name: String, _ what: String) -> Double? {
            read.text(
                name, "ratio above 0",
                help: "How much \(what) a host may promise for what it has; unset, the initial one holds until "
                    + "Placement is told another. Aggregates may set their own in their metadata."
            ) { text -> Double? in Double(text).flatMap { $0 >= 0.01 ? $0 : nil } }
        }
        cpuRatio = ratio("cpu_allocation_ratio", "processor")
        memoryRatio = ratio("ram_allocation_ratio", "memory")
        diskRatio = ratio("disk_allocation_ratio", "disk space")
        initialCPURatio = read.double(
            "initial_cpu_allocation_ratio", default: initialCPURatio, atLeast: 0.01,
            help: "The ratio of processors that a new host begins with.")
        initialMemoryRatio = read.double(
            "initial_ram_allocation_ratio", default: initialMemoryRatio, atLeast: 0.01,
            help: "The ratio of memory that a new host begins with.")
        initialDiskRatio = read.double(
            "initial_disk_allocation_ratio", default: initialDiskRatio, atLeast: 0.01,
            help: "The ratio of disk space that a new host begins with.")
    }
}
