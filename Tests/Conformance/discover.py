# SPDX-License-Identifier: Apache-2.0
"""What run-tempest asks a cloud about itself, to fill tempest.conf.in."""
import io
import os
import re
import sys


def connect():
    import openstack
    kw = {}
    if not os.environ.get('OS_CLOUD'):
        for v in ('OS_AUTH_URL', 'OS_USERNAME', 'OS_PASSWORD', 'OS_PROJECT_NAME'):
            if not os.environ.get(v):
                sys.exit(f'run-tempest: {v} is not set')
        kw = dict(
            auth=dict(
                auth_url=os.environ['OS_AUTH_URL'], username=os.environ['OS_USERNAME'],
                password=os.environ['OS_PASSWORD'], project_name=os.environ['OS_PROJECT_NAME'],
                user_domain_name=os.environ.get('OS_USER_DOMAIN_NAME', 'Default'),
                project_domain_name=os.environ.get('OS_PROJECT_DOMAIN_NAME', 'Default')),
            region_name=os.environ.get('OS_REGION_NAME') or None)
        if os.environ.get('OS_INSECURE', '').lower() in ('1', 'true', 'yes'):
            kw['verify'] = False
        elif os.environ.get('OS_CACERT'):
            kw['cacert'] = os.environ['OS_CACERT']
    return openstack.connect(**kw)


def attempt(what, fn, default=None):
    try:
        return fn()
    except Exception as e:  # noqa: BLE001 - whatever the cloud does, say it and go on
        print(f'note: {what}: {type(e).__name__}: {str(e)[:200]}', file=sys.stderr)
        return default


def images(a, conn, types, v):
    """The two smallest active images that all may use, or new ones."""
    env = os.environ.get
    found = []
    if 'image' in types:
        found = attempt('images', lambda: [
            i for i in conn.image.images(sort_key='created_at', sort_dir='asc')
            if i.status == 'active'], [])
        # an administrator sees everybody's images; the tests' users boot from public ones
        found = [i for i in found if i.visibility == 'public']
        if not found and a.fixtures:
            found = attempt('create image', lambda: [make_image(conn, n) for n in (1, 2)], [])
    found.sort(key=lambda i: (not re.search('cirros|tempest|conformance', i.name or '', re.I),
                               i.size or 0))
    v['IMAGE'] = env('TEMPEST_IMAGE') or (found[0].id if found else '')
    v['IMAGE_ALT'] = env('TEMPEST_IMAGE_ALT') or (
        found[1].id if len(found) > 1 else v['IMAGE'])


def flavors(a, conn, types, v):
    """The two smallest flavors and the number of hypervisors."""
    env = os.environ.get
    found, nodes, real = [], 1, False
    if 'compute' in types:
        found = attempt('flavors', lambda: list(conn.compute.flavors()), [])
        if len(found) < 2 and a.fixtures:
            found += attempt('create flavors', lambda: [
                conn.compute.create_flavor(name=f'conformance.{n}', ram=r, vcpus=1, disk=1)
                for n, r in (('nano', 128), ('micro', 192))], [])
        hosts = attempt('hypervisors', lambda: list(conn.compute.hypervisors(details=True)), [])
        nodes, real = len(hosts) or 1, any(h.hypervisor_type != 'fake' for h in hosts)
    found.sort(key=lambda f: (f.ram or 0, f.vcpus or 0, f.disk or 0))
    v['FLAVOR'] = env('TEMPEST_FLAVOR') or (found[0].id if found else '')
    v['FLAVOR_ALT'] = env('TEMPEST_FLAVOR_ALT') or (
        found[1].id if len(found) > 1 else v['FLAVOR'])
    v['COMPUTE_NODES'], v['MULTINODE'] = str(nodes), str(nodes > 1).lower()
    v['REAL_GUESTS'] = str(real).lower()  # made-up guests have no screen to look at
    v['MADE_UP_GUESTS'] = str(not real).lower()  # real ones need an agent for some things


