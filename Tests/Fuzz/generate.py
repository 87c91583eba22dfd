# SPDX-License-Identifier: Apache-2.0
"""Makes requests: a route, who asks, ids that exist or do not, a body from the corpus, and what is wrong with all that."""
import copy
import json
import urllib.parse
import uuid

import mutate
import openapi

ALIASES = {"implies": "roles", "members": "projects", "os-quota-sets": "projects", "quotas": "projects",
           "os-simple-tenant-usage": "projects", "OS-EC2": "credentials", "os-hypervisors": "hypervisors"}


class Pool:
    """Ids that exist, by the collection they live in; the last ones only, for a run must not grow."""

    def __init__(self):
        self.kinds, self.owned, self.protected, self.users = {}, {}, set(), set()

    def add(self, kind, value, owner=None):
        if isinstance(value, int):
            value = str(value)
        if not isinstance(value, str) or not 0 < len(value) < 256:
            return
        for values in [self.kinds.setdefault(kind, [])] + ([self.owned.setdefault((kind, owner), [])] if owner else []):
            if value not in values:
                values.append(value)
                del values[:-12]

    def pick(self, kind, rng, owner=None):
        """An id of a kind, more often than not one that the owner made."""
        kind = kind if kind in self.kinds else ALIASES.get(kind, kind)
        values = self.kinds.get(kind)
        if owner and (kind, owner) in self.owned and rng.random() < 0.7:
            values = self.owned[kind, owner]
        return rng.choice(values) if values else uuid.UUID(int=rng.getrandbits(128)).hex

    def anything(self, rng):
        return self.pick(rng.choice(sorted(self.kinds)), rng) if self.kinds else "x"

    def learn(self, path, document, token, owner=None):
        """What an answer tells about things that exist; the owner is who made them, when they were made."""
        kind = path.split("?")[0].rstrip("/").rsplit("/", 1)[-1]
        if token:
            self.add("tokens", token)
        if not isinstance(document, dict):
            return
        for thing in [document, *document.values()]:
            for item in (thing if isinstance(thing, list) else [thing])[:20]:
                item = item.get("keypair", item) if isinstance(item, dict) else {}
                for name in ("id", "uuid", "name") if kind in ("os-keypairs", "resource_providers") else ("id",):
                    if name in item:
                        self.add(kind, item[name], owner)
                        break


class Asked:
    """A request ready to be sent, and what is known about it."""

    def __init__(self):
        self.route = self.persona = self.method = self.target = self.port = None
        self.headers, self.body = [], b""
        self.names, self.clean, self.mutation, self.token_good = [], True, None, True

    def bytes(self):
        lines = [f"{self.method} {self.target} HTTP/1.1".encode("latin-1", "replace")]
        lines += [f"{name}: {value}".encode("latin-1", "replace") for name, value in self.headers]
        return b"\r\n".join(lines) + b"\r\n\r\n" + self.body


