#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What changes cost on OVN's own databases (root).   northbound.py BINARY [--ports 1000]

Ports are made in bodies of 250 and one at a time, then rules are added to the group that all of them are in. Each change
must be one northbound transaction; a rule must be there within the budget, the time of asking for it included."""
import argparse
import glob
import json
import os
import statistics
import subprocess
import time

from cloud import Cloud

BUDGET, ROUNDS = 50, 20


class Northbound:
    def __init__(self, folder):
        self.socket = os.path.join(folder, "ovn", "nb.sock")
        self.file = glob.glob(os.path.join(folder, "ovn", "*nb*.db"))[0]

    def text(self, table, column):
        select = {"op": "select", "table": table, "where": [], "columns": [column]}
        return subprocess.run(
            ["ovsdb-client", "transact", f"unix:{self.socket}", json.dumps(["OVN_Northbound", select])],
            check=True, capture_output=True, text=True).stdout

    def transactions(self):
        """Ours, which are records in the file and signed; OVN's northd makes some of its own."""
        with open(self.file, "rb") as f:
            return f.read().count(b'"_comment":"apus"')

    def wait(self, table, column, text):
        end = time.monotonic() + 30
        while text not in self.text(table, column):
            if time.monotonic() > end:
                raise SystemExit(f"{text} is not in {table} after 30 s")
            time.sleep(0.003)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("binary")
    options.add_argument("--ports", type=int, default=1000)
    options = options.parse_args()
    cloud = Cloud(options.binary, network="ovn")
    try:
        northbound, base = Northbound(cloud.folder), cloud.url("network", "/v2.0")
        quota = {"quota": dict.fromkeys(("port", "security_group_rule"), -1)}
        cloud.json("PUT", f"{base}/quotas/{cloud.project}", quota)
        network = cloud.json("POST", f"{base}/networks", {"network": {"name": "bench"}})["network"]["id"]
        subnet = {"network_id": network, "ip_version": 4, "cidr": "10.0.0.0/12"}
        cloud.json("POST", f"{base}/subnets", {"subnet": subnet})
        time.sleep(2)

        memory, cpu, begin = cloud.own_memory(), cloud.cpu(), time.monotonic()
        for start in range(0, options.ports, 250):
            ports = [{"network_id": network, "name": f"port-{n}"} for n in range(start, start + 250)]
            last = cloud.json("POST", f"{base}/ports", {"ports": ports})["ports"][-1]["id"]
        northbound.wait("Logical_Switch_Port", "name", last)
        print(f"  {options.ports} ports         {time.monotonic() - begin:8.1f} s     {cloud.cpu() - cpu:.2f} s CPU,"
              f" {(cloud.own_memory() - memory) * 1024 / options.ports:.1f} KiB of memory each")

        def changes(path, body):
            """Makes one change after another, each seen in the northbound before the next: wall, CPU, transactions."""
            walls, count, cpu = [], northbound.transactions(), cloud.cpu()
            for number in range(ROUNDS):
                begin = time.monotonic()
                answer = cloud.json("POST", base + path, body(number))
                table, column = ("ACL", "external_ids") if "rules" in path else ("Logical_Switch_Port", "name")
                northbound.wait(table, column, next(iter(answer.values()))["id"])
                walls.append((time.monotonic() - begin) * 1000)
            return (statistics.median(walls), 1e3 * (cloud.cpu() - cpu) / ROUNDS,
                    (northbound.transactions() - count) / ROUNDS)

        port = changes("/ports", lambda n: {"port": {"network_id": network, "name": f"more-{n}"}})
        group = cloud.json("GET", f"{base}/security-groups")["security_groups"][0]["id"]
        rule = changes("/security-group-rules", lambda n: {"security_group_rule": {
            "security_group_id": group, "direction": "ingress", "ethertype": "IPv4", "protocol": "tcp",
            "port_range_min": 1000 + n, "port_range_max": 1000 + n}})
        for name, (wall, cpu, transactions) in (("port", port), ("rule", rule)):
            print(f"  a {name} more         {wall:8.0f} ms    {cpu:.1f} ms CPU, {transactions:.2f} transactions each")
        kept = rule[0] <= BUDGET and rule[2] == 1 and port[2] == 1
        print(f"  rule_added         {rule[0]:8.0f} ms    budget {BUDGET} ms, one transaction a change: "
              + ("kept" if kept else "MISSED"))
        return 0 if kept else 1
    finally:
        cloud.stop()


if __name__ == "__main__":
    raise SystemExit(main())
