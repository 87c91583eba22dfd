# SPDX-License-Identifier: Apache-2.0
"""Bodies and queries made from OpenAPI 3.1 documents: what a schema allows, with ids that exist where a name asks for one."""
import gzip
import json
import pathlib
import re

import mutate

FORMATS = {"date-time": "2030-01-01T00:00:00Z", "ipv4": "10.1.0.9", "ipv6": "fd00::9", "uri": "http://127.0.0.1:9/x",
           "email": "a@example.org", "date": "2030-01-01", "mac-address": "fa:16:3e:00:00:01", "cidr": "10.9.0.0/24",
           "hostname": "host-1"}
DEPTH = 9


class Schemas:
    """The operations of the documents in a folder (`identity.json` or `identity.json.gz`, ...)."""

    def __init__(self, folder):
        self.operations = {}
        for file in sorted(pathlib.Path(folder).glob("*.json*")):
            data = file.read_bytes()
            document = json.loads(gzip.decompress(data) if file.suffix == ".gz" else data)
            service = file.name.split(".")[0]
            for path, item in document.get("paths", {}).items():
                for method, operation in item.items():
                    if isinstance(operation, dict) and "responses" in operation:
                        self.operations[service, method.upper(), shape(path)] = (document, operation, item)
        if not self.operations:
            raise SystemExit(f"no OpenAPI documents in {folder}")

    def join(self, routes):
        """Gives routes their operation; answers how many have one."""
        for route in routes:
            for path in (route.path, "/v2.1" + route.path, route.path.removeprefix("/v2.1")):
                route.schema = self.operations.get((route.service, route.method, shape(path)))
                if route.schema:
                    break
        return sum(route.schema is not None for route in routes)


def shape(path):
    return re.sub(r"\{[^}]*\}", "{}", path.rstrip("/")) or "/"


class Sampler:
    """Values that schemas describe, out of a seed."""

    def __init__(self, rng, pool):
        self.rng, self.pool, self.owner = rng, pool, None

    def body(self, route, owner):
        """A body for a route of JSON, or None when its schema knows none."""
        self.owner = owner
        document, operation, _ = route.schema
        content = operation.get("requestBody", {}).get("content", {})
        schemas = [kind["schema"] for name, kind in content.items() if "json" in name and "schema" in kind]
        if not schemas:
            return None
        value = self.value(document, self.rng.choice(schemas), route.path.rsplit("/", 1)[-1], 0)
        if route.action and isinstance(value, dict) and route.action not in value:
            value = {route.action: next(iter(value.values()), None)}
        return value

    def query(self, route):
        """A query of the parameters that the route has; good ones mostly."""
        document, operation, item = route.schema
        known = [self.follow(document, parameter) for parameter in
                 operation.get("parameters", []) + item.get("parameters", [])]
        known = [parameter for parameter in known if parameter.get("in") == "query"]
        pairs = []
        for parameter in self.rng.sample(known, min(len(known), self.rng.choice([1, 1, 2, 4]))):
            value = self.value(document, parameter.get("schema", {}), parameter["name"], 0)
            if self.rng.random() < 0.25:
                value = mutate.junk(self.rng)
            pairs.append((parameter["name"], value if isinstance(value, str) else json.dumps(value)))
        return pairs

    def follow(self, document, schema):
        for _ in range(20):
            if not isinstance(schema, dict) or "$ref" not in schema:
                break
            target = document
            for part in schema["$ref"].removeprefix("#/").split("/"):
                target = target[part.replace("~1", "/").replace("~0", "~")]
            schema = target
        return schema if isinstance(schema, dict) else {}

    def value(self, document, schema, name, depth):
        rng, schema = self.rng, self.follow(document, schema)
        for word in ("oneOf", "anyOf"):
            if schema.get(word):
                rest = {key: value for key, value in schema.items() if key != word}
                return self.value(document, {**rest, **self.follow(document, rng.choice(schema[word]))}, name, depth)
        for part in schema.get("allOf", []):
            schema = {**schema, **self.follow(document, part)}
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return rng.choice(schema["enum"])
        kind = schema.get("type") or ("object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = rng.choice(kind)
        if kind == "object":
            return self.members(document, schema, depth)
        if kind == "array":
            count = 0 if depth > DEPTH else max(schema.get("minItems", 0), rng.choice([0, 1, 1, 2]))
            return [self.value(document, schema.get("items", {}), name, depth + 1) for _ in range(min(count, 50))]
        return {"boolean": lambda: rng.random() < 0.5, "null": lambda: None, "integer": lambda: self.number(schema),
                "number": lambda: self.number(schema)}.get(kind, lambda: self.text(schema, name))()

    def members(self, document, schema, depth):
        rng, made = self.rng, {}
        needed = schema.get("required", [])
        for name, inner in schema.get("properties", {}).items():
            if name in needed or depth < DEPTH and rng.random() < 0.4:
                made[name] = self.value(document, inner, name, depth + 1)
        loose = schema.get("additionalProperties", {})
        loose = loose if isinstance(loose, dict) else {}
        patterns = list(schema.get("patternProperties", {}).values()) + ([loose] if loose else [])
        if patterns and rng.random() < 0.5 and depth < DEPTH:
            made[f"x{rng.randrange(9)}"] = self.value(document, rng.choice(patterns), "x", depth + 1)
        return made

    def number(self, schema):
        low, high = schema.get("minimum", -1), schema.get("maximum", 70000)
        edges = [low, high, low - 1, high + 1]
        if self.rng.random() < 0.8 and isinstance(low, int) and isinstance(high, int) and low <= high:
            return self.rng.randint(low, min(high, low + 5000))
        return self.rng.choice(edges)

    def text(self, schema, name):
        rng = self.rng
        word = name.removesuffix("_id").removesuffix("_uuid").replace("_", "-")
        for kind in (word + "s", word, word.replace("-", "_") + "s", "os-" + word + "s", word.removesuffix("y") + "ies"):
            if kind in self.pool.kinds and rng.random() < 0.8:
                return self.pool.pick(kind, rng, self.owner)
        if schema.get("format") in FORMATS and rng.random() < 0.8:
            return FORMATS[schema["format"]]
        if rng.random() < 0.15:
            return rng.choice(mutate.STRINGS)
        least, most = schema.get("minLength", 1), schema.get("maxLength", 40)
        size = rng.choice([least, min(12, most), min(most, 300)]) if rng.random() < 0.9 else min(most + 1, 70000)
        return "".join(rng.choice("abcdefghij-0123456789") for _ in range(size))