class Generator:
    """A seed's endless list of requests."""

    def __init__(self, rng, routes, personas, pool, offset):
        self.rng, self.routes, self.personas, self.pool, self.offset = rng, routes, personas, pool, offset
        self.owner = None
        self.sampler = openapi.Sampler(rng, pool)
        # Bodies are where most goes wrong: routes that take one come up more often.
        self.weights = [4 if route.bodies else 1 if route.method == "DELETE" else 2 for route in routes]

    def next(self):
        rng, asked = self.rng, Asked()
        route = asked.route = rng.choices(self.routes, self.weights)[0]
        asked.persona = rng.choices(self.personas, [10, 6, 2, 3, 1])[0]
        asked.method = route.method
        asked.target = self.fill(route, asked)
        if rng.random() < 0.03:
            asked.method, asked.clean = rng.choice(mutate.METHODS), False
        pairs = self.sampler.query(route) if route.schema and rng.random() < 0.4 else []
        if pairs:
            asked.target += "?" + urllib.parse.urlencode(pairs, errors="replace")
            asked.clean = False
        elif route.method == "GET" and rng.random() < 0.4 or rng.random() < 0.03:
            asked.target += "?" + "&".join(rng.choice(mutate.QUERIES) for _ in range(rng.choice([1, 1, 2])))
            asked.clean = False
        self.protect(asked)
        gateway = rng.random() < 0.1
        asked.port = (8800 if gateway else route.port) + self.offset
        if gateway:
            asked.target = route.mount + asked.target
        asked.headers.append(("Host", f"127.0.0.1:{asked.port}"))
        self.authenticate(asked)
        self.version(asked)
        self.fill_body(asked)
        if rng.random() < 0.08:
            name, value = rng.choice(mutate.HEADERS)
            asked.headers = [pair for pair in asked.headers if pair[0] != name or rng.random() < 0.3] + [(name, value)]
            asked.clean = False
        asked.headers.append(("Content-Length", str(len(asked.body))))
        return asked

    def fill(self, route, asked):
        rng, before, parts = self.rng, "", []
        for part in route.path.split("/"):
            if part.startswith("{"):
                dice = rng.random()
                if dice < 0.75:
                    part = self.pool.pick(before, rng, asked.persona.name)
                elif dice < 0.85:
                    part, asked.clean = self.pool.anything(rng), False
                else:
                    part, asked.clean = rng.choice(mutate.SEGMENTS), False
                part = urllib.parse.quote(part, safe="%'*", errors="replace")
            else:
                before = part
            parts.append(part)
        path = "/".join(parts)
        if rng.random() < 0.01:
            path, asked.clean = path + rng.choice(["/", "//", "/x", "/..", "%00", ";a=b", "/%2e%2e/%2e%2e"]), False
        return path

    def protect(self, asked):
        """Nobody deletes or changes the people the requests come from, or the run would end in 401s."""
        if asked.method in ("GET", "HEAD") or asked.route.service != "identity":
            return
        parts = asked.target.split("?")[0].split("/")
        kept = self.pool.protected
        subject = [part for at, part in enumerate(parts) if part in kept and (at == len(parts) - 1 or "implies" in parts)]
        users = [part for part in parts if part in self.pool.users and "password" not in parts]
        grants = "roles" in parts
        for part in subject if not grants or "implies" in parts or len(parts) < 5 else []:
            asked.target = asked.target.replace(part, "f" * 32)
        for part in users if grants or "groups" in parts or parts[-1] in users else []:
            asked.target = asked.target.replace(part, "f" * 32)

    def authenticate(self, asked):
        rng, token = self.rng, asked.persona.token
        if token and rng.random() < 0.06:
            token, asked.clean, asked.token_good = mutate.token(token, rng), False, False
        elif token is None:
            asked.token_good = False
        if token is not None:
            asked.headers.append(("X-Auth-Token", token))
        if asked.route.path.endswith("/auth/tokens") and asked.method != "POST":
            own = asked.method != "DELETE" and rng.random() < 0.5
            asked.headers.append(("X-Subject-Token", token if own and token else self.pool.pick("tokens", rng)))

    def version(self, asked):
        rng = self.rng
        if asked.route.service == "compute":
            asked.version = rng.choice(["2.1", "2.37", "2.53", "2.60", "2.79", "2.90", "latest", "latest", "latest", None])
            if asked.version:
                asked.headers.append(("OpenStack-API-Version", f"compute {asked.version}"))
        elif asked.route.service == "placement":
            asked.version = rng.choice(["1.0", "1.10", "1.18", "1.28", "1.36", "1.39", "latest", "latest", None])
            if asked.version:
                asked.headers.append(("OpenStack-API-Version", f"placement {asked.version}"))

    def fill_body(self, asked):
        rng, route = self.rng, asked.route
        if route.path.endswith(("/file", "/stage")) and asked.method == "PUT":
            asked.body = rng.choice([b"", b"raw" * 50, b"QFI\xfb" + rng.randbytes(200), rng.randbytes(70000)])
            asked.headers.append(("Content-Type", rng.choice(["application/octet-stream", "application/json"])))
            return
        self.owner = asked.persona.name
        document = self.sampler.body(route, self.owner) if route.schema and rng.random() < 0.7 else None
        if document is None and not route.bodies:
            if rng.random() < 0.03:
                asked.body, asked.clean = mutate.dumps(mutate.junk(rng)), False
                asked.headers.append(("Content-Type", "application/json"))
            return
        dice = rng.random()
        if document is None:
            document = self.resolve(copy.deepcopy(rng.choice(route.bodies)))
        elif dice < 0.65:
            dice *= 2  # what a schema makes is wrong often enough
            asked.clean = False
        if dice < 0.55:
            document, asked.mutation, asked.names = mutate.change(document, rng)
        elif dice < 0.65:
            asked.clean = False
            for _ in range(rng.choice([2, 3, 8])):
                document, _, _ = mutate.change(document, rng)
        asked.body = mutate.dumps(document)
        if rng.random() < 0.07:
            asked.body, asked.clean = mutate.spoil(asked.body, rng), False
        patch = route.service == "image" and route.method == "PATCH"
        asked.headers.append(
            ("Content-Type", "application/openstack-images-v2.1-json-patch" if patch else "application/json"))

    def resolve(self, value):
        """Puts ids and names in the places the corpus marks with `$`."""
        if isinstance(value, dict):
            return {self.resolve(key): self.resolve(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.resolve(inner) for inner in value]
        if not isinstance(value, str) or not value.startswith("$"):
            return value
        if value == "$name":
            return f"fz-{self.rng.getrandbits(40):x}"
        if value == "$uuid":
            return str(uuid.UUID(int=self.rng.getrandbits(128)))
        return self.pool.pick(value[1:], self.rng, self.owner)


def curl(asked, place):
    """A command that sends the same; tokens by the name of their owner, long bodies from a file."""
    words = ["curl -sS -i --path-as-is -X", quote(asked.method)]
    for name, value in asked.headers:
        if name == "X-Auth-Token" and asked.token_good:
            value = f"$({asked.persona.name}'s token)"
        if name != "Content-Length":
            words.append("-H " + (f'"{name}: {value}"' if "$(" in value else quote(f"{name}: {value[:200]}")))
    if asked.body:
        try:
            text = asked.body.decode("ascii")
            words.append("--data-binary " + quote(text) if len(text) < 1500 else "")
        except UnicodeDecodeError:
            words.append("")
        if not words[-1]:
            place.write_bytes(asked.body)
            words[-1] = f"--data-binary @{place}"
    words.append(quote(f"http://127.0.0.1:{asked.port}{asked.target}"))
    return " ".join(words)


def quote(text):
    if text.isprintable() and text.isascii():
        return "'" + text.replace("'", "'\\''") + "'"
    return "$'" + json.dumps(text)[1:-1].replace("'", "\\'") + "'"
