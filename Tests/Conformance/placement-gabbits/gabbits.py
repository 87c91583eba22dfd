#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs Placement's gabbi files against our clouds.   gabbits.py BINARY [WORD...]

A file names a fixture, by which Placement's tests fill a database of their own. We let it, read what is in there, and
make the same through our API; then every request of the file goes to our cloud.
"""
import os
import pathlib
import sys
import types
import unittest

from gabbi import driver, fixture
from placement.objects import allocation, consumer, inventory, resource_provider, trait
from placement.tests import functional
from placement.tests.functional.fixtures import gabbits as theirs

from stage import Stage

HERE = pathlib.Path(__file__).resolve().parent
FILES = pathlib.Path(functional.__file__).parent / "gabbits"
SETTING = {"OpenPolicyFixture": "open", "LegacyRBACPolicyFixture": "legacy", "CORSFixture": "cors"}
OURS = ("PROJECT_ID", "PROJECT_ID_ALT", "ADMIN_PROJECT_ID", "SERVICE_PROJECT_ID")

stages = {}
current = None


def stage(setting):
    if setting not in stages:
        stages[setting] = Stage(sys.argv[1], setting)
    return stages[setting]


def furniture(context):
    """What a fixture put into its database, those above before those below."""
    found = []
    for p in resource_provider.get_all_by_filters(context):
        held = {}
        for a in allocation.get_all_by_resource_provider(context, p):
            owner = consumer.Consumer.get_by_uuid(context, a.consumer.uuid)
            held.setdefault((owner.uuid, owner.project.external_id, owner.user.external_id), {})[
                a.resource_class] = a.used
        found.append({
            "uuid": p.uuid, "name": p.name, "parent": p.parent_provider_uuid, "generation": p.generation,
            "inventories": {
                i.resource_class: {k: getattr(i, k) for k in (
                    "total", "reserved", "min_unit", "max_unit", "step_size", "allocation_ratio")}
                for i in inventory.get_all_by_resource_provider(context, p)},
            "traits": [t.name for t in trait.get_all_by_resource_provider(context, p)],
            "aggregates": list(p.get_aggregates()),
            "allocations": [(*owner, amounts) for owner, amounts in held.items()],
        })
    order = []
    while found:
        made = {p["uuid"] for p in order}
        order += [p for p in found if p["parent"] is None or p["parent"] in made]
        done = {p["uuid"] for p in order}
        found = [p for p in found if p["uuid"] not in done]
    return order


def ours(name, theirs_class):
    """The fixture of that name, on our cloud."""
    class Ours(fixture.GabbiFixture):
        def start_fixture(self):
            global current
            inner = theirs_class()
            inner.start_fixture()
            begun = furniture(inner.context)
            inner.stop_fixture()
            current = stage(SETTING.get(name, "default"))
            if "RBAC" in name:
                for variable in OURS:
                    os.environ[variable] = current.project(os.environ[variable])
            current.clear()
            current.furnish(begun)
    Ours.__name__ = name
    return Ours


def fixtures():
    module = types.ModuleType("ours")
    for name, value in vars(theirs).items():
        if isinstance(value, type) and issubclass(value, fixture.GabbiFixture):
            setattr(module, name, ours(name, value))
    return module


def app():
    return lambda environ, start_response: current.app(environ, start_response)


class Result(unittest.TestResult):
    """Counts, and prints what failed together with what is known of it."""

    def __init__(self, known):
        super().__init__()
        self.known, self.passed, self.explained, self.unexplained = known, 0, 0, 0

    def addSuccess(self, test):
        self.passed += 1

    def miss(self, test, error):
        name = type(test).__name__
        reason = self.known.get(name)
        self.explained += reason is not None
        self.unexplained += reason is None
        text = str(error[1]).strip().splitlines()
        print(f"{'known' if reason else 'FAIL '}  {name}\n         " + (reason or "\n         ".join(text[:12])))

    addFailure = miss
    addError = miss

    def addUnexpectedSuccess(self, test):
        self.passed += 1

    def addExpectedFailure(self, test, error):
        self.passed += 1


def cases(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from cases(item)
        else:
            yield item


def main():
    words = sys.argv[2:]
    known = {}
    for line in (HERE / "known.tsv").read_text().splitlines():
        if line and not line.startswith("#"):
            name, reason = line.split("\t")
            known[name] = reason
    suites = driver.build_tests(
        str(FILES), unittest.TestLoader(), host=None, intercept=app, fixture_module=fixtures(),
        test_loader_name="gabbits")
    result = Result(known)
    for suite in suites:
        some = next(cases(suite), None)
        if some is None or (words and not any(word in type(some).__name__ for word in words)):
            continue
        suite.run(result)
    for each in stages.values():
        each.cloud.stop()
    print(f"{result.passed} passed, {result.explained + result.unexplained} failed"
          f" ({result.explained} of them known), {len(result.skipped)} skipped")
    sys.exit(0 if result.passed and not result.unexplained else 1)


if __name__ == "__main__":
    main()