def microversions(a, conn, types, v):
    """The newest compute version the cloud speaks: Tempest skips what is newer. With --strict, what is newer fails."""
    newest = None
    if 'compute' in types and not a.strict:
        newest = attempt('compute versions', lambda: conn.compute.get_endpoint_data().max_microversion)
    v['COMPUTE_VERSION'] = '.'.join(map(str, newest)) if newest else 'latest'


def networks(a, conn, types, v):
    """The external network and the extensions."""
    env = os.environ.get
    ext, exts = None, 'all'
    if 'network' in types:
        nets = attempt('networks', lambda: list(conn.network.networks(is_router_external=True)), [])
        want = env('TEMPEST_EXTERNAL_NETWORK')
        ext = next((n for n in nets if want in (None, n.id, n.name)), None)
        if not ext and a.fixtures:
            ext = attempt('create external network', lambda: make_external(conn))
        if a.fixtures:
            attempt('default pools', lambda: make_defaults(conn, ext))
        if not a.strict:
            names = attempt('network extensions', lambda: sorted(
                e.alias for e in conn.network.extensions()), [])
            exts = ','.join(names) or 'all'
    v['EXTERNAL_NETWORK'] = ext.id if ext else ''
    v['EXTERNAL_NETWORK_NAME'] = ext.name if ext else ''
    v['NETWORK_EXTENSIONS'] = exts


def bandwidths(a, conn, types, v):
    """A physical network that hosts promise bandwidth on, as Placement's traits name it, and whether packets, too."""
    found, packets = [], []
    if 'placement' in types:
        found = attempt('traits', lambda: conn.session.get(
            '/traits?name=startswith:CUSTOM_PHYSNET_&associated=true',
            endpoint_filter={'service_type': 'placement'}, microversion='1.6').json()['traits'], [])
        packets = attempt('packet rates', lambda: conn.session.get(
            '/resource_providers?resources=NET_PACKET_RATE_KILOPACKET_PER_SEC:1',
            endpoint_filter={'service_type': 'placement'}, microversion='1.14').json()['resource_providers'], [])
    v['PACKET_RATES'] = str(bool(found and packets)).lower()
    v['PHYSICAL_NETWORK'] = found[0][len('CUSTOM_PHYSNET_'):].lower() if found else ''


def objects(a, conn, types, v):
    """What the object store can do."""
    apis = 'all'
    if 'object-store' in types and not a.strict:
        info = attempt('object store /info', lambda: conn.object_store.get_info())
        if info is not None:
            body = info.to_dict() if hasattr(info, 'to_dict') else {}
            known = [k for k, x in body.items() if isinstance(x, dict) and k != 'location']
            raw = attempt('object store /info keys', lambda: raw_info(conn), known)
            apis = ','.join(sorted(raw)) or 'all'
    v['OBJECT_APIS'] = apis


