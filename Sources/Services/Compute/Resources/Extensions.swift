// SPDX-License-Identifier: Apache-2.0
import Kernel

/// The list that old clients look for abilities in: everything has been part of the API since 2.1.
enum Extensions: Resource {
    static let routes: [Route] = [
        .get("/extensions", "List extensions", of: Anything.from, allow: .anyone("extensions"), index),
        .get("/extensions/{alias}", "Show an extension", of: Anything.from, allow: .anyone("extensions"), show),
    ]

    private static let aliases: KeyValuePairs<String, String> = [
        "OS-DCF": "DiskConfig", "OS-EXT-AZ": "ExtendedAvailabilityZone", "OS-EXT-IPS": "ExtendedIps",
        "OS-EXT-IPS-MAC": "ExtendedIpsMac", "OS-EXT-SRV-ATTR": "ExtendedServerAttributes",
        "OS-EXT-STS": "ExtendedStatus", "OS-FLV-DISABLED": "FlavorDisabled", "OS-FLV-EXT-DATA": "FlavorExtraData",
        "OS-SCH-HNT": "SchedulerHints", "OS-SRV-USG": "ServerUsage", "os-admin-actions": "AdminActions",
        "os-aggregates": "Aggregates", "os-attach-interfaces": "AttachInterfaces",
        "os-availability-zone": "AvailabilityZone", "os-config-drive": "ConfigDrive",
        "os-console-output": "ConsoleOutput", "os-consoles": "Consoles", "os-extended-quotas": "ExtendedQuotas",
        "os-extended-services": "ExtendedServices", "os-flavor-access": "FlavorAccess",
        "os-flavor-extra-specs": "FlavorExtraSpecs", "os-flavor-manage": "FlavorManage",
        "os-hypervisors": "Hypervisors", "os-instance-actions": "InstanceActions", "os-keypairs": "Keypairs",
        "os-quota-class-sets": "QuotaClasses", "os-quota-sets": "Quotas", "os-security-groups": "SecurityGroups",
        "os-server-diagnostics": "ServerDiagnostics", "os-server-external-events": "ServerExternalEvents",
        "os-server-groups": "ServerGroups", "os-server-password": "ServerPassword", "os-services": "Services",
        "os-simple-tenant-usage": "SimpleTenantUsage", "os-used-limits": "UsedLimits", "os-user-data": "UserData",
    ]

    private static func index(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        .list("extensions", aliases.map { item in { write(item.key, item.value, &$0) } })
    }

    private static func show(_ request: Request, _: Anything) async throws(Fault) -> Reply {
        let alias = request["alias"]
        guard let item = aliases.first(where: { $0.key == alias }) else {
            throw .notFound("Extension \(alias) was not found.")
        }
        return .object("extension") { write(item.key, item.value, &$0) }
    }

    private static func write(_ alias: String, _ name: String, _ view: inout View) {
        view.put("alias", alias)
        view.put("name", name)
        view.put("description", name)
        view.put("links", [JSON]())
        view.put("namespace", "http://docs.openstack.org/compute/ext/fake_xml")
        view.put("updated", "2014-12-03T00:00:00Z")
    }
}
