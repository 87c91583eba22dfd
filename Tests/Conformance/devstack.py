#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Furnish a new cloud as DevStack leaves one, for suites that expect one: devstack.py DATA IMAGE

DATA is the cloud's folder, IMAGE a qcow2 disk. Makes the projects, users, flavors, networks and the image, and writes
DATA/devstack/clouds.yaml with DevStack's names: devstack, devstack-alt, devstack-admin, devstack-system-admin, ...
"""
import json
import pathlib
import sys

import openstack
import yaml

PASSWORD = 'secretsecret'
IMAGE_NAME = 'cirros-0.6.3-x86_64-disk'
FLAVORS = [  # name, id, MiB, GB, processors
    ('m1.tiny', '1', 512, 1, 1), ('m1.small', '2', 2048, 20, 1), ('m1.medium', '3', 4096, 40, 2),
    ('m1.large', '4', 8192, 80, 4), ('m1.xlarge', '5', 16384, 160, 8), ('cirros256', 'c1', 256, 1, 1),
    ('ds512M', 'd1', 512, 5, 1), ('ds1G', 'd2', 1024, 10, 1), ('ds2G', 'd3', 2048, 10, 2), ('ds4G', 'd4', 4096, 20, 4),
]
USERS = [  # name, project, roles there
    ('demo', 'demo', ['member', 'anotherrole']), ('demo', 'invisible_to_admin', ['member']),
    ('demo_reader', 'demo', ['reader']), ('alt_demo', 'alt_demo', ['member', 'anotherrole']),
    ('alt_demo_member', 'alt_demo', ['member']), ('alt_demo_reader', 'alt_demo', ['reader']),
    ('admin', 'demo', ['admin']), ('admin', 'alt_demo', ['admin']), ('system_member', None, ['member']),
    ('system_reader', None, ['reader']),
]
CLOUDS = [  # name, user, project; without one the scope is the system
    ('devstack', 'demo', 'demo'), ('devstack-admin', 'admin', 'admin'), ('devstack-admin-demo', 'admin', 'demo'),
    ('devstack-alt', 'alt_demo', 'alt_demo'), ('devstack-alt-member', 'alt_demo_member', 'alt_demo'),
    ('devstack-alt-reader', 'alt_demo_reader', 'alt_demo'), ('devstack-reader', 'demo_reader', 'demo'),
    ('functional_admin', 'admin', 'admin'), ('devstack-system-admin', 'admin', None),
    ('devstack-system-member', 'system_member', None),
    ('devstack-system-reader', 'system_reader', None),
]


def people(conn):
    """The projects and who is in them; returns the projects by name."""
    identity = conn.identity
    roles = {role.name: role for role in identity.roles()}
    for name in ('anotherrole', 'ResellerAdmin'):
        roles[name] = identity.create_role(name=name)
    projects = {project.name: project for project in identity.projects()}
    users = {user.name: user for user in identity.users()}
    for name, place, granted in USERS:
        if place and place not in projects:
            projects[place] = identity.create_project(name=place, domain_id='default')
        if name not in users:
            users[name] = identity.create_user(
                name=name, password=PASSWORD, domain_id='default', email=f'{name}@example.com')
        for role in granted:
            if place:
                identity.assign_project_role_to_user(projects[place], users[name], roles[role])
            else:
                identity.assign_system_role_to_user(users[name], roles[role], 'all')
    return projects


def networks(conn, demo):
    """The outside, and the demo project's own network behind a router."""
    network = conn.network
    pools = {
        version: network.create_subnet_pool(
            name=f'shared-default-subnetpool-v{version}', prefixes=[prefix], default_prefix_length=length,
            is_default=True, is_shared=True)
        for version, prefix, length in ((4, '10.0.0.0/22', 26), (6, 'fd5b:1::/56', 64))}
    public = network.create_network(
        name='public', is_router_external=True, is_default=True, provider_network_type='flat',
        provider_physical_network='physnet1')
    network.create_subnet(
        name='public-subnet', network_id=public.id, ip_version=4, cidr='172.24.4.0/24', gateway_ip='172.24.4.1',
        is_dhcp_enabled=False, allocation_pools=[{'start': '172.24.4.2', 'end': '172.24.4.254'}])
    network.create_subnet(
        name='ipv6-public-subnet', network_id=public.id, ip_version=6, cidr='2001:db8::/64',
        gateway_ip='2001:db8::2', is_dhcp_enabled=False)
    private = network.create_network(name='private', project_id=demo.id)
    inside = [network.create_subnet(
        name='private-subnet', network_id=private.id, project_id=demo.id, ip_version=4, subnet_pool_id=pools[4].id)]
    inside.append(network.create_subnet(
        name='ipv6-private-subnet', network_id=private.id, project_id=demo.id, ip_version=6,
        subnet_pool_id=pools[6].id, ipv6_ra_mode='slaac', ipv6_address_mode='slaac'))
    router = network.create_router(
        name='router1', project_id=demo.id, external_gateway_info={'network_id': public.id})
    for subnet in inside:
        network.add_interface_to_router(router, subnet_id=subnet.id)


def clouds(path, auth_url, password):
    """DevStack's names for who comes in."""
    entries = {}
    for name, user, project in CLOUDS:
        auth = {
            'auth_url': auth_url, 'username': user, 'password': password if user == 'admin' else PASSWORD,
            'user_domain_id': 'default'}
        auth.update({'project_name': project, 'project_domain_id': 'default'} if project else {'system_scope': 'all'})
        entries[name] = {'auth': auth, 'region_name': 'RegionOne', 'identity_api_version': '3'}
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump({'clouds': entries, 'functional': {'image_name': IMAGE_NAME}}))


def main():
    data, image = pathlib.Path(sys.argv[1]), sys.argv[2]
    own = yaml.safe_load((data / 'clouds.yaml').read_text())['clouds']['apus']['auth']
    conn = openstack.connect(region_name='RegionOne', identity_api_version='3', **own)
    for name, number, ram, disk, processors in FLAVORS:
        conn.compute.create_flavor(name=name, id=number, ram=ram, disk=disk, vcpus=processors)
    conn.create_image(
        IMAGE_NAME, filename=image, disk_format='qcow2', container_format='bare', visibility='public', wait=True,
        allow_duplicates=True)
    networks(conn, people(conn)['demo'])
    gateway = json.loads((data / 'cloud.json').read_text())['gateway']
    clouds(data / 'devstack' / 'clouds.yaml', gateway + '/identity', own['password'])


if __name__ == '__main__':
    main()
