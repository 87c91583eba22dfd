// SPDX-License-Identifier: Apache-2.0

extension Extensions {
    /// What ports and security groups can beyond the core.
    static let ports: [Entry] = [
        Entry("address-group", "Address group", "Support address group", "2020-07-15T10:00:00-00:00"),
        Entry(
            "availability_zone_filter", "Availability Zone Filter Extension",
            "Add filter parameters to AvailabilityZone resource", "2018-06-22T10:00:00-00:00"),
        Entry(
            "binding-extended", "Port Bindings Extended",
            "Expose port bindings of a virtual port to external application", "2017-07-17T10:00:00-00:00"),
        Entry(
            "dhcp_agent_scheduler", "DHCP Agent Scheduler", "Schedule networks among dhcp agents",
            "2013-02-07T10:00:00-00:00"),
        Entry(
            "data-plane-status", "Port data plane status extension", "Expose status of underlying data plane",
            "2017-01-24T10:00:00-00:00"),
        Entry("ip_allocation", "IP Allocation", "IP allocation extension.", "2016-06-10T23:00:00-00:00"),
        Entry(
            "logging", "Logging API Extension",
            "Provides a logging API for resources such as security group and firewall.", "2017-01-01T10:00:00-00:00"),
        Entry(
            "network-segment-range", "Neutron Network Segment Range",
            "Provides support for the network segment range management", "2018-11-29T00:00:00-00:00"),
        Entry(
            "port-device-profile", "Port device profile", "Expose the port device profile (Cyborg)",
            "2020-12-17T10:00:00-00:00"),
        Entry(
            "port-hardware-offload-type", "Port hardware offload", "Expose port hardware offload extension",
            "2023-05-09T10:00:00-00:00"),
        Entry(
            "port-hint-ovs-tx-steering", "Port hint: Open vSwitch Tx steering",
            "Enable Port hint: Open vSwitch Tx steering", "2023-01-01T00:00:00-00:00"),
        Entry(
            "port-hints", "Port hints", "Backend specific port hints to allow backend specific tuning",
            "2023-01-01T00:00:00-00:00"),
        Entry(
            "port-mac-address-regenerate", "Neutron Port MAC address regenerate",
            "Network port MAC address regenerate", "2018-05-03T10:00:00-00:00"),
        Entry(
            "port-mac-override", "Neutron Port MAC address override",
            "Allow overriding the MAC address of a direct-physical Port via the active binding profile",
            "2022-03-18T10:00:00-00:00"),
        Entry(
            "port-numa-affinity-policy", "Port NUMA affinity policy", "Expose the port NUMA affinity policy",
            "2020-07-08T10:00:00-00:00"),
        Entry(
            "port-numa-affinity-policy-socket", "Port NUMA affinity policy \"socket\"",
            "Adds \"socket\" to the supported port NUMA affinity policies", "2024-02-09T10:00:00-00:00"),
        Entry(
            "port-resource-request", "Port Resource Request", "Expose resource request to Port",
            "2018-05-08T10:00:00-00:00"),
        Entry(
            "port-resource-request-groups", "Port Resource Request Groups",
            "Support requesting multiple groups of resources and traits from the same RP subtree in resource_request",
            "2021-08-02T10:00:00-00:00"),
        Entry(
            "port-security-groups-filtering", "Port filtering on security groups",
            "Provides security groups filtering when listing ports", "2018-01-09T09:00:00-00:00"),
        Entry(
            "port-trusted-vif", "Port trusted vif", "Expose port 'trusted' attribute in the API",
            "2024-07-10T10:00:00-00:00"),
        Entry(
            "quota-check-limit-default", "Quota engine limit check by default",
            "By default, the Neutron quota engine checks the resource usage before applying a new quota limit",
            "2024-08-21T16:00:00-00:00"),
        Entry(
            "rbac-address-group", "Add address_group type to RBAC", "Add address_group type to RBAC",
            "2020-11-16T00:00:00-00:00"),
        Entry(
            "rbac-subnetpool", "Add subnetpool type to RBAC", "Add subnetpool type to RBAC",
            "2020-02-05T00:00:00-00:00"),
        Entry(
            "security-groups-default-rules", "Default rules for security groups",
            "Configure set of security group rules used as default rules for every new security group",
            "2022-12-19T10:00:00-00:00"),
        Entry(
            "security-groups-default-statefulness", "Security Groups Default Statefulness",
            "Allows configuring the default value of the 'stateful' attribute for new security groups, on a "
                + "per-project or system-wide basis", "2026-04-13T00:00:00-00:00"),
        Entry(
            "security-groups-remote-address-group", "Remote address group id field for security group rules",
            "Add new field of remote address group id in SG rules", "2020-08-25T10:00:00-00:00"),
        Entry(
            "l2_adjacency", "L2 Adjacency", "Display L2 Adjacency for Neutron Networks.",
            "2016-04-12T16:00:00-00:00"),
        Entry(
            "multi-provider", "Multi Provider Network",
            "Expose mapping of virtual networks to multiple physical networks", "2013-06-27T10:00:00-00:00"),
        Entry("pvlan", "Private VLAN", "The Private VLAN semantics extension.", "2026-02-03T10:00:00-00:00"),
        Entry(
            "qinq", "QinQ networks",
            "Expose network 'qinq' attribute in the API. This allows to configure network to allow vlan in vlan",
            "2024-12-02T10:00:00-00:00"),
        Entry("segment", "Segment", "Segments extension.", "2016-02-24T17:00:00-00:00"),
        Entry(
            "standard-attr-segment", "Standard Attribute Segment Extension",
            "Add standard attributes to Segment resource", "2018-04-09T10:00:00-00:00"),
        Entry(
            "subnet-segmentid-writable", "Subnet SegmentID (writable)",
            "Provides a writable segment_id attribute for a subnet resource.", "2018-03-12T00:00:00-00:00"),
        Entry(
            "vlan-transparent", "Vlantransparent", "Provides Vlan Transparent Networks", "2015-03-23T09:00:00-00:00"),
        Entry("trunk", "Trunk Extension", "Provides support for trunk ports", "2016-01-01T10:00:00-00:00"),
        Entry("trunk-details", "Trunk port details", "Expose trunk port details", "2016-01-01T10:00:00-00:00"),
        Entry(
            "uplink-status-propagation-updatable", "Uplink status propagation updatable extension",
            "Provides ability to update the port uplink status.", "2024-09-03T18:00:00-00:00"),
        Entry(
            "uplink-status-propagation", "Uplink status propagation extension",
            "Provides ability to propagate port uplink status.", "2018-05-31T18:00:00-00:00"),
    ]

