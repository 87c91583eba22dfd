# SPDX-License-Identifier: Apache-2.0
"""Network's figures: what ports cost to make, to show and to list, and other lists of a thousand; how many ports come a
second, and that no address is given twice."""
import json
import time

from cloud import Cloud


def run(options, wrk, note, cpu_per_list, cpu_per_request):
    cloud = Cloud(options.binary)
    base = cloud.url("network", "/v2.0")
    unbounded = ("port", "network", "subnet", "security_group", "security_group_rule")
    quota = {"quota": dict.fromkeys(unbounded, -1)}
    cloud.json("PUT", f"{base}/quotas/{cloud.project}", quota)
    network = cloud.json("POST", f"{base}/networks", {"network": {"name": "bench"}})["network"]["id"]
    subnet = {"network_id": network, "ip_version": 4, "cidr": "10.0.0.0/12"}
    cloud.json("POST", f"{base}/subnets", {"subnet": subnet})

    def create(clients, seconds):
        body = json.dumps({"port": {"network_id": network, "name": "p"}})
        lua = f'wrk.method = "POST"\nwrk.body = {json.dumps(body)}\n'
        headers = {"X-Auth-Token": cloud.token, "Content-Type": "application/json"}
        before, begin = cloud.cpu(), time.monotonic()
        requests, p99 = wrk(f"{base}/ports", headers, seconds, connections=clients, lua=lua)
        return (cloud.cpu() - before) / requests, requests / (time.monotonic() - begin), p99

    ports = [{"network_id": network, "name": f"port-{n}"} for n in range(1000)]
    for start in range(0, 1000, 250):
        cloud.json("POST", f"{base}/ports", {"ports": ports[start:start + 250]})
    cpu_per_list(cloud, "list_ports", f"{base}/ports?limit=1000&network_id={network}", "ports")
    port = cloud.json("GET", f"{base}/ports?limit=1")["ports"][0]["id"]
    cpu_per_request(cloud, "show_port", f"{base}/ports/{port}", options)
    for start in range(0, 1000, 250):
        names = [{"name": f"network-{n}"} for n in range(start, start + 250)]
        cloud.json("POST", f"{base}/networks", {"networks": names})
        groups = [{"name": f"group-{n}"} for n in range(start, start + 250)]
        cloud.json("POST", f"{base}/security-groups", {"security_groups": groups})
    cpu_per_list(cloud, "list_networks", f"{base}/networks?limit=1000", "networks")
    cpu_per_list(cloud, "list_security_groups", f"{base}/security-groups?limit=1000", "security_groups")

    # A port's way through the sync loop is in the figure: the fake back end takes it as OVN would.
    cost, rate, p99 = create(16, options.seconds)
    note("create_port", 1e6 * cost, f"us CPU; {rate:,.0f}/s with 16 clients, p99 {p99}")
    note("port_rate", rate, "/s")
    _, rate, p99 = create(64, 3)
    seen, marker = set(), ""
    while True:
        page = cloud.json("GET", f"{base}/ports?limit=5000&fields=id&fields=fixed_ips{marker}")["ports"]
        for port in page:
            for address in port["fixed_ips"]:
                assert address["ip_address"] not in seen, f"{address['ip_address']} was given twice"
                seen.add(address["ip_address"])
        if len(page) < 5000:
            break
        marker = "&marker=" + page[-1]["id"]
    print(f"  {len(seen):,} addresses, none of them twice; {rate:,.0f} ports/s with 64 clients, p99 {p99}")
    cloud.stop()
