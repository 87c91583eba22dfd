#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures what budgets.tsv promises.   bench.py BINARY [--only start,idle,...] [--seconds 5] [--mib 512]"""
import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

import boots as boot_figures
import identity as identity_figures
import lifecycle as lifecycle_figures
import network as network_figures
from cloud import Cloud
from plain import PlainServer

HERE = pathlib.Path(__file__).resolve().parent
found = {}


def note(figure, value, detail=""):
    found[figure] = value
    print(f"  {figure:<18} {value:>10.1f}  {detail}", flush=True)


# ---------------------------------------------------------------------- CPU per request
def wrk(url, headers, seconds, connections=16, lua=""):
    script = "".join(f"wrk.headers[{json.dumps(k)}] = {json.dumps(v)}\n" for k, v in headers.items()) + lua
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as f:
        f.write(script)
        f.flush()
        out = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", f.name, url],
                             capture_output=True, text=True, timeout=seconds + 60).stdout
    m = re.search(r"(\d+) requests in", out)
    if not m:
        raise SystemExit(f"wrk: {out}")
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    if bad:
        raise SystemExit(f"{url}: {bad[1]} of {m[1]} answers were errors")
    return int(m[1]), re.search(r"99%\s+(\S+)", out)[1]


def cpu_per_request(cloud, figure, url, options, headers=None, lua=""):
    headers = {"X-Auth-Token": cloud.token, "OpenStack-API-Version": "compute 2.90", **(headers or {})}
    wrk(url, headers, 1, lua=lua)
    before, begin = cloud.cpu(), time.monotonic()
    requests, p99 = wrk(url, headers, options.seconds, lua=lua)
    used, wall = cloud.cpu() - before, time.monotonic() - begin
    note(figure, 1e6 * used / requests, f"us CPU; {requests / wall:,.0f} req/s, p99 {p99}")


def cpu_per_list(cloud, figure, url, collection, headers=None, count=1000, rounds=20):
    """What a list of `count` costs, after the first answer and once the cloud is at rest."""
    cloud.call("GET", url, None, headers)
    rest(cloud)
    before, begin = cloud.cpu(), time.monotonic()
    for _ in range(rounds):
        status, _, body = cloud.call("GET", url, None, headers)
    used, wall = 1e3 * (cloud.cpu() - before) / rounds, 1e3 * (time.monotonic() - begin) / rounds
    found_here = len(json.loads(body)[collection])
    assert status == 200 and found_here == count, f"{url}: {status}, {found_here} of {count}"
    note(figure, used, f"ms CPU; {wall:.1f} ms, {len(body) / 1e6:.2f} MB")


# ---------------------------------------------------------------------- the figures
def start(options):
    times = []
    for _ in range(3):
        cloud = Cloud(options.binary)
        for service in cloud.catalog:
            status = cloud.call("GET", re.match(r"https?://[^/]+", cloud.url(service, ""))[0] + "/")[0]
            if status >= 500:
                raise SystemExit(f"{service} answers {status} although the cloud said it is ready")
        times.append(cloud.start_ms)
        cloud.stop()
    note("start", statistics.median(times), "ms: " + ", ".join(f"{t:.0f}" for t in times))


def idle(options):
    cloud = Cloud(options.binary)
    time.sleep(3)
    before = cloud.cpu()
    time.sleep(options.seconds)
    rss, pss = cloud.memory()
    note("idle_rss", rss, f"MiB (PSS {pss:.1f})")
    note("idle_cpu", 100 * (cloud.cpu() - before) / options.seconds, "% of one core")
    cloud.stop()


def reads(options):
    cloud = Cloud(options.binary)
    tokens = [cloud.new_token()[0] for _ in range(32)]
    lua = ("local subjects = {" + ",".join(json.dumps(t) for t in tokens) + "}\nlocal i = 0\n"
           'request = function() i = i % #subjects + 1; wrk.headers["X-Subject-Token"] = subjects[i]; '
           "return wrk.format() end\n")
    cpu_per_request(cloud, "validate_token", cloud.auth_url + "/auth/tokens", options, lua=lua)
    cpu_per_request(cloud, "read_project", f"{cloud.auth_url}/projects/{cloud.project}", options)
    image, flavor, network = fixtures(cloud)
    cpu_per_request(cloud, "read_flavor", cloud.url("compute", f"/flavors/{flavor}", "v2.1"), options)
    cpu_per_request(cloud, "read_image", cloud.url("image", f"/images/{image}", "v2"), options)
    cpu_per_request(cloud, "read_network", cloud.url("network", f"/networks/{network}", "v2.0"), options)
    server = boot(cloud, "one", 1, (image, flavor, network))["id"]
    settle(cloud, 1)
    cpu_per_request(cloud, "read_server", cloud.url("compute", f"/servers/{server}", "v2.1"), options)
    cloud.stop()


