#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a boot costs on top of QEMU's own start, on real guests (root).   boots.py BINARY [--count 9]

A server without a system boots, from POST to ACTIVE; then its own domain is stopped and started by virsh alone. The
difference of the medians is ours: the API, scheduling, the port, the disk, the domain's definition, the records."""
import argparse
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import tempfile
import time

from cloud import free_offset, read_clouds


class RealCloud:
    def __init__(self, binary):
        self.folder = tempfile.mkdtemp(prefix="apus-boots.")
        self.offset = free_offset()
        self.log = os.path.join(self.folder, "up.log")
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [binary, "up", "--data", self.folder, "--hypervisor", "libvirt", "--network", "ovn", "--port-offset",
                 str(self.offset)], stdout=log, stderr=log, start_new_session=True)
        begin = time.monotonic()
        while not re.search(rb"^ready in \d+ ms", open(self.log, "rb").read(), re.M):
            if self.process.poll() is not None or time.monotonic() - begin > 180:
                raise SystemExit(open(self.log).read())
            time.sleep(0.05)
        self.facts = json.loads(pathlib.Path(self.folder, "cloud.json").read_text())
        env = read_clouds(os.path.join(self.folder, "clouds.yaml"))
        self.token = None
        answer = self.call("identity", "POST", "/v3/auth/tokens", {"auth": {
            "identity": {"methods": ["password"], "password": {"user": {
                "name": env["username"], "password": env["password"], "domain": {"id": "default"}}}},
            "scope": {"project": {"name": env["project_name"], "domain": {"id": "default"}}}}}, raw=True)
        self.token = answer.getheader("X-Subject-Token")

    ports = {"identity": 5000, "compute": 8774, "network": 9696, "image": 9292}

    def call(self, service, method, path, body=None, raw=False, kind="application/json"):
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[service] + self.offset, timeout=60)
        data = body if isinstance(body, (bytes, type(None))) else json.dumps(body).encode()
        headers = {"Content-Type": kind, "OpenStack-API-Version": "compute 2.90"}
        if self.token:
            headers["X-Auth-Token"] = self.token
        connection.request(method, path, data, headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= 400:
            raise SystemExit(f"{method} {path}: {answer.status} {text[:400]}")
        return answer if raw else json.loads(text or b"{}")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        shutil.rmtree(self.folder, ignore_errors=True)


def virsh(cloud, *words):
    subprocess.run(["virsh", "-q", "-c", cloud.facts["libvirt_uri"], *words], check=True, capture_output=True)


def measure(binary, count):
    """Milliseconds of boots, from POST to ACTIVE, and of the same domains' starts by virsh."""
    cloud = RealCloud(binary)
    try:
        disk = os.path.join(cloud.folder, "empty.qcow2")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", disk, "1M"], check=True)
        image = cloud.call("image", "POST", "/v2/images", {
            "name": "empty", "disk_format": "qcow2", "container_format": "bare"})["id"]
        cloud.call("image", "PUT", f"/v2/images/{image}/file", open(disk, "rb").read(), raw=True,
                   kind="application/octet-stream")
        flavor = cloud.call("compute", "POST", "/v2.1/flavors", {
            "flavor": {"name": "empty", "vcpus": 1, "ram": 64, "disk": 1}})["flavor"]["id"]
        net = cloud.call("network", "POST", "/v2.0/networks", {"network": {"name": "n"}})["network"]["id"]
        cloud.call("network", "POST", "/v2.0/subnets", {
            "subnet": {"network_id": net, "ip_version": 4, "cidr": "10.1.0.0/24"}})
        ours, own = [], []
        for number in range(count + 1):
            begin = time.monotonic()
            server = cloud.call("compute", "POST", "/v2.1/servers", {"server": {
                "name": f"s{number}", "imageRef": image, "flavorRef": flavor, "networks": [{"uuid": net}]}})["server"]["id"]
            while True:
                found = cloud.call("compute", "GET", f"/v2.1/servers/{server}")["server"]
                if found["status"] == "ACTIVE":
                    break
                if found["status"] == "ERROR":
                    raise SystemExit(found["fault"]["message"])
                time.sleep(0.01)
            took = (time.monotonic() - begin) * 1000
            virsh(cloud, "destroy", server)
            begin = time.monotonic()
            virsh(cloud, "start", server)
            alone = (time.monotonic() - begin) * 1000
            # The first fetches the image and probes the accelerator.
            if number:
                ours.append(took)
                own.append(alone)
            cloud.call("compute", "DELETE", f"/v2.1/servers/{server}", raw=True)
            # Stopping takes QEMU longer than starting; what is still ending would be in the next boot's way.
            while cloud.call("compute", "GET", "/v2.1/servers")["servers"]:
                time.sleep(0.05)
        return ours, own
    finally:
        cloud.stop()


def run(options, note):
    """The figure for `bench.py`; nothing where real guests cannot run."""
    if os.geteuid() != 0:
        print("  boot_overhead is not measured: real guests need root")
        return
    with tempfile.TemporaryDirectory() as folder:
        doctor = subprocess.run(
            [options.binary, "doctor", "--data", folder, "--port-offset", str(free_offset())], capture_output=True,
            text=True)
    if doctor.returncode != 0:
        print("  boot_overhead is not measured: this machine cannot run real guests (apus doctor)")
        return
    ours, own = measure(options.binary, 9)
    boot, start = statistics.median(ours), statistics.median(own)
    note("boot_overhead", boot - start, f"ms; a boot {boot:.0f} ms, its domain's start by virsh {start:.0f} ms")


def main():
    options = argparse.ArgumentParser()
    options.add_argument("binary")
    options.add_argument("--count", type=int, default=9)
    options = options.parse_args()
    ours, own = measure(options.binary, options.count)
    boot, start = statistics.median(ours), statistics.median(own)
    print(f"  boot, POST to ACTIVE {boot:8.0f} ms   ({min(ours):.0f} to {max(ours):.0f}, {len(ours)} boots)")
    print(f"  the domain's start   {start:8.0f} ms   ({min(own):.0f} to {max(own):.0f})")
    print(f"  boot_overhead        {boot - start:8.0f} ms")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
