// SPDX-License-Identifier: Apache-2.0

extension Extensions {
    /// What routers and floating addresses can beyond the core.
    static let routing: [Entry] = [
        Entry(
            "l3_agent_scheduler", "L3 Agent Scheduler", "Schedule routers among l3 agents",
            "2013-02-07T10:00:00-00:00"),
        Entry(
            "l3-agent-scheduler-ha-chassis-priority", "L3 Agent Scheduler HA Chassis Priority",
            "Exposes the HA_Chassis priority in the L3 Agent Scheduler API responses and allows setting priority when "
                + "scheduling a router to a chassis.", "2026-03-31T00:00:00-00:00"),
        Entry("l3-ndp-proxy", "L3 NDP Proxy", "Router support for L3 NDP proxy.", "2021-06-29T10:00:00-00:00"),
        Entry(
            "l3-ext-ndp-proxy", "Router support to enable NDP proxy", "Router extension to enable ndp proxy",
            "2020-08-25T00:00:00-00:00"),
        Entry(
            "auto-allocated-topology", "Auto Allocated Topology Services", "Auto Allocated Topology Services.",
            "2016-01-01T00:00:00-00:00"),
        Entry(
            "expose-port-forwarding-in-fip", "Expose Floating IP port forwardings",
            "Expose port forwarding fields in floating IP response", "2018-06-28T16:00:00-00:00"),
        Entry(
            "floating-ip-port-forwarding", "Floating IP Port Forwarding",
            "Allow port forwarding from floating IP port to an internal port", "2018-01-19T10:00:00-00:00"),
        Entry(
            "floating-ip-port-forwarding-description", "Floating IP Port Forwarding new attribute description",
            "Add a description field to Port Forwarding rules", "2019-11-01T10:00:00-00:00"),
        Entry(
            "floating-ip-port-forwarding-detail", "Floating IP port forwarding detail",
            "Allow list floating ip return more port forwarding data, include'id' and 'internal_port_id'",
            "2022-05-06T10:00:00-00:00"),
        Entry(
            "floating-ip-port-forwarding-port-ranges", "Floating IP Port Forwarding support port ranges",
            "Add support to port ranges", "2020-07-01T10:00:00-00:00"),
        Entry(
            "floatingip-pools", "Floating IP Pools Extension", "Provides a floating IP pools API.",
            "2018-03-21T10:00:00-00:00"),
        Entry(
            "external-gateway-multihoming", "Neutron L3 External Gateway Multihoming",
            "Allow multiple external gateway ports per router", "2023-01-18T00:00:00-00:00"),
        Entry(
            "enable-default-route-bfd", "Enable Default Route BFD",
            "Enables configurable BFD behavior for default routes", "2023-02-27T00:00:00-00:00"),
        Entry(
            "enable-default-route-ecmp", "Enable Default Route ECMP",
            "Enables configurable ECMP behavior for default routes", "2023-02-27T00:00:00-00:00"),
        Entry(
            "flavors", "Neutron Service Flavors", "Flavor specification for Neutron advanced services.",
            "2015-09-17T10:00:00-00:00"),
        Entry("l3-flavors", "Router Flavor Extension", "Flavor support for routers.", "2016-05-17T00:00:00-00:00"),
        Entry("l3-ha", "HA Router extension", "Adds HA capability to routers.", "2014-04-26T00:00:00-00:00"),
        Entry(
            "router-enable-snat", "Exposes the router \"enable_snat\" read-only configuration flag",
            "Exposes the router \"enable_snat\" read-only configuration flag", "2025-09-18T18:00:00-00:00"),
        Entry(
            "subnet_onboard", "Subnet Onboard", "Provides support for onboarding subnets into subnet pools",
            "2018-12-18T09:00:00-00:00"),
        Entry(
            "subnetpool-prefix-ops", "Subnet Pool Prefix Operations",
            "Provides support for adjusting the prefix list of subnet pools", "2019-02-08T10:00:00-00:00"),
        Entry(
            "subnet-dns-publish-fixed-ip", "Subnet DNS publish fixed IP",
            "Support choosing to publish DNS records for IPs from a subnet", "2019-05-24T10:00:00-00:00"),
    ]
}
