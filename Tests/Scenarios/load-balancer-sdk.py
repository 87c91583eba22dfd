#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Walks openstacksdk's load_balancer proxy over the cloud of OS_*: a whole tree in one call, every noun made, found,
changed and deleted, figures, quotas, failover and a cascade. Says what it did; the first thing that is wrong ends it."""
import sys

import openstack
from openstack import exceptions


def same(what, found, wanted):
    if found != wanted:
        sys.exit(f"{what}: {found!r} instead of {wanted!r}")


def walk(cloud):
    proxy = cloud.load_balancer
    network = cloud.network.create_network(name="sdk")
    subnet = cloud.network.create_subnet(network_id=network.id, ip_version=4, cidr="10.77.0.0/24")

    tree = proxy.create_load_balancer(
        name="tree", vip_subnet_id=subnet.id, tags=["a"],
        listeners=[{
            "name": "front", "protocol": "HTTP", "protocol_port": 80, "default_pool": {"name": "web"},
            "l7policies": [{
                "name": "images", "action": "REDIRECT_TO_POOL",
                "redirect_pool": {"name": "pictures", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN"},
                "rules": [{"type": "PATH", "compare_type": "STARTS_WITH", "value": "/i"}]}]}],
        pools=[{
            "name": "web", "protocol": "HTTP", "lb_algorithm": "LEAST_CONNECTIONS",
            "members": [{"address": "10.77.0.50", "protocol_port": 80}, {"address": "10.77.0.51", "protocol_port": 80}],
            "healthmonitor": {"type": "HTTP", "delay": 5, "timeout": 3, "max_retries": 1, "url_path": "/up"}}])
    tree = proxy.wait_for_load_balancer(tree.id, status="ACTIVE", failures=["ERROR"], interval=0.2, wait=60)
    same("pools of the tree", len(tree.pools), 2)
    same("listeners of the tree", len(tree.listeners), 1)
    same("found by its name", proxy.find_load_balancer("tree").id, tree.id)
    listener = proxy.find_listener("front")
    web = proxy.find_pool("web")
    same("the listener's pool", listener.default_pool_id, web.id)
    same("members", sorted(member.address for member in proxy.members(web)), ["10.77.0.50", "10.77.0.51"])
    policy = proxy.find_l7_policy("images")
    same("rules", [rule.rule_value for rule in proxy.l7_rules(policy)], ["/i"])

    # What is busy may be edited: nobody waits between these.
    proxy.update_load_balancer(tree, name="forest", description="d", tags=["a", "b"])
    proxy.update_listener(listener, connection_limit=9, insert_headers={"X-Forwarded-For": "true"})
    proxy.update_pool(web, lb_algorithm="ROUND_ROBIN")
    member = proxy.create_member(web, address="10.77.0.52", protocol_port=80, weight=3, name="third")
    proxy.update_member(member, web, weight=5)
    monitor = proxy.get_health_monitor(web.health_monitor_id)
    proxy.update_health_monitor(monitor, delay=7)
    proxy.update_l7_policy(policy, position=1, description="x")
    rule = proxy.create_l7_rule(policy, type="HOST_NAME", compare_type="EQUAL_TO", value="a.example.org")
    proxy.update_l7_rule(rule, policy, rule_value="b.example.org")
    tree = proxy.wait_for_load_balancer(tree.id, status="ACTIVE", failures=["ERROR"], interval=0.2, wait=60)
    same("the name", tree.name, "forest")
    same("the tags", sorted(tree.tags), ["a", "b"])
    same("the limit", proxy.get_listener(listener).connection_limit, 9)
    same("the weight", proxy.get_member(member, web).weight, 5)
    same("the delay", proxy.get_health_monitor(monitor).delay, 7)
    same("the rule", proxy.get_l7_rule(rule, policy).rule_value, "b.example.org")

    same("figures", proxy.get_load_balancer_statistics(tree.id).total_connections, 0)
    same("a listener's figures", proxy.get_listener_statistics(listener.id).active_connections, 0)
    proxy.failover_load_balancer(tree.id)
    proxy.wait_for_load_balancer(tree.id, status="ACTIVE", failures=["ERROR"], interval=0.2, wait=60)

    same("providers", {"haproxy", "ovn"} <= {item.name for item in proxy.providers()}, True)
    same("capabilities", len(list(proxy.provider_flavor_capabilities("haproxy"))) > 0, True)
    profile = proxy.create_flavor_profile(
        name="sdk", provider_name="haproxy", flavor_data='{"maximum_connections": 100}')
    flavor = proxy.create_flavor(name="sdk", flavor_profile_id=profile.id, is_enabled=True)
    same("the flavor", proxy.find_flavor("sdk").id, flavor.id)
    zones = proxy.create_availability_zone_profile(
        name="sdk", provider_name="haproxy", availability_zone_data=f'{{"valid_vip_networks": ["{network.id}"]}}')
    proxy.create_availability_zone(name="sdk", availability_zone_profile_id=zones.id, is_enabled=True)
    small = proxy.create_load_balancer(
        name="small", vip_network_id=network.id, flavor_id=flavor.id, availability_zone="sdk")
    small = proxy.wait_for_load_balancer(small.id, status="ACTIVE", failures=["ERROR"], interval=0.2, wait=60)
    proxy.delete_load_balancer(small)
    proxy.wait_for_delete(small, interval=0.2, wait=60)
    proxy.delete_availability_zone("sdk")
    proxy.delete_availability_zone_profile(zones)
    proxy.delete_flavor(flavor)
    proxy.delete_flavor_profile(profile)
    same("amphorae", list(proxy.amphorae()), [])

    project = cloud.session.get_project_id()
    proxy.update_quota(project, pool=77)
    same("the quota", proxy.get_quota(project).pools, 77)
    proxy.delete_quota(project)

    proxy.delete_l7_rule(rule, policy)
    proxy.delete_l7_policy(policy)
    proxy.delete_health_monitor(monitor)
    proxy.delete_member(member, web)
    try:
        proxy.delete_load_balancer(tree)
        sys.exit("a balancer with children was deleted")
    except exceptions.BadRequestException:
        pass
    proxy.delete_load_balancer(tree, cascade=True)
    proxy.wait_for_delete(tree, interval=0.2, wait=60)
    same("balancers", [item.name for item in proxy.load_balancers(name="forest")], [])
    same("listeners", [item.name for item in proxy.listeners(name="front")], [])
    cloud.network.delete_network(network)
    print("walked")


if __name__ == "__main__":
    walk(openstack.connect())