    /// What traffic may be promised and denied.
    static let quality: [Entry] = [
        Entry("qos", "Quality of Service", "The Quality of Service extension.", "2015-06-08T10:00:00-00:00"),
        Entry(
            "qos-bw-limit-direction", "Direction for QoS bandwidth limit rule",
            "Allow to configure QoS bandwidth limit rule with specific direction: ingress or egress",
            "2017-04-10T10:00:00-00:00"),
        Entry(
            "qos-bw-minimum-ingress", "Ingress direction for QoS minimum bandwidth rule",
            "Allow to configure QoS minumum bandwidth rule with ingress direction.", "2018-07-09T10:00:00-00:00"),
        Entry(
            "qos-default", "QoS default policy", "Expose the QoS default policy per project",
            "2017-041-06T10:00:00-00:00"),
        Entry(
            "qos-fip", "Floating IP QoS", "The floating IP Quality of Service extension", "2017-07-20T00:00:00-00:00"),
        Entry(
            "qos-fip-network-policy", "QoS floating IP network policy ID",
            "Adds a the QoS network ID to the floating IP definition", "2021-11-15T10:00:00-00:00"),
        Entry(
            "qos-gateway-ip", "Router gateway IP QoS", "The Router gateway IP Quality of Service extension",
            "2018-02-24T00:00:00-00:00"),
        Entry(
            "qos-port-network-policy", "QoS port network policy ID", "Adds a the QoS network ID to the port definition",
            "2019-11-01T10:00:00-00:00"),
        Entry(
            "qos-pps", "QoS Rule Type Packet per Second Extension", "Add QoS Rule Type Packet per Second",
            "2021-05-12T10:00:00-00:00"),
        Entry(
            "qos-pps-minimum", "QoS minimum packet rate rule", "Allow to configure QoS minimum packet rate rule.",
            "2021-07-14T10:00:00-00:00"),
        Entry(
            "qos-pps-minimum-rule-alias", "QoS minimum packet rate rule alias",
            "API to enable GET, PUT and DELETE operations on QoS minimum packet rate rule without specifying policy ID",
            "2021-10-22T10:00:00-00:00"),
        Entry(
            "qos-rule-type-details", "Details of QoS rule types",
            "Expose details about QoS rule types supported by loaded backend drivers", "2017-06-22T10:00:00-00:00"),
        Entry(
            "qos-rule-type-filter", "Allow to filter the list of QoS rule types",
            "Allows to filter the QoS rule type list adding two new flags. \"all_rules\" prints all implemented QoS "
                + "rule types.\"all_supported\" prints all supported QoS rule types by the loaded mechanism drivers",
            "2022-02-02T10:00:00-00:00"),
        Entry(
            "qos-rules-alias", "Quality of Service rules alias API",
            "API to enable GET, PUT and DELETE operations on QoS policy rules without specifying policy ID",
            "2018-10-07T10:00:00-00:00"),
    ]
}
