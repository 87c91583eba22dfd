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
    package var cpuRatio = 4.0
    package var memoryRatio = 1.0
    package var diskRatio = 1.0
    package var reservedMemoryMiB = 512
    package var quota = QuotaLimits()
    package var scheduler = SchedulerOptions()
    /// Where consoles are answered, as browsers reach it: `http://127.0.0.1:6080`.
    package var consoleURL = "http://127.0.0.1:6080"

    package init() {}

    package init(_ read: inout OptionReader) {
        self.init()
        serviceDownTime = read.duration(
            "service_down_time", default: serviceDownTime, atLeast: .seconds(1),
            help: "How old a host's last report may be before the host counts as down.")
        cpuRatio = read.double(
            "cpu_allocation_ratio", default: cpuRatio, atLeast: 0.01,
            help: "How many virtual processors a host may promise for each real one.")
        memoryRatio = read.double(
            "ram_allocation_ratio", default: memoryRatio, atLeast: 0.01,
            help: "How much memory a host may promise for what it has.")
        diskRatio = read.double(
            "disk_allocation_ratio", default: diskRatio, atLeast: 0.01,
            help: "How much disk space a host may promise for what it has.")
        reservedMemoryMiB = read.int(
            "reserved_host_memory_mb", default: reservedMemoryMiB, in: 0...Int.max,
            help: "Memory that a host keeps for itself, at most a quarter of what it has.")
        graceOfStop = read.duration(
            "shutdown_timeout", default: graceOfStop,
            help: "How long a guest may take to shut down before it is cut off.")
        read.section("api")
        maxLimit = read.int(
            "max_limit", default: maxLimit, in: 1...Int.max, help: "The most items in one answer of the compute API.")
        read.section("consoleauth")
        consoleTokenTTL = read.duration(
            "token_ttl", default: consoleTokenTTL, atLeast: .seconds(1),
            help: "How long the address of a console may be used to connect.")
        quota = QuotaLimits(&read)
        scheduler = SchedulerOptions(&read)
    }
}

/// The defaults of `[quota]` (nova/conf/quota.py).
package struct QuotaLimits: Options {
    package static let section = "quota"

    package var instances = 10
    package var cores = 20
    package var ram = 51_200
    package var metadataItems = 128
    package var keyPairs = 100
    package var serverGroups = 10
    package var serverGroupMembers = 10

    package init() {}

    package init(_ read: inout OptionReader) {
        self.init()
        read.section(QuotaLimits.section)
        func limit(_ name: String, _ standard: Int, _ what: String) -> Int {
            read.int(name, default: standard, in: -1...Int.max, help: "\(what); -1 is any number.")
        }
        instances = limit("instances", instances, "Servers of a project")
        cores = limit("cores", cores, "Virtual processors of a project's servers")
        ram = limit("ram", ram, "Memory of a project's servers in MiB")
        metadataItems = limit("metadata_items", metadataItems, "Metadata items of a server")
        keyPairs = limit("key_pairs", keyPairs, "Keypairs of a user")
        serverGroups = limit("server_groups", serverGroups, "Server groups of a project")
        serverGroupMembers = limit("server_group_members", serverGroupMembers, "Servers in a server group")
    }
}
