# SPDX-License-Identifier: Apache-2.0
"""The cloud under test: started on the fakes when none is given, with the people and projects that requests come from."""
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from wire import Connection

PASSWORD = "fuzz-secret"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGC5HoS6bLvgi4XfDSyNrnVcsTmJD7CUQHnRb7ByTYmZ fuzz"


class Persona:
    """Someone who asks: a name, and how they log in."""

    def __init__(self, name, user=None, password=None, project=None):
        self.name, self.user, self.password, self.project = name, user, password, project
        self.token, self.project_id, self.user_id = None, None, None

    def login(self, cloud):
        if self.user is None:
            return
        status, answer, token = cloud.call(5000, "POST", "/v3/auth/tokens", None, {"auth": {
            "identity": {"methods": ["password"], "password": {"user": {
                "name": self.user, "domain": {"id": "default"}, "password": self.password}}},
            "scope": {"project": {"name": self.project, "domain": {"id": "default"}}}}})
        if status != 201:
            raise SystemExit(f"{self.name} cannot log in: {status} {answer}")
        self.token = token
        self.project_id, self.user_id = answer["token"]["project"]["id"], answer["token"]["user"]["id"]


class Cloud:
    """A running `apus up`, its own or somebody else's."""

    def __init__(self, apus, data=None):
        self.apus, self.process = apus, None
        self.data = pathlib.Path(data) if data else pathlib.Path(tempfile.mkdtemp(prefix="apus-fuzz."))
        if data is None:
            self.start()
        self.pid = int((self.data / "apus.lock").read_text().split()[0])
        settings = dict(line.removeprefix("export ").split("=", 1)
                        for line in (self.data / "openrc").read_text().splitlines() if line.startswith("export "))
        self.offset = int(settings["OS_AUTH_URL"].rsplit(":", 1)[1].split("/")[0]) - 5000
        self.personas = [Persona("admin", "admin", settings["OS_PASSWORD"], "admin"),
                         Persona("member", "fuzz-member", PASSWORD, "fuzz-one"),
                         Persona("reader", "fuzz-reader", PASSWORD, "fuzz-one"),
                         Persona("other", "fuzz-other", PASSWORD, "fuzz-two"), Persona("none")]

    def start(self):
        output = open(self.data / "output", "wb")
        self.process = subprocess.Popen(
            [self.apus, "up", "--data", self.data / "cloud", "--hypervisor", "fake", "--network", "fake", "--hosts", "5",
             "--port-offset", str(free_offset()), "--password-rounds", "4"],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True)
        for _ in range(600):
            if b"\nready in" in (self.data / "output").read_bytes():
                self.data /= "cloud"
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        self.stop()
        raise SystemExit("the cloud does not come up: " + (self.data / "output").read_text()[-2000:])

    def stop(self, keep=False):
        """Ends a cloud of ours; whether SIGTERM ended it well."""
        if self.process is None:
            return True
        self.process.send_signal(signal.SIGTERM)
        try:
            good = self.process.wait(30) == 0
        except subprocess.TimeoutExpired:
            self.process.kill()
            good = False
        if not keep and good:
            shutil.rmtree(self.data.parent if self.data.name == "cloud" else self.data, ignore_errors=True)
        return good

    def alive(self):
        return os.path.exists(f"/proc/{self.pid}") and (self.process is None or self.process.poll() is None)

    def resident(self):
        """Resident memory in MB."""
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) // 1024
        return 0

    def call(self, port, method, path, token, body=None):
        """A well-formed request: status, document, X-Subject-Token."""
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n"
        head += f"OpenStack-API-Version: compute 2.90\r\nContent-Length: {len(data)}\r\n"
        head += f"X-Auth-Token: {token}\r\n\r\n" if token else "\r\n"
        answer = Connection(port + self.offset).ask(method, head.encode() + data)
        document = json.loads(answer.body) if answer.body[:1] in (b"{", b"[") else None
        return answer.status, document, answer.header("x-subject-token")

    def populate(self):
        """The projects and users of the personas; found again when the cloud has been used before."""
        admin = self.personas[0]
        admin.login(self)

        def ask(method, path, body=None):
            return self.call(5000, method, path, admin.token, body)

        def thing(kind, name, **more):
            status, answer, _ = ask("POST", f"/v3/{kind}s", {kind: {"name": name, "domain_id": "default", **more}})
            if status == 409:
                return ask("GET", f"/v3/{kind}s?name={name}")[1][f"{kind}s"][0]["id"]
            return answer[kind]["id"]

        roles = {role["name"]: role["id"] for role in ask("GET", "/v3/roles")[1]["roles"]}
        for persona in self.personas[1:4]:
            project = thing("project", persona.project)
            user = thing("user", persona.user, password=PASSWORD)
            role = roles["reader" if persona.name == "reader" else "member"]
            ask("PUT", f"/v3/projects/{project}/users/{user}/roles/{role}")
        self.login()
        _, answer, _ = self.call(9696, "POST", "/v2.0/networks", admin.token, {"network": {
            "name": "fuzz-external", "router:external": True, "provider:network_type": "flat",
            "provider:physical_network": "public"}})
        external = (answer.get("network") or {}).get("id")
        if external:
            self.call(9696, "POST", "/v2.0/subnets", admin.token, {"subnet": {
                "network_id": external, "cidr": "172.24.0.0/16", "ip_version": 4, "enable_dhcp": False}})
        return external

    def login(self):
        for persona in self.personas:
            persona.login(self)

    def mend(self):
        """Gives back what the run may have taken from the personas: quotas and hosts."""
        admin = self.personas[0]
        for persona in self.personas[:4]:
            self.call(8774, "DELETE", f"/v2.1/os-quota-sets/{persona.project_id}", admin.token)
            self.call(9696, "DELETE", f"/v2.0/quotas/{persona.project_id}", admin.token)
        for host in range(1, 6):
            body = {"host": f"fake-{host}", "binary": "nova-compute"}
            self.call(8774, "PUT", "/v2.1/os-services/enable", admin.token, body)


    def furnish(self, pool):
        """Things that work, for the good and the nearly good requests to use: a server and all it stands on."""
        admin = self.personas[0]

        def make(persona, port, path, body):
            kind, before = path.rsplit("/", 1)[-1], len(pool.kinds.get(path.rsplit("/", 1)[-1], []))
            _, document, _ = self.call(port, "POST", path, persona.token, body)
            pool.learn(path, document, None, persona.name)
            return (pool.owned.get((kind, persona.name)) or ["none"])[-1] if before or document else "none"

        image = make(admin, 9292, "/v2/images", {"name": "good", "disk_format": "raw", "container_format": "bare",
                                                 "visibility": "public"})
        upload = (f"PUT /v2/images/{image}/file HTTP/1.1\r\nHost: localhost\r\nX-Auth-Token: {admin.token}\r\n"
                  "Connection: close\r\nContent-Type: application/octet-stream\r\nContent-Length: 4096\r\n\r\n")
        Connection(9292 + self.offset).ask("PUT", upload.encode() + bytes(4096))
        flavor = make(admin, 8774, "/v2.1/flavors", {"flavor": {"name": f"good-{image}", "ram": 8, "vcpus": 1, "disk": 1}})
        make(admin, 8778, "/resource_providers", {"name": f"good-{image}"})
        for persona in self.personas[:4]:
            if persona.name == "reader":
                for kind, owner in list(pool.owned):
                    if owner == "member":  # one project
                        pool.owned[kind, "reader"] = pool.owned[kind, owner]
                continue
            network = make(persona, 9696, "/v2.0/networks", {"network": {"name": "good"}})
            subnet = make(persona, 9696, "/v2.0/subnets", {"subnet": {
                "network_id": network, "cidr": "10.1.0.0/24", "ip_version": 4}})
            make(persona, 9696, "/v2.0/ports", {"port": {"network_id": network}})
            router = make(persona, 9696, "/v2.0/routers", {"router": {"name": "good"}})
            self.call(9696, "PUT", f"/v2.0/routers/{router}/add_router_interface", persona.token, {"subnet_id": subnet})
            make(persona, 9696, "/v2.0/security-groups", {"security_group": {"name": "good"}})
            make(persona, 8774, "/v2.1/os-keypairs", {"keypair": {"name": f"good-{image}", "public_key": KEY, "type": "ssh"}})
            pool.add("flavors", flavor, persona.name)
            pool.add("images", image, persona.name)
            make(persona, 8774, "/v2.1/servers", {"server": {
                "name": "good", "imageRef": image, "flavorRef": flavor, "networks": [{"uuid": network}]}})


def free_offset():
    """An offset whose ports nobody listens on."""
    for thousands in random.SystemRandom().sample(range(11, 50), 39):
        ports = [base + thousands * 1000 for base in (5000, 6080, 8774, 8778, 8800, 9292, 9696, 9876)]
        try:
            for port in ports:
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            return thousands * 1000
        except OSError:
            continue
    raise SystemExit("no port offset is free")