def fixtures(cloud):
    images = cloud.url("image", "/images", "v2")
    image = cloud.json("POST", images, {"name": "bench", "disk_format": "raw", "container_format": "bare"})["id"]
    status = cloud.call("PUT", f"{images}/{image}/file", b"x" * 65536, {"Content-Type": "application/octet-stream"})[0]
    assert status == 204, status
    flavor = cloud.json("POST", cloud.url("compute", "/flavors", "v2.1"), {
        "flavor": {"name": "bench", "ram": 64, "vcpus": 1, "disk": 1}})["flavor"]["id"]
    network = cloud.json("POST", cloud.url("network", "/networks", "v2.0"), {
        "network": {"name": "bench"}})["network"]["id"]
    cloud.json("POST", cloud.url("network", "/subnets", "v2.0"), {
        "subnet": {"network_id": network, "ip_version": 4, "cidr": "10.64.0.0/16"}})
    cloud.json("PUT", cloud.url("compute", f"/os-quota-sets/{cloud.project}", "v2.1"), {
        "quota_set": {"instances": -1, "cores": -1, "ram": -1}})
    cloud.json("PUT", cloud.url("network", f"/quotas/{cloud.project}", "v2.0"), {"quota": {"port": -1}})
    return image, flavor, network


def boot(cloud, name, count, what):
    image, flavor, network = what
    return cloud.json("POST", cloud.url("compute", "/servers", "v2.1"), {"server": {
        "name": name, "imageRef": image, "flavorRef": flavor, "networks": [{"uuid": network}],
        "min_count": count, "max_count": count}})["server"]


def servers(cloud, query):
    return cloud.json("GET", cloud.url("compute", f"/servers/detail?limit=1000{query}", "v2.1"))["servers"]


def settle(cloud, total, limit=300):
    """Wait until `total` servers are ACTIVE."""
    end = time.monotonic() + limit
    while True:
        rows = servers(cloud, "")
        if len(rows) == total and all(s["status"] == "ACTIVE" for s in rows):
            return
        wrong = [s.get("fault") for s in rows if s["status"] == "ERROR"]
        if wrong or time.monotonic() > end:
            raise SystemExit(f"{len(rows)} of {total} servers, {len(wrong)} in ERROR: {wrong[:1]}")
        time.sleep(0.2)


