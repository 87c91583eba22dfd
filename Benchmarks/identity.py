# SPDX-License-Identifier: Apache-2.0
"""Identity's figures: whether a token costs the same among a hundred thousand users and a million revocations, and
what the long lists cost. The many rows are written past the API, as copies of rows that the API made."""
import json
import os
import sqlite3
import time

from cloud import Cloud

SUBJECTS = ('request = function() i = i % #subjects + 1; wrk.headers["X-Subject-Token"] = subjects[i]; '
            "return wrk.format() end\n")


def grow(database, table, count, changes):
    """Adds rows like the last one of a table; `changes(n)` says in what each differs."""
    with sqlite3.connect(database, timeout=60) as connection:
        connection.row_factory = sqlite3.Row
        model = dict(connection.execute(f"SELECT * FROM {table} ORDER BY rowid DESC LIMIT 1").fetchone())
        names = ", ".join(model)
        marks = ", ".join("?" * len(model))
        connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})",
                               (tuple({**model, **changes(n)}.values()) for n in range(count)))


def run(options, cpu_per_request, note):
    cloud = Cloud(options.binary)
    database = os.path.join(cloud.folder, "apus.db")
    base = cloud.auth_url

    def validate(figure):
        tokens = [cloud.new_token()[0] for _ in range(32)]
        lua = "local subjects = {" + ",".join(json.dumps(t) for t in tokens) + "}\nlocal i = 0\n" + SUBJECTS
        cpu_per_request(cloud, figure, base + "/auth/tokens", options, lua=lua)

    def listing(figure, path, rounds, count):
        status, _, body = cloud.call("GET", base + path)
        assert status == 200 and count(json.loads(body)), body[:300]
        before, begin = cloud.cpu(), time.monotonic()
        for _ in range(rounds):
            cloud.call("GET", base + path)
        wall = 1000 * (time.monotonic() - begin) / rounds
        note(figure, 1000 * (cloud.cpu() - before) / rounds,
             f"ms CPU; {wall:.1f} ms, {count(json.loads(body))} of {len(body):,} bytes")

    project = cloud.json("POST", base + "/projects", {"project": {"name": "model"}})["project"]["id"]
    user = cloud.json("POST", base + "/users", {"user": {"name": "model"}})["user"]["id"]
    role = cloud.json("GET", base + "/roles?name=reader")["roles"][0]["id"]
    cloud.json("PUT", f"{base}/projects/{project}/users/{user}/roles/{role}")
    validate("validate_among_10")
    have = len(cloud.json("GET", base + "/users")["users"])
    users = [f"{n:032x}" for n in range(100_000)]
    projects = [f"{n + (1 << 60):032x}" for n in range(100_000)]
    grow(database, "identity_users", 1000 - have, lambda n: {"id": users[n], "name": f"user-{n}"})
    listing("list_users", "/users", 20, lambda d: len(d["users"]))
    grow(database, "identity_projects", 100, lambda n: {"id": projects[n], "name": f"project-{n}"})
    grow(database, "identity_assignments", 10_000, lambda n: {
        "actor": "user", "actor_id": users[n % 500], "target": "project", "target_id": projects[n // 500 % 100],
        "role_id": role, "inherited": 0})
    listing("assignments", "/role_assignments?effective&scope.project.id=" + projects[0], 20,
            lambda d: len(d["role_assignments"]))
    listing("assignments_all", "/role_assignments?effective", 10, lambda d: len(d["role_assignments"]))
    grow(database, "identity_users", 99_000, lambda n: {"id": users[n + 1000], "name": f"user-{n + 1000}"})
    grow(database, "identity_projects", 99_900, lambda n: {"id": projects[n + 100], "name": f"project-{n + 100}"})
    validate("validate_among_1e5")
    revoked = cloud.new_token()[0]
    cloud.call("DELETE", base + "/auth/tokens", headers={"X-Subject-Token": revoked})
    grow(database, "identity_revocations", 1_000_000, lambda n: {"id": f"audit-{n:x}", "audit_id": f"audit-{n:x}"})
    validate("validate_revoked")
    cloud.stop()
