# SPDX-License-Identifier: Apache-2.0
"""A cloud under measurement: the process, what it uses, and the fewest calls to its API that the figures need."""
import copy
import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.parse

TICKS = os.sysconf("SC_CLK_TCK")


def free_offset():
    """A port offset whose ports nobody listens on, all of them below those that the kernel gives to clients."""
    for offset in random.sample(range(11000, 22500, 100), 115):
        for port in (5000, 6080, 8774, 8778, 8800, 9292, 9696, 9876):
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", port + offset)) == 0:
                    break
        else:
            return offset
    raise SystemExit("no free port offset")


class Cloud:
    """`apus up` in a folder of its own, on fakes unless another network is named."""

    def __init__(self, binary, hosts=1, parent=None, files=None, network="fake"):
        self.folder = tempfile.mkdtemp(prefix="apus-bench.", dir=parent)
        for name, text in (files or {}).items():
            with open(os.path.join(self.folder, name), "w") as f:
                f.write(text)
        self.offset = free_offset()
        self.connections = {}
        output = os.path.join(self.folder, "apus.log")
        begin = time.monotonic()
        with open(output, "wb") as log:
            self.process = subprocess.Popen(
                [binary, "up", "--data", self.folder, "--hypervisor", "fake", "--network", network,
                 "--hosts", str(hosts), "--port-offset", str(self.offset)], stdout=log, stderr=log, start_new_session=True)
        # a file, not a pipe: a cloud that says much may never wait for its reader
        while not re.search(rb"^ready in \d+ ms", open(output, "rb").read(), re.M):
            if self.process.poll() is not None or time.monotonic() - begin > 120:
                raise SystemExit(f"apus up is not ready: see {output}")
            time.sleep(0.002)
        self.start_ms = (time.monotonic() - begin) * 1000
        self.login()

    def login(self):
        env = read_clouds(os.path.join(self.folder, "clouds.yaml"))
        self.auth_url = env["auth_url"].rstrip("/")
        if not self.auth_url.endswith("/v3"):
            self.auth_url += "/v3"
        self.password_body = {"auth": {
            "identity": {"methods": ["password"], "password": {"user": {
                "name": env.get("username", "admin"), "password": env["password"],
                "domain": {"name": env.get("user_domain_name", "Default")}}}},
            "scope": {"project": {"name": env.get("project_name", "admin"),
                                  "domain": {"name": env.get("project_domain_name", "Default")}}}}}
        self.token = None
        self.token, body = self.new_token()
        self.project = body["project"]["id"]
        self.catalog = {s["type"]: e["url"].rstrip("/") for s in body["catalog"] for e in s["endpoints"]
                        if e["interface"] == "public"}

    def new_token(self):
        status, headers, body = self.call("POST", self.auth_url + "/auth/tokens", self.password_body)
        assert status == 201, (status, body)
        return headers["X-Subject-Token"], json.loads(body)["token"]

    def url(self, service, path, version=None):
        base = self.catalog[service]
        if version and not re.search(r"/v\d[\d.]*$", base):
            base += "/" + version
        return base + path

    def call(self, method, url, body=None, headers=None):
        """One exchange on a kept connection: (status, headers, bytes)."""
        parts = urllib.parse.urlsplit(url)
        connection = self.connections.get(parts.netloc)
        if connection is None:
            connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=120)
            connection.connect()
            connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections[parts.netloc] = connection
        head = {"Content-Type": "application/json", "OpenStack-API-Version": "compute 2.90"}
        if self.token:
            head["X-Auth-Token"] = self.token
        data = json.dumps(body) if isinstance(body, (dict, list)) else body
        path = parts.path + ("?" + parts.query if parts.query else "")
        connection.request(method, path, data, {**head, **(headers or {})})
        reply = connection.getresponse()
        return reply.status, reply.headers, reply.read()

    def twin(self):
        """The same cloud over connections of its own, for a thread beside this one."""
        other = copy.copy(self)
        other.connections = {}
        return other

    def json(self, method, url, body=None, ok=(200, 201, 202, 204)):
        status, _, answer = self.call(method, url, body)
        if status not in ok:
            raise SystemExit(f"{method} {url} -> {status} {answer[:300]}")
        return json.loads(answer) if answer else None

    # ------------------------------------------------------------- what the process uses
    def cpu(self):
        """Seconds of CPU so far."""
        with open(f"/proc/{self.process.pid}/stat") as f:
            fields = f.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory(self):
        """(RSS, PSS) in MiB."""
        with open(f"/proc/{self.process.pid}/smaps_rollup") as f:
            text = f.read()
        return tuple(int(re.search(rf"^{k}: +(\d+)", text, re.M)[1]) / 1024 for k in ("Rss", "Pss"))

    def own_memory(self):
        """MiB that are the process's alone and no file's: the pages of the database are the kernel's to take back."""
        with open(f"/proc/{self.process.pid}/smaps_rollup") as f:
            return int(re.search(r"^Anonymous: +(\d+)", f.read(), re.M)[1]) / 1024

    def peak(self, reset=False):
        """Peak RSS in MiB since the last reset."""
        if reset:
            with open(f"/proc/{self.process.pid}/clear_refs", "w") as f:
                f.write("5")
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(r"^VmHWM:\s+(\d+)", f.read(), re.M)[1]) / 1024

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
        if status != 0:
            print(f"note: apus stopped with status {status}")


def read_clouds(path):
    """The scalars of the only cloud in clouds.yaml."""
    out = {}
    for line in open(path):
        m = re.match(r"\s+(\w+):\s*[\"']?([^\"'#\n]+?)[\"']?\s*$", line)
        if m:
            out[m[1]] = m[2]
    return out
