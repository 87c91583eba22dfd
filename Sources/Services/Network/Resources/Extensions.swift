// SPDX-License-Identifier: Apache-2.0
package import Kernel

/// The parts of the API beyond its core that work here; clients look before they use one.
package enum Extensions: Resource {
    package static let routes: [Route] = [
        .get("/extensions", "List extensions", of: Anything.from, allow: .anyone("get_extension"), list),
        .get("/extensions/{alias}", "Show extension", of: Anything.from, allow: .anyone("get_extension"), show),
    ]

    struct Entry: Sendable {
        let alias: String, name: String, description: String, updated: String

        init(_ alias: String, _ name: String, _ description: String, _ updated: String) {
            self.alias = alias
            self.name = name
            self.description = description
            self.updated = updated
        }

        func write(_ view: inout View) {
            view.put("alias", alias)
            view.put("name", name)
            view.put("description", description)
            view.put("updated", updated)
            view.put("links", [String]())
        }
    }

    private static func list(_ request: Request, _ anything: Anything) async throws(Fault) -> Reply {
        .list("extensions", all.map { entry in { entry.write(&$0) } })
    }

    private static func show(_ request: Request, _ anything: Anything) async throws(Fault) -> Reply {
        let alias = request["alias"]
        guard let entry = all.first(where: { $0.alias == alias }) else {
            throw .neutron(404, "HTTPNotFound", "Extension with alias \(alias) does not exist")
        }
        return .object("extension", entry.write)
    }

    static let all = core + routing + ports + quality

    private static let core: [Entry] = [
        Entry("address-scope", "Address scope", "Address scopes extension.", "2015-07-26T10:00:00-00:00"),
        Entry("agent", "agent", "The agent management extension.", "2013-02-03T10:00:00-00:00"),
        Entry(
            "allowed-address-pairs", "Allowed Address Pairs", "Provides allowed address pairs",
            "2013-07-23T10:00:00-00:00"),
        Entry(
            "availability_zone", "Availability Zone", "The availability zone extension.", "2015-01-01T10:00:00-00:00"),
        Entry(
            "bgp", "Neutron BGP Dynamic Routing Extension",
            "Discover and advertise routes for Neutron prefixes dynamically via BGP", "2016-05-10T15:37:00-00:00"),
        Entry(
            "bgp_4byte_asn", "BGP 4-byte AS numbers", "Support bgp 4-byte AS number", "2017-09-07T00:00:00-00:00"),
        Entry(
            "bgp_dragent_scheduler", "BGP Dynamic Routing Agent Scheduler", "Schedules BgpSpeakers on BgpDrAgent",
            "2015-07-30T10:00:00-00:00"),
        Entry(
            "network_ha", "Network HA creation flag", "Network high availability creation flag.",
            "2023-04-27T10:00:00-00:00"),
        Entry("metering", "Neutron Metering", "Neutron Metering extension.", "2013-06-12T10:00:00-00:00"),
        Entry(
            "metering_source_and_destination_fields", "Neutron Metering with source and destination filtering",
            "Neutron Metering extension that enables the use of source and destination IP prefixes to create "
                + "metering label rules.", "2020-08-21T08:12:00-00:00"),
        Entry(
            "tap-mirror", "Tap as a Service GRE or ERSPAN mirror",
            "Neutron Tap as a Service extension for GRE or ERSPAN mirroring.", "2023-05-05T11:45:00-00:00"),
        Entry(
            "tap-mirror-both-direction", "Tap as a Service mirror with BOTH direction support",
            "Neutron Tap as a Service extension mirroring with support for BOTH direction.",
            "2025-12-15T11:45:00-00:00"),
        Entry(
            "binding", "Port Binding", "Expose port bindings of a virtual port to external application",
            "2014-02-03T10:00:00-00:00"),
        Entry(
            "default-subnetpools", "Default Subnetpools",
            "Provides ability to mark and use a subnetpool as the default.", "2016-02-18T18:00:00-00:00"),
        Entry("dns-integration", "DNS Integration", "Provides integration with DNS.", "2015-08-15T18:00:00-00:00"),
        Entry(
            "dns-integration-domain-keywords", "DNS domain names with keywords allowed",
            "Allows to use keywords like <project_id>, <project_name>, <user_id> and <user_name> as DNS domain name",
            "2020-06-15T18:00:00-00:00"),
        Entry(
            "dns-domain-ports", "dns_domain for ports", "Allows the DNS domain to be specified for a network port.",
            "2017-06-25T18:00:00-00:00"),
        Entry(
            "empty-string-filtering", "Empty String Filtering Extension",
            "Allow filtering by attributes with empty string value", "2018-05-01T10:00:00-00:00"),
        Entry(
            "ext-gw-mode", "Neutron L3 Configurable external gateway mode",
            "Extension of the router abstraction for specifying whether SNAT should occur on the external gateway",
            "2013-03-28T10:00:00-00:00"),
        Entry(
            "external-net", "Neutron external network", "Adds external network attribute to network resource.",
            "2013-01-14T10:00:00-00:00"),
        Entry(
            "extra_dhcp_opt", "Neutron Extra DHCP options",
            "Extra options configuration for DHCP. For example PXE boot options to DHCP clients can be specified "
                + "(e.g. tftp-server, server-ip-address, bootfile-name)", "2013-03-17T12:00:00-00:00"),
        Entry(
            "extraroute", "Neutron Extra Route", "Extra routes configuration for L3 router",
            "2013-02-01T10:00:00-00:00"),
        Entry(
            "extraroute-atomic", "Atomically add/remove extra routes",
            "Edit extra routes of a router on server side by atomically adding/removing extra routes",
            "2019-07-10T00:00:00+00:00"),
        Entry(
            "filter-validation", "Filter parameters validation", "Provides validation on filter parameters.",
            "2018-07-04T10:00:00-00:00"),
        Entry(
            "fip-port-details", "Floating IP Port Details Extension",
            "Add port_details attribute to Floating IP resource",
            "2018-04-09T10:00:00-00:00"),
        Entry(
            "ip-substring-filtering", "IP address substring filtering",
            "Provides IP address substring filtering when listing ports",
            "2017-11-28T09:00:00-00:00"),
        Entry("net-mtu", "Network MTU", "Provides MTU attribute for a network resource.", "2015-03-25T10:00:00-00:00"),
        Entry(
            "net-mtu-writable", "Network MTU (writable)", "Provides a writable MTU attribute for a network resource.",
            "2017-07-12T00:00:00-00:00"),
        Entry(
            "network-ip-availability", "Network IP Availability",
            "Provides IP availability data for each network and subnet.", "2015-09-24T00:00:00-00:00"),
        Entry(
            "network-ip-availability-details", "Network IP Availability Details Extension",
            "Add ip_availability_details attribute to network-ip-availabilities resource.",
            "2025-10-31T00:00:00-00:00"),
        Entry(
            "network_availability_zone", "Network Availability Zone", "Availability zone support for network.",
            "2015-01-01T10:00:00-00:00"),
        Entry(
            "pagination", "Pagination support", "Extension that indicates that pagination is enabled.",
            "2016-06-12T00:00:00-00:00"),
        Entry("port-security", "Port Security", "Provides port security", "2012-07-23T10:00:00-00:00"),
        Entry(
            "project-id", "project_id field enabled", "Extension that indicates that project_id field is enabled.",
            "2016-09-09T09:09:09-09:09"),
        Entry(
            "provider", "Provider Network", "Expose mapping of virtual networks to physical networks",
            "2012-09-07T10:00:00-00:00"),
        Entry(
            "quota-check-limit", "Quota engine limit check",
            "Support for checking the resource usage before applying a new quota limit", "2021-09-08T16:00:00-00:00"),
        Entry(
            "quota_details", "Quota details management support",
            "Expose functions for quotas usage statistics per project", "2017-02-10T10:00:00-00:00"),
        Entry(
            "quotas", "Quota management support", "Expose functions for quotas management per project",
            "2012-07-29T10:00:00-00:00"),
        Entry(
            "rbac-policies", "RBAC Policies",
            "Allows creation and modification of policies that control project access to resources.",
            "2015-06-17T12:15:12-00:00"),
        Entry(
            "rbac-address-scope", "Add address_scope type to RBAC", "Add address_scope type to RBAC",
            "2020-02-12T00:00:00-00:00"),
        Entry(
            "rbac-security-groups", "Add security_group type to network RBAC",
            "Add security_group type to network RBAC", "2019-02-14T00:00:00-00:00"),
        Entry(
            "revision-if-match", "If-Match constraints based on revision_number",
            "Extension indicating that If-Match based on revision_number is supported.", "2016-12-11T00:00:00-00:00"),
        Entry(
            "router", "Neutron L3 Router",
            "Router abstraction for basic L3 forwarding between L2 Neutron networks and access to external networks "
                + "via a NAT gateway.", "2012-07-20T10:00:00-00:00"),
        Entry(
            "router_availability_zone", "Router Availability Zone", "Availability zone support for router.",
            "2015-01-01T10:00:00-00:00"),
        Entry(
            "security-group", "security-group", "The security groups extension.", "2012-10-05T10:00:00-00:00"),
        Entry(
            "security-groups-normalized-cidr", "Normalized CIDR field for security group rules",
            "Add new field with normalized remote_ip_prefix cidr in SG rule", "2020-07-28T10:00:00-00:00"),
        Entry(
            "security-groups-rules-belongs-to-default-sg",
            "Security group rule belongs to the project's default security group",
            "Flag to determine if the security group rule belongs to the project's default security group",
            "2023-05-23T10:00:00-00:00"),
        Entry(
            "security-groups-shared-filtering", "Security group filtering on the shared field",
            "Support filtering security groups on the shared field", "2021-10-05T09:00:00-00:00"),
        Entry(
            "service-type", "Neutron Service Type Management",
            "API for retrieving service providers for Neutron advanced services", "2013-01-20T00:00:00-00:00"),
        Entry(
            "sorting", "Sorting support", "Extension that indicates that sorting is enabled.",
            "2016-06-12T00:00:00-00:00"),
        Entry(
            "standard-attr-description", "standard-attr-description",
            "Extension to add descriptions to standard attributes", "2016-02-10T10:00:00-00:00"),
        Entry(
            "standard-attr-revisions", "Resource revision numbers",
            "This extension will display the revision number of neutron resources.", "2016-04-11T10:00:00-00:00"),
        Entry(
            "standard-attr-tag",
            "Tag support for resources with standard attribute: floatingip, network, port, router, security_group, "
                + "subnet, subnetpool", "Enables to set tag on resources with standard attribute.",
            "2017-01-01T00:00:00-00:00"),
        Entry(
            "standard-attr-timestamp", "Resource timestamps",
            "Adds created_at and updated_at fields to all Neutron resources that have Neutron standard attributes.",
            "2016-09-12T10:00:00-00:00"),
        Entry(
            "stateful-security-group", "Stateful security group", "Indicates if the security group is stateful or not",
            "2019-11-26T09:00:00-00:00"),
        Entry(
            "subnet-external-network", "Subnet belongs to an external network",
            "Informs if the subnet belongs to an external network", "2024-02-05T18:00:00-00:00"),
        Entry(
            "subnet-service-types", "Subnet service types", "Provides ability to set the subnet service_types field",
            "2016-03-15T18:00:00-00:00"),
        Entry(
            "subnet_allocation", "Subnet Allocation", "Enables allocation of subnets from a subnet pool",
            "2015-03-30T10:00:00-00:00"),
        Entry(
            "tag-creation", "Tag creation extension", "Allow to create multiple tags for a resource",
            "2024-23-07T10:00:00-00:00"),
        Entry(
            "tag-ports-during-bulk-creation", "Tag Ports During Bulk Creation",
            "Allow to tag ports during bulk creation", "2019-12-29T19:00:00-00:00"),
    ]
}
