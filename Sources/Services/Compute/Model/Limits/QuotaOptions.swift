// SPDX-License-Identifier: Apache-2.0
internal import Clients
package import Kernel

/// `[quota]` (nova/conf/quota.py): whose limits hold, and the defaults of Compute's own.
package struct QuotaLimits: Options {
    package static let section = "quota"

    /// Where limits are kept, by upstream's names.
    package enum Driver: String, Sendable, CaseIterable {
        case database = "nova.quota.DbQuotaDriver"
        case none = "nova.quota.NoopQuotaDriver"
        case unified = "nova.quota.UnifiedLimitsDriver"
    }

    package var driver = Driver.database
    /// Whether the listed resources are the ones that must have a limit in Identity, or the ones that need none.
    package var requiresListed = true
    package var unifiedResources = ["servers"]
    /// The region whose limits of Identity hold.
    package var region = "RegionOne"
    package var instances = 10
    package var cores = 20
    package var ram = 51_200
    package var metadataItems = 128
    package var injectedFiles = 5
    package var injectedFileContentBytes = 10_240
    package var injectedFilePathLength = 255
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
        driver = read.choice(
            "driver", default: driver,
            help: "Whose limits hold: Compute's own, nobody's, or the unified limits that Identity keeps.")
        let strategy = read.choice(
            "unified_limits_resource_strategy", of: ["require", "ignore"], default: "require",
            help: "What unified_limits_resource_list names: resources of which nobody may have any until a limit is "
                + "registered in Identity, or resources that need no limit there.")
        requiresListed = strategy == "require"
        unifiedResources = read.list(
            "unified_limits_resource_list", default: unifiedResources,
            help: "Resources that must, or need not, have a registered limit: servers, class:VCPU, server_key_pairs.")
        instances = limit("instances", instances, "Servers of a project")
        cores = limit("cores", cores, "Virtual processors of a project's servers")
        ram = limit("ram", ram, "Memory of a project's servers in MiB")
        metadataItems = limit("metadata_items", metadataItems, "Metadata items of a server")
        injectedFiles = limit("injected_files", injectedFiles, "Files that a server may be given (until 2.57)")
        injectedFileContentBytes = limit(
            "injected_file_content_bytes", injectedFileContentBytes, "Bytes of such a file")
        injectedFilePathLength = limit(
            "injected_file_path_length", injectedFilePathLength, "Bytes of such a file's path")
        keyPairs = limit("key_pairs", keyPairs, "Keypairs of a user")
        serverGroups = limit("server_groups", serverGroups, "Server groups of a project")
        serverGroupMembers = limit("server_group_members", serverGroupMembers, "Servers in a server group")
        region = read.limitsRegion()
    }
}