def discover(a, work):
    conn = connect()
    auth = conn.config.config['auth']
    access = conn.session.auth.get_access(conn.session)
    catalog = access.service_catalog.catalog
    types = {s['type'] for s in catalog}
    regions = {e.get('region_id') or e.get('region') for s in catalog for e in s['endpoints']}
    env = os.environ.get
    have = {
        'COMPUTE': bool(types & {'compute'}), 'NETWORK': bool(types & {'network'}),
        'IMAGE': bool(types & {'image'}), 'OBJECT': bool(types & {'object-store'}),
        'VOLUME': bool(types & {'block-storage', 'volumev3', 'block-store', 'volume'})}
    if a.strict:
        have = dict.fromkeys(have, True)
    v = {f'HAVE_{k}': str(b).lower() for k, b in have.items()}
    region = conn.config.get_region_name() or env('OS_REGION_NAME') or next(
        iter(sorted(r for r in regions if r)), 'RegionOne')
    verify, cert = conn.config.get_requests_verify_args()[0], None
    if isinstance(verify, str):
        cert = verify
    v.update(
        WORKDIR=work, AUTH_URL=re.sub(r'/v3/?$', '', auth['auth_url']) + '/v3', REGION=region,
        ADMIN_USER=auth['username'], ADMIN_PASSWORD=auth['password'],
        ADMIN_PROJECT=auth.get('project_name', ''),
        ADMIN_USER_DOMAIN=auth.get('user_domain_name', 'Default'),
        ADMIN_PROJECT_DOMAIN=auth.get('project_domain_name', 'Default'),
        DEFAULT_DOMAIN_ID=access.user_domain_id or 'default',
        INSECURE=str(verify is False).lower(), CACERT=cert or '',
        DYNAMIC=str(not a.accounts).lower(),
        ACCOUNTS=os.path.abspath(a.accounts) if a.accounts else '',
        VALIDATION=str(a.validation).lower(), SSH_USER=env('TEMPEST_SSH_USER', 'cirros'),
        SCENARIO_IMAGE=env('TEMPEST_SCENARIO_IMAGE', os.path.join(work, 'scenario.img')),
        DASHBOARD_URL=env('TEMPEST_DASHBOARD_URL', ''),
        HAVE_DASHBOARD=str(bool(env('TEMPEST_DASHBOARD_URL'))).lower(),
        VOLUME_TYPE=next((t for t in ('block-storage', 'volumev3', 'block-store', 'volume')
                          if t in types), 'block-storage'))
    for ask in (images, flavors, microversions, networks, bandwidths, objects):
        ask(a, conn, types, v)
    if a.fixtures:
        attempt('roles', lambda: [
            conn.identity.find_role(r) or conn.identity.create_role(name=r)
            for r in ('member', 'reader', 'ResellerAdmin')])
        if 'compute-feature-enabled.unified_limits=true' in a.set:
            attempt('limits', lambda: make_limits(conn, region))
    if not env('TEMPEST_SCENARIO_IMAGE'):
        with open(v['SCENARIO_IMAGE'], 'wb') as f:
            f.truncate(1 << 20)
    return v


def raw_info(conn):
    base = conn.object_store.get_endpoint()
    root = re.sub(r'/v1(\.0)?/.*$', '', base)
    return list(conn.session.get(root + '/info', authenticated=False).json())


def make_image(conn, n):
    """A megabyte that never boots, or $TEMPEST_IMAGE_FILE, a qcow2 disk that does."""
    path = os.environ.get('TEMPEST_IMAGE_FILE')
    with open(path, 'rb') if path else io.BytesIO(bytes(1 << 20)) as data:
        return conn.image.create_image(
            f'conformance-{n}', data=data, disk_format='qcow2' if path else 'raw',
            container_format='bare', visibility='public', wait=True)


def make_external(conn):
    net = conn.network.create_network(
        name='public', is_router_external=True, provider_network_type='flat',
        provider_physical_network=os.environ.get('TEMPEST_PHYSICAL_NETWORK', 'external'))
    conn.network.create_subnet(
        name='public', network_id=net.id, ip_version=4, cidr='203.0.113.0/24', is_dhcp_enabled=False,
        gateway_ip='203.0.113.1', allocation_pools=[{'start': '203.0.113.10', 'end': '203.0.113.200'}])
    return net


def make_defaults(conn, ext):
    """What networks are made of for projects that have none, as DevStack has it."""
    if ext and not ext.is_default:
        conn.network.update_network(ext.id, is_default=True)
    known = {p.ip_version for p in conn.network.subnet_pools() if p.is_default}
    for version, prefix, length in ((4, '10.64.0.0/16', 26), (6, 'fd64:6470:7573::/48', 64)):
        if version not in known:
            conn.network.create_subnet_pool(
                name=f'shared-default-subnetpool-v{version}', prefixes=[prefix], default_prefix_length=length,
                is_shared=True, is_default=True)


def make_limits(conn, region):
    """What Compute asks Identity about when its quota driver is that of unified limits."""
    nova = next(s for s in conn.identity.services() if s.type == 'compute')
    known = {limit.resource_name for limit in conn.identity.registered_limits(service_id=nova.id)}
    for name, value in (('servers', 10), ('class:VCPU', 20), ('class:MEMORY_MB', 51200), ('class:DISK_GB', 1000)):
        if name not in known:
            conn.identity.create_registered_limit(
                service_id=nova.id, region_id=region, resource_name=name, default_limit=value)
