// SPDX-License-Identifier: Apache-2.0
import Kernel

/// Upstream's rules and their default checks, in oslo.policy's language.
enum NetworkRules {
    static let admin = "rule:admin_only"
    static let service = "rule:service_api"
    static let adminOrService = "(rule:admin_only) or (rule:service_api)"
    static let adminOrMember = "(rule:admin_only) or (role:member and project_id:%(project_id)s)"
    static let adminOrReader = "(rule:admin_only) or (role:reader and project_id:%(project_id)s)"
    static let adminOrManager = "(rule:admin_only) or (role:manager and project_id:%(project_id)s)"
    static let adminOrNetworkMember = "(rule:admin_only) or (role:member and rule:network_owner)"
    static let privileged = "(rule:admin_only) or (rule:service_api) or role:member and rule:network_owner"
    static let getNetwork =
        adminOrReader + " or rule:service_api or rule:shared or rule:external or rule:context_is_advsvc"
    static let getNetworkTags = adminOrReader + " or rule:shared or rule:external or rule:context_is_advsvc"
    static let getSubnet =
        "role:reader and project_id:%(project_id)s or rule:shared or rule:external_network or (rule:admin_only)"
        + " or (role:reader and rule:network_owner) or rule:service_api"
    static let ownSubnet = "role:member and project_id:%(project_id)s or " + adminOrNetworkMember
    static let createPort = privileged + " or rule:shared"
    static let getPort =
        adminOrService + " or role:reader and rule:network_owner or role:reader and project_id:%(project_id)s"
    static let updatePort = adminOrService + " or role:member and project_id:%(project_id)s"
    static let deletePort = privileged + " or role:member and project_id:%(project_id)s"
    static let pairs = adminOrNetworkMember + " or rule:service_api"
    static let vnic = adminOrMember + " or rule:service_api"
    static let device = "not rule:network_device or " + privileged
    static let getGroup = adminOrReader + " or rule:shared_security_group"
    static let wildcard = "rule:admin_only or not field:rbac_policy:target_project=*"

    static let base: KeyValuePairs<String, String> = [
        "context_is_admin": "role:admin",
        "service_api": "role:service",
        "owner": "project_id:%(project_id)s",
        "admin_or_owner": "rule:context_is_admin or rule:owner",
        "context_is_advsvc": "role:advsvc",
        "admin_or_network_owner": "rule:context_is_admin or project_id:%(network:project_id)s",
        "admin_owner_or_network_owner": "rule:owner or rule:admin_or_network_owner",
        "network_owner": "project_id:%(network:project_id)s",
        "admin_only": "rule:context_is_admin",
        "regular_user": "",
        "shared": "field:networks:shared=True",
        "default": "rule:admin_or_owner",
        "admin_or_ext_parent_owner": "rule:context_is_admin or project_id:%(ext_parent:project_id)s",
        "ext_parent_owner": "project_id:%(ext_parent:project_id)s",
        "sg_owner": "project_id:%(security_group:project_id)s",
        "external": "field:networks:router:external=True",
        "external_network": "field:subnets:router:external=True",
        "network_device": "field:port:device_owner=~^network:",
        "shared_security_group": "field:security_groups:shared=True",
        "shared_subnetpools": "field:subnetpools:shared=True",
        "shared_address_scopes": "field:address_scopes:shared=True",
        "shared_address_groups": "field:address_groups:shared=True",
        "shared_qos_policy": "field:policies:shared=True",
    ]

