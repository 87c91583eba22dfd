# SPDX-License-Identifier: Apache-2.0
"""The clouds that the scenarios run against, who calls them, and how what a scenario begins with gets there."""
import http.client
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "Benchmarks"))
from cloud import Cloud  # noqa: E402

RULES = """
allocation_candidates:list allocations:delete allocations:list allocations:manage allocations:update reshaper:reshape
resource_classes:create resource_classes:delete resource_classes:list resource_classes:show resource_classes:update
resource_providers:aggregates:list resource_providers:aggregates:update resource_providers:allocations:list
resource_providers:create resource_providers:delete resource_providers:inventories:create
resource_providers:inventories:delete resource_providers:inventories:list resource_providers:inventories:show
resource_providers:inventories:update resource_providers:list resource_providers:show
resource_providers:traits:delete resource_providers:traits:list resource_providers:traits:update
resource_providers:update resource_providers:usages traits:delete traits:list traits:show traits:update usages
""".split()

# What an operator would write into the cloud's folder for each way the scenarios want the service set up.
SETTINGS = {
    "default": {},
    "open": {"policy.yaml": "".join(f'"placement:{rule}": "@"\n' for rule in RULES)},
    "legacy": {"policy.yaml": '"placement:reshaper:reshape": "role:admin or role:service"\n'},
    "cors": {"apus.conf": "[cors]\nallowed_origin = http://valid.example.com\n"},
}
DROPPED = {"connection", "transfer-encoding", "keep-alive", "date"}


