// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Which query parameters a call knows. Unknown ones were not looked at in old versions; lists refuse them since 2.75
/// or earlier, all calls since 2.102.
enum QueryRules {
    static func admit(_ query: String, _ route: Route, _ version: Microversion) throws(Fault) {
        guard !query.isEmpty, route.method == "GET" || route.method == "DELETE" else { return }
        let rule = rules[route.method + " " + route.path]
        guard version >= (rule?.since ?? "2.102") else { return }
        let known = rule?.names(version) ?? []
        let unknown = query.split(separator: "&").compactMap { part -> String? in
            let name = Percent.decode(part.split(separator: "=", maxSplits: 1).first ?? "") ?? ""
            return known.contains(name) ? nil : name
        }
        guard let first = unknown.first else { return }
        throw .badRequest("Additional properties are not allowed ('\(first)' was unexpected)")
    }

    private struct Entry: Sendable {
        let since: Microversion
        let names: Set<String>
        /// Names that came later.
        var later: [(Microversion, Set<String>)] = []

        func names(_ version: Microversion) -> Set<String> {
            later.reduce(names) { version >= $1.0 ? $0.union($1.1) : $0 }
        }
    }

    private static let page: Set<String> = ["limit", "marker"]
    private static let sorted = page.union(["sort_key", "sort_dir", "is_public", "minRam", "minDisk"])
    private static let servers = page.union([
        "user_id", "project_id", "tenant_id", "launch_index", "image_ref", "image", "kernel_id", "ramdisk_id",
        "hostname", "key_name", "power_state", "vm_state", "task_state", "host", "node", "flavor", "reservation_id",
        "launched_at", "terminated_at", "availability_zone", "name", "display_name", "description",
        "display_description", "locked_by", "uuid", "root_device_name", "config_drive", "access_ip_v4", "access_ip_v6",
        "auto_disk_config", "progress", "sort_key", "sort_dir", "all_tenants", "soft_deleted", "deleted", "status",
        "changes-since", "changes-before", "ip", "ip6", "created_at", "tags", "tags-any", "not-tags", "not-tags-any",
        "locked", "block_device_mapping", "services", "metadata", "system_metadata", "info_cache", "pci_devices",
        "security_groups",
    ])
    private static let quota: Set<String> = ["user_id"]
    private static let migrations = page.union([
        "hidden", "host", "instance_uuid", "source_compute", "status", "migration_type", "changes-since",
    ])

    private static let rules: [String: Entry] = [
        "GET /servers": Entry(since: "2.75", names: servers),
        "GET /servers/detail": Entry(since: "2.75", names: servers),
        "GET /flavors": Entry(since: "2.75", names: sorted, later: [("2.102", ["name"])]),
        "GET /flavors/detail": Entry(since: "2.75", names: sorted, later: [("2.102", ["name"])]),
        "GET /limits": Entry(since: "2.75", names: ["tenant_id"]),
        "GET /os-keypairs": Entry(since: "2.75", names: page.union(quota)),
        "GET /os-keypairs/{name}": Entry(since: "2.75", names: quota),
        "DELETE /os-keypairs/{name}": Entry(since: "2.75", names: quota),
        "GET /os-quota-sets/{id}": Entry(since: "2.75", names: quota),
        "GET /os-quota-sets/{id}/detail": Entry(since: "2.75", names: quota),
        "DELETE /os-quota-sets/{id}": Entry(since: "2.75", names: quota),
        "GET /os-server-groups": Entry(since: "2.75", names: ["all_projects", "limit", "offset"]),
        "GET /os-services": Entry(since: "2.75", names: ["host", "binary"]),
        "GET /os-simple-tenant-usage": Entry(since: "2.75", names: page.union(["detailed", "start", "end"])),
        "GET /os-simple-tenant-usage/{tenant_id}": Entry(since: "2.75", names: page.union(["start", "end"])),
        "GET /servers/{server_id}/os-volume_attachments": Entry(since: "2.75", names: ["limit", "offset"]),
        "GET /os-console-auth-tokens/{token}": Entry(since: "2.99", names: []),
        "GET /os-hypervisors": Entry(
            since: "2.53", names: page.union(["hypervisor_hostname_pattern", "with_servers"])),
        "GET /os-hypervisors/detail": Entry(
            since: "2.53", names: page.union(["hypervisor_hostname_pattern", "with_servers"])),
        "GET /os-hypervisors/{hypervisor_id}": Entry(since: "2.53", names: ["with_servers"]),
        "GET /os-migrations": Entry(
            since: "2.59", names: migrations,
            later: [("2.66", ["changes-before"]), ("2.80", ["user_id", "project_id"])]
        ),
        "GET /servers/{server_id}/os-instance-actions": Entry(
            since: "2.58", names: page.union(["changes-since"]), later: [("2.66", ["changes-before"])]),
        "DELETE /os-assisted-volume-snapshots/{id}": Entry(since: "2.75", names: ["delete_info"]),
    ]
}