def rest(cloud, limit=30):
    """Wait until nothing is left of the boots: what concludes them would be counted with the list."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        before = cloud.cpu()
        time.sleep(1)
        if cloud.cpu() - before <= 0.02:
            return


def burst(options):
    cloud = Cloud(options.binary, hosts=1000)
    what = fixtures(cloud)
    begin = time.monotonic()
    boot(cloud, "burst", 200, what)
    accepted = time.monotonic() - begin
    while True:
        rows = servers(cloud, "")
        if len(rows) == 200 and all(s.get("OS-EXT-SRV-ATTR:host") for s in rows):
            break
        if time.monotonic() - begin > 120:
            raise SystemExit("not all of 200 servers have a host after 120 s")
        time.sleep(0.02)
    note("burst_accepted", accepted * 1000, "ms")
    note("burst_scheduled", (time.monotonic() - begin) * 1000, "ms")
    settle(cloud, 200)
    note("burst_active", (time.monotonic() - begin) * 1000, "ms until all 200 are ACTIVE (no budget)")
    for n in range(4):
        boot(cloud, f"fill{n}", 200, what)
        settle(cloud, 400 + 200 * n)
    details = cloud.url("compute", "/servers/detail?limit=1000", "v2.1")
    for figure, version in (("list_servers", "2.90"), ("list_servers_first", "2.1"), ("list_servers_last", "latest")):
        cpu_per_list(cloud, figure, details, "servers", {"OpenStack-API-Version": f"compute {version}"})
    cpu_per_list(cloud, "list_server_names", cloud.url("compute", "/servers?limit=1000", "v2.1"), "servers")
    rss, pss = cloud.memory()
    note("rss_1000_servers", rss, f"MiB (PSS {pss:.1f})")
    cloud.stop()


# ---------------------------------------------------------------------- images
def images(options):
    cloud = Cloud(options.binary)
    url = cloud.url("image", "/images", "v2")
    for n in range(1000):
        image = cloud.json("POST", url, {
            "name": f"image {n}", "disk_format": "raw", "container_format": "bare", "tags": ["bench", f"t{n % 7}"],
            "os_distro": "debian", "hw_disk_bus": "virtio"})["id"]
    cpu_per_request(cloud, "show_image", f"{url}/{image}", options)
    cloud.call("GET", url + "?limit=1000")
    rest(cloud)
    rounds, before = 40, cloud.cpu()
    for _ in range(rounds):
        status, _, body = cloud.call("GET", url + "?limit=1000")
    assert status == 200 and len(json.loads(body)["images"]) == 1000
    note("list_images", 1000 * (cloud.cpu() - before) / rounds, f"ms CPU; {len(body) / 1e6:.2f} MB")
    cloud.stop()


def identity(options):
    identity_figures.run(options, cpu_per_request, note)


# ---------------------------------------------------------------------- servers come and go
def lifecycle(options):
    lifecycle_figures.run(options, Cloud, fixtures, boot, note)


# ---------------------------------------------------------------------- network
def network(options):
    network_figures.run(options, wrk, note, cpu_per_list, cpu_per_request)


# ---------------------------------------------------------------------- real guests
def boots(options):
    boot_figures.run(options, note)


# ---------------------------------------------------------------------- placement
def placement(options):
    cloud = Cloud(options.binary)
    base = cloud.url("placement", "")
    headers = {"OpenStack-API-Version": "placement 1.39"}
    uuids = [f"{n:08x}-0000-4000-8000-{n:012x}" for n in range(10000)]
    stock = {"resource_provider_generation": 0, "inventories": {
        "VCPU": {"total": 64, "allocation_ratio": 16.0}, "MEMORY_MB": {"total": 262144, "reserved": 512},
        "DISK_GB": {"total": 2000}}}

    def make(uuid):
        for method, path, body in (("POST", "", {"uuid": uuid, "name": "host-" + uuid}),
                                   ("PUT", f"/{uuid}/inventories", stock)):
            status, _, answer = cloud.call(method, f"{base}/resource_providers{path}", body, headers)
            assert status == 200, answer

    def cpu_per_call(figure, path, rounds, detail):
        status, _, body = cloud.call("GET", base + path, None, headers)
        assert status == 200, body[:300]
        before = cloud.cpu()
        for _ in range(rounds):
            body = cloud.call("GET", base + path, None, headers)[2]
        used = 1000 * (cloud.cpu() - before) / rounds
        note(figure, used, f"ms CPU; {len(body) / 1e6:.2f} MB; {detail(json.loads(body))}")

    have = len(json.loads(cloud.call("GET", base + "/resource_providers", None, headers)[2])["resource_providers"])
    for uuid in uuids[:1000 - have]:
        make(uuid)
    cpu_per_call("list_providers", "/resource_providers", 40, lambda d: f"{len(d['resource_providers'])} providers")
    for uuid in uuids[1000 - have:]:
        make(uuid)
    ask = "/allocation_candidates?resources=VCPU:1,MEMORY_MB:512,DISK_GB:1"
    count = lambda d: f"{len(d['allocation_requests'])} candidates"
    cpu_per_call("candidates_100", ask + "&limit=100", 100, count)
    cpu_per_call("candidates_all", ask, 10, count)
    write_allocations(cloud, base, uuids, options)
    cpu_per_call("candidates_after", ask + "&limit=100", 1, count)
    cloud.stop()


def write_allocations(cloud, base, uuids, options):
    """64 clients, each request a new consumer on the next provider."""
    body = json.dumps({
        "allocations": {"%s": {"resources": {"VCPU": 1, "MEMORY_MB": 8, "DISK_GB": 1}}}, "project_id": cloud.project,
        "user_id": cloud.project, "consumer_generation": None, "consumer_type": "INSTANCE"})
    path = re.sub(r"^https?://[^/]+", "", base)
    lua = (f"local body = {json.dumps(body)}\nlocal n = 0\nlocal tag = os.time() % 65536\n"
           "request = function()\n  n = n + 1\n  local p = n % 10000\n"
           '  local uuid = string.format("%08x-0000-4000-8000-%012x", p, p)\n'
           f'  local path = string.format("{path}/allocations/%08x-1111-4000-8000-%012x", tag, n)\n'
           '  return wrk.format("PUT", path, nil, string.format(body, uuid))\nend\n')
    headers = {"X-Auth-Token": cloud.token, "OpenStack-API-Version": "placement 1.39",
               "Content-Type": "application/json"}
    before, begin = cloud.cpu(), time.monotonic()
    requests, p99 = wrk(base + "/", headers, options.seconds, connections=64, lua=lua)
    used, wall = cloud.cpu() - before, time.monotonic() - begin
    note("allocation_write", 1e6 * used / requests, f"us CPU; {requests / wall:,.0f}/s with 64 clients, p99 {p99}")
    note("allocation_rate", requests / wall, "/s")


def placed(cloud):
    """How many servers have a host."""
    status, _, body = cloud.call("GET", cloud.url("compute", "/os-hypervisors/statistics", "v2.1"),
                                 headers={"OpenStack-API-Version": "compute 2.87"})
    assert status == 200, (status, body)
    return json.loads(body)["hypervisor_statistics"]["running_vms"]


def scale(options):
    cloud = Cloud(options.binary, hosts=10000)
    what = fixtures(cloud)
    begin = time.monotonic()
    boot(cloud, "scale", 10000, what)
    note("scale_accepted", (time.monotonic() - begin) * 1000, "ms (no budget)")
    while placed(cloud) < 10000:
        if time.monotonic() - begin > 300:
            raise SystemExit("not all of 10,000 servers have a host after 300 s")
        time.sleep(0.5)
    note("scale_scheduled", (time.monotonic() - begin) * 1000, "ms")
    cloud.stop()


# ---------------------------------------------------------------------- transfer
def curl(cloud, *words):
    begin = time.monotonic()
    out = subprocess.run(
        ["curl", "-sS", "--noproxy", "*", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Expect:",
         "-H", f"X-Auth-Token: {cloud.token}", *words], capture_output=True, text=True, timeout=600)
    if not out.stdout.startswith("2"):
        raise SystemExit(f"curl {words[-1]}: {out.stdout} {out.stderr}")
    return time.monotonic() - begin


def transfer(options):
    with tempfile.TemporaryDirectory(prefix="apus-bench.") as folder:
        source = os.path.join(folder, "source")
        with open(source, "wb") as f:
            block = os.urandom(1 << 20)
            for i in range(options.mib):
                f.write(i.to_bytes(8, "big") + block[8:])
        cloud = Cloud(options.binary, parent=folder)
        images = cloud.url("image", "/images", "v2")
        seconds = {"copy": [], "up": [], "read": [], "down": []}
        plain = PlainServer(source, os.path.join(folder, "copy"))
        before = cloud.peak(reset=True)
        for _ in range(3):
            image = cloud.json("POST", images, {"name": "b", "disk_format": "raw", "container_format": "bare"})["id"]
            seconds["copy"].append(curl(cloud, "-X", "PUT", "-T", source, plain.url))
            seconds["up"].append(curl(cloud, "-X", "PUT", "-H", "Content-Type: application/octet-stream", "-T", source,
                                      f"{images}/{image}/file"))
            seconds["read"].append(curl(cloud, plain.url))
            seconds["down"].append(curl(cloud, f"{images}/{image}/file"))
            cloud.json("DELETE", f"{images}/{image}")
        mbs = {k: options.mib * 1.048576 / statistics.median(v) for k, v in seconds.items()}
        note("upload_ratio", 100 * mbs["up"] / mbs["copy"], f"%; {mbs['up']:,.0f} of {mbs['copy']:,.0f} MB/s")
        note("download_ratio", 100 * mbs["down"] / mbs["read"], f"%; {mbs['down']:,.0f} of {mbs['read']:,.0f} MB/s")
        note("transfer_growth", cloud.peak() - before, f"MiB over {3 * options.mib} MiB each way")
        cloud.stop()


def verdict():
    """The table; the number of budgets missed."""
    missed = 0
    print(f"\n{'figure':<18} {'measured':>10} {'':2} {'budget':>8} {'unit':<7} verdict")
    for line in (HERE / "budgets.tsv").read_text().splitlines():
        if line.startswith("#") or not line.strip():
            continue
        figure, how, budget, unit, what = line.split("\t")
        if figure not in found:
            continue
        kept = found[figure] <= float(budget) if how == "<=" else found[figure] >= float(budget)
        missed += not kept
        word = "kept" if kept else "MISSED"
        print(f"{figure:<18} {found[figure]:>10.1f} {how} {budget:>8} {unit:<7} {word:<7} {what}")
    return missed


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary")
    everything = "start,idle,reads,images,identity,network,burst,lifecycle,placement,transfer,boots"
    parser.add_argument("--only", default=everything)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--mib", type=int, default=512)
    options = parser.parse_args()
    parts = {"start": start, "idle": idle, "reads": reads, "burst": burst, "scale": scale, "lifecycle": lifecycle,
             "identity": identity, "images": images, "network": network, "placement": placement, "transfer": transfer,
             "boots": boots}
    for name in options.only.split(","):
        print(name, flush=True)
        parts[name](options)
    sys.exit(1 if verdict() else 0)


if __name__ == "__main__":
    main()
