// SPDX-License-Identifier: Apache-2.0
internal import Kernel

/// What an operator may set, under upstream's sections and names.
package struct ComputeOptions: Sendable {
    /// `[api] max_limit`: the most items in one answer.
    package var maxLimit = 1000
    /// `[DEFAULT] service_down_time`: how old a host's report may be before it counts as down.
    package var serviceDownTime = Duration.seconds(60)
    /// `[consoleauth] token_ttl`.
    package var consoleTokenTTL = Duration.seconds(600)
    /// `[libvirt] wait_soft_reboot_seconds` and the grace of a stop.
    package var graceOfStop = Duration.seconds(60)
    /// `[DEFAULT] cpu_allocation_ratio`, `ram_allocation_ratio`, `disk_allocation_ratio` of new hosts.
    package var cpuRatio = 4.0
    package var memoryRatio = 1.0
    package var diskRatio = 1.0
    /// `[DEFAULT] reserved_host_memory_mb`.
    package var reservedMemoryMiB = 512
    package var quota = QuotaLimits()
    /// Where consoles are answered, as browsers reach it: `http://127.0.0.1:6080`.
    package var consoleURL = "http://127.0.0.1:6080"

    package init() {}
}

/// The defaults of `[quota]` (nova/conf/quota.py).
package struct QuotaLimits: Sendable {
    package var instances = 10
    package var cores = 20
    package var ram = 51_200
    package var metadataItems = 128
    package var keyPairs = 100
    package var serverGroups = 10
    package var serverGroupMembers = 10

    package init() {}
}