class Stage:
    """One cloud with Placement empty at the start of each file."""

    def __init__(self, binary, setting):
        self.cloud = Cloud(binary, files=SETTINGS[setting])
        self.address = ("127.0.0.1", 8778 + self.cloud.offset)
        self.projects, self.tokens, self.roles = {}, {}, {}
        for role in self.identity("GET", "/roles")["roles"]:
            self.roles[role["name"]] = role["id"]
        # An administrator who may reshape as well: with Placement's older defaults administrators may.
        self.admin = self.token("admin", "admin", ("admin", "service"), False)

    def identity(self, method, path, body=None):
        return self.cloud.json(method, self.cloud.auth_url + path, body)

    def project(self, name):
        """The id of the project that a scenario calls so."""
        if name in self.projects.values():
            return name
        if name not in self.projects:
            made = self.identity("POST", "/projects", {"project": {"name": "p-" + name, "domain_id": "default"}})
            self.projects[name] = made["project"]["id"]
        return self.projects[name]

    def token(self, user, project, roles, is_system):
        """A token of a user with these roles, in the project or on the system."""
        key = (user, None if is_system else project, roles)
        if key in self.tokens:
            return self.tokens[key]
        name = f"u-{len(self.tokens)}"
        made = self.identity("POST", "/users", {"user": {"name": name, "password": "secret-word"}})["user"]["id"]
        place = "/system" if is_system else "/projects/" + self.project(project)
        given = roles or ("none",)
        for role in given:
            if role not in self.roles:
                self.roles[role] = self.identity("POST", "/roles", {"role": {"name": role}})["role"]["id"]
            self.identity("PUT", f"{place}/users/{made}/roles/{self.roles[role]}")
        scope = {"system": {"all": True}} if is_system else {"project": {"id": self.project(project)}}
        status, headers, body = self.cloud.call("POST", self.cloud.auth_url + "/auth/tokens", {"auth": {
            "identity": {"methods": ["password"], "password": {"user": {"id": made, "password": "secret-word"}}},
            "scope": scope}})
        assert status == 201, body
        self.tokens[key] = headers["X-Subject-Token"]
        return self.tokens[key]

    # ------------------------------------------------------------- the scenarios' own calls
    def app(self, environ, start_response):
        """A WSGI application that hands each request on, with a real token instead of the made-up one."""
        headers = {k[5:].replace("_", "-").lower(): v for k, v in environ.items() if k.startswith("HTTP_")}
        for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            if environ.get(name):
                headers[name.replace("_", "-").lower()] = environ[name]
        headers.setdefault("host", environ.get("HTTP_HOST", "localhost"))
        if "x-auth-token" in headers:
            user, _, project = headers["x-auth-token"].partition(":")
            roles = headers.pop("x-roles", None)
            project = headers.pop("x-project-id", None) or project or user
            is_system = bool(headers.pop("openstack-system-scope", None))
            if roles is None:
                roles = "admin,service" if user == "admin" else ""
            names = tuple(sorted(r for r in roles.split(",") if r))
            headers["x-auth-token"] = self.token(user, project, names, is_system)
        # The path was decoded for us; what is not ASCII in it must go out encoded as it came.
        path = environ.get("RAW_PATH") or quoted(environ["PATH_INFO"])
        if environ.get("QUERY_STRING"):
            path += "?" + environ["QUERY_STRING"]
        length = environ.get("CONTENT_LENGTH") or "0"
        body = environ["wsgi.input"].read(int(length)) if length.isdigit() and int(length) else None
        status, reason, answered, data = self.exchange(environ["REQUEST_METHOD"], path, body, headers)
        start_response(f"{status} {reason}", [(k.lower(), v) for k, v in answered if k.lower() not in DROPPED])
        return [data]

    def exchange(self, method, path, body, headers):
        connection = http.client.HTTPConnection(*self.address, timeout=30)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            if body and "content-length" not in headers:
                headers["content-length"] = str(len(body))
            headers.setdefault("host", "localhost")
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders(body.encode() if isinstance(body, str) else body)
            reply = connection.getresponse()
            return reply.status, reply.reason, reply.getheaders(), reply.read()
        finally:
            connection.close()

    # ------------------------------------------------------------- what a scenario begins with
    def call(self, method, path, body=None, version="1.39"):
        headers = {"x-auth-token": self.admin, "openstack-api-version": f"placement {version}",
                   "content-type": "application/json", "accept": "application/json"}
        status, _, _, data = self.exchange(method, path, None if body is None else json.dumps(body), headers)
        if status >= 300:
            raise RuntimeError(f"{method} {path} -> {status} {data[:300]}")
        return json.loads(data) if data else None

    def clear(self):
        """Nothing is left of an earlier file."""
        providers = self.call("GET", "/resource_providers")["resource_providers"]
        for provider in providers:
            held = self.call("GET", f"/resource_providers/{provider['uuid']}/allocations")["allocations"]
            for consumer in held:
                status = self.exchange("DELETE", "/allocations/" + consumer, None, {"x-auth-token": self.admin})[0]
                assert status in (204, 404), status
        parents = {p["uuid"]: p["parent_provider_uuid"] for p in providers}
        while parents:
            for uuid in [u for u in parents if u not in parents.values()]:
                self.call("DELETE", f"/resource_providers/{uuid}")
                del parents[uuid]
        for row in self.call("GET", "/resource_classes")["resource_classes"]:
            if row["name"].startswith("CUSTOM_"):
                self.call("DELETE", "/resource_classes/" + row["name"])
        for name in self.call("GET", "/traits?name=startswith:CUSTOM_")["traits"]:
            self.call("DELETE", "/traits/" + name)

    def furnish(self, providers):
        """Makes providers (see `gabbits.furniture`), those above before those below."""
        for p in providers:
            path = f"/resource_providers/{p['uuid']}"
            made = self.call("POST", "/resource_providers", {
                "uuid": p["uuid"], "name": p["name"], "parent_provider_uuid": p["parent"]})
            generation = made["generation"]
            for name in p["inventories"]:
                if name.startswith("CUSTOM_"):
                    self.call("PUT", "/resource_classes/" + name)
            if p["inventories"]:
                generation = self.call("PUT", path + "/inventories", {
                    "resource_provider_generation": generation,
                    "inventories": p["inventories"]})["resource_provider_generation"]
            for name in p["traits"]:
                if name.startswith("CUSTOM_"):
                    self.call("PUT", "/traits/" + name)
            if p["traits"]:
                generation = self.call("PUT", path + "/traits", {
                    "resource_provider_generation": generation,
                    "traits": p["traits"]})["resource_provider_generation"]
            if p["aggregates"]:
                generation = self.call("PUT", path + "/aggregates", {
                    "resource_provider_generation": generation,
                    "aggregates": p["aggregates"]})["resource_provider_generation"]
            # Their fixture made more changes than we do, and some files count them. Allocations count one each.
            while generation < p["generation"] - len(p["allocations"]):
                generation = self.call("PUT", path + "/inventories", {
                    "resource_provider_generation": generation,
                    "inventories": p["inventories"]})["resource_provider_generation"]
        claims = {}
        for p in providers:
            for consumer, project, user, resources in p["allocations"]:
                claim = claims.setdefault(consumer, {
                    "allocations": {}, "project_id": project, "user_id": user, "consumer_generation": None})
                claim["allocations"][p["uuid"]] = {"resources": resources}
        for consumer, claim in claims.items():
            self.call("PUT", "/allocations/" + consumer, claim, version="1.36")


def quoted(path):
    """A WSGI path (bytes as Latin-1) as it stands in a request line."""
    try:
        data = path.encode("latin-1")
    except UnicodeEncodeError:
        data = path.encode()
    return "".join(chr(b) if 0x21 <= b < 0x7f and b != 0x25 else f"%{b:02X}" for b in data)
