# SPDX-License-Identifier: Apache-2.0
"""What can be asked: the routes of the generated API reference, each with the bodies the corpus has for it."""
import json
import pathlib
import re
import subprocess

SECTION = re.compile(r"^## (\w+) \(\w+\), port (\d+), also under `(/[a-z-]+)`")
ROW = re.compile(r"^\| `([A-Z]+) ([^`]+)`(?: `([^`]+)`)?(?: [^|]*)?\| [^|]+ \| (\S+) \|")


class Route:
    """One line of the reference."""

    def __init__(self, service, port, mount, method, path, action, rule):
        self.service, self.port, self.mount = service, port, mount
        self.method, self.path, self.action = method, path, action
        self.open = rule == "open"
        self.bodies, self.schema = [], None

    @property
    def key(self):
        return f"{self.method} {self.path}"

    @property
    def name(self):
        return f"{self.service} {self.key}" + (f" {self.action}" if self.action else "")


def load(apus):
    """The routes of a binary. Wrong tables would make an empty run that passes, so too few are an error."""
    text = subprocess.run([apus, "api", "reference"], capture_output=True, timeout=60, check=True).stdout.decode()
    corpus = json.loads((pathlib.Path(__file__).parent / "corpus.json").read_text())
    routes, section = [], None
    for line in text.splitlines():
        if match := SECTION.match(line):
            section = (match[1].lower(), int(match[2]), match[3])
        elif (match := ROW.match(line)) and section:
            routes.append(Route(*section, *match.groups()))
    if len(routes) < 200:
        raise SystemExit(f"`{apus} api reference` shows {len(routes)} routes only: its form has changed")
    for route in routes:
        bodies = corpus.get(route.service, {}).get(route.key, [])
        if route.action:
            bodies = [body for body in bodies if route.action in body] or [{route.action: None}]
        route.bodies = bodies
    return routes