    /// Rules on single members.
    static let members: KeyValuePairs<String, String> = [
        "create_network:shared": admin, "create_network:router:external": admin, "create_network:is_default": admin,
        "create_network:port_security_enabled": adminOrMember, "create_network:provider:network_type": admin,
        "create_network:provider:physical_network": admin, "create_network:provider:segmentation_id": admin,
        "create_network:segments": admin, "get_network:segments": admin, "update_network:segments": admin,
        "get_network:provider:network_type": admin, "get_network:provider:physical_network": admin,
        "get_network:provider:segmentation_id": admin,
        "update_network:shared": admin, "update_network:router:external": admin, "update_network:is_default": admin,
        "update_network:port_security_enabled": adminOrMember, "update_network:provider:network_type": admin,
        "update_network:provider:physical_network": admin, "update_network:provider:segmentation_id": admin,
        "create_subnet:segment_id": admin, "create_subnet:service_types": admin, "get_subnet:segment_id": admin,
        "update_subnet:segment_id": admin, "update_subnet:service_types": admin,
        "create_port:device_id": adminOrMember + " or rule:service_api", "create_port:device_owner": device,
        "create_port:mac_address": privileged, "create_port:fixed_ips": createPort,
        "create_port:fixed_ips:ip_address": privileged, "create_port:fixed_ips:subnet_id": createPort,
        "create_port:port_security_enabled": privileged, "create_port:binding:host_id": adminOrService,
        "create_port:binding:profile": service, "create_port:binding:vnic_type": vnic,
        "create_port:allowed_address_pairs": pairs, "create_port:allowed_address_pairs:mac_address": pairs,
        "create_port:allowed_address_pairs:ip_address": pairs,
        "get_port:binding:vif_type": adminOrService, "get_port:binding:vif_details": adminOrService,
        "get_port:binding:host_id": adminOrService, "get_port:binding:profile": adminOrService,
        "get_port:resource_request": admin, "create_port:hints": admin, "create_port:trusted": admin,
        "get_port:hints": admin, "get_port:trusted": admin, "update_port:hints": admin, "update_port:trusted": admin,
        "update_port:data_plane_status": "(rule:admin_only) or role:data_plane_integrator",
        "update_port:device_id": adminOrMember + " or rule:service_api", "update_port:device_owner": device,
        "update_port:mac_address": adminOrService + " or role:manager and rule:network_owner",
        "update_port:fixed_ips": privileged, "update_port:fixed_ips:ip_address": privileged,
        "update_port:fixed_ips:subnet_id": createPort, "update_port:port_security_enabled": privileged,
        "update_port:binding:host_id": adminOrService, "update_port:binding:profile": service,
        "update_port:binding:vnic_type": updatePort, "update_port:allowed_address_pairs": pairs,
        "update_port:allowed_address_pairs:mac_address": pairs, "update_port:allowed_address_pairs:ip_address": pairs,
        "create_network:pvlan": adminOrMember, "update_network:pvlan": adminOrMember,
        "create_port:pvlan_type": adminOrMember, "create_port:pvlan_community": adminOrMember,
        "update_port:pvlan_type": adminOrMember, "update_port:pvlan_community": adminOrMember,
        "create_router:external_gateway_info": adminOrMember,
        "create_router:external_gateway_info:network_id": adminOrMember,
        "create_router:external_gateway_info:enable_snat": admin,
        "create_router:external_gateway_info:external_fixed_ips": admin,
        "update_router:external_gateway_info": adminOrMember,
        "update_router:external_gateway_info:network_id": adminOrMember,
        "update_router:external_gateway_info:enable_snat": admin,
        "update_router:external_gateway_info:external_fixed_ips": admin,
        "create_router:ha": admin, "update_router:ha": admin, "get_router:ha": admin,
        "create_router:enable_default_route_bfd": admin, "update_router:enable_default_route_bfd": admin,
        "create_router:enable_default_route_ecmp": admin, "update_router:enable_default_route_ecmp": admin,
        "add_external_gateways:external_gateways": adminOrMember,
        "add_external_gateways:external_gateways:network_id": adminOrMember,
        "add_external_gateways:external_gateways:enable_snat": admin,
        "add_external_gateways:external_gateways:external_fixed_ips": admin,
        "update_external_gateways:external_gateways": adminOrMember,
        "update_external_gateways:external_gateways:network_id": adminOrMember,
        "update_external_gateways:external_gateways:enable_snat": admin,
        "update_external_gateways:external_gateways:external_fixed_ips": admin,
        "remove_external_gateways:external_gateways": adminOrMember,
        "create_floatingip:floating_ip_address": adminOrManager,
        "create_subnetpool:shared": admin, "create_subnetpool:is_default": admin,
        "update_subnetpool:is_default": admin, "create_address_scope:shared": admin,
        "update_address_scope:shared": admin, "create_rbac_policy:target_project": wildcard,
        "update_rbac_policy:target_project": wildcard,
    ]
}
