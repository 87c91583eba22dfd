# SPDX-License-Identifier: Apache-2.0
"""A thousand servers made and deleted, again and again: what one costs, how many a second, and whether memory stays."""
import json
import threading
import time

COUNT, ROUNDS, CLIENTS = 1000, 4, 8


def run(options, make, fixtures, boot, note):
    cloud = make(options.binary, hosts=100)
    what = fixtures(cloud)
    compute = cloud.url("compute", "", "v2.1")

    def left(status):
        """Whether a server of that status is left; one row, so that asking costs nothing against what is measured."""
        answer = cloud.json("GET", f"{compute}/servers?limit=1&status={status}")
        return bool(answer["servers"])

    def wait(*statuses):
        end = time.monotonic() + 300
        while any(left(status) for status in statuses):
            if left("ERROR"):
                raise SystemExit("a server is in ERROR")
            if time.monotonic() > end:
                raise SystemExit(f"servers are still {statuses} after 300 s")
            time.sleep(0.05)

    def delete(ids):
        """Each by a request of its own, as clients do."""
        def some(part):
            connection = cloud.twin()
            for server in part:
                status = connection.call("DELETE", f"{compute}/servers/{server}")[0]
                assert status == 204, status
        threads = [threading.Thread(target=some, args=(ids[n::CLIENTS],)) for n in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    boots, deletions, resident = [], [], [cloud.own_memory()]
    for number in range(ROUNDS):
        before, begin = cloud.cpu(), time.monotonic()
        for part in range(4):
            boot(cloud, f"s{number}-{part}", COUNT // 4, what)
        wait("BUILD")
        boots.append((cloud.cpu() - before, time.monotonic() - begin))
        full = cloud.own_memory()
        ids = [s["id"] for s in cloud.json("GET", f"{compute}/servers?limit=1000")["servers"]]
        assert len(ids) == COUNT, len(ids)
        before, begin = cloud.cpu(), time.monotonic()
        delete(ids)
        wait("ACTIVE")
        deletions.append((cloud.cpu() - before, time.monotonic() - begin))
        resident.append(cloud.own_memory())
        print(f"  round {number + 1}: {COUNT / boots[-1][1]:,.0f} boots/s, {COUNT / deletions[-1][1]:,.0f} deletions/s,"
              f" {full:.0f} MiB with {COUNT} servers, {resident[-1]:.0f} after", flush=True)
    note("boot_cost", 1e3 * min(boots)[0] / COUNT, f"ms CPU a server, POST to ACTIVE; {COUNT / min(boots)[1]:,.0f}/s")
    note("delete_cost", 1e3 * min(deletions)[0] / COUNT, f"ms CPU a server; {COUNT / min(deletions)[1]:,.0f}/s")
    note("boot_rate", COUNT / min(wall for _, wall in boots), "/s")
    note("memory_growth", resident[-1] - resident[2], f"MiB of its own over {ROUNDS - 2} rounds: "
         + ", ".join(f"{size:.0f}" for size in resident))
    ports = json.loads(cloud.call("GET", cloud.url("network", "/v2.0/ports?device_owner=compute:nova"))[2])["ports"]
    assert not ports, f"{len(ports)} ports are left of deleted servers"
    cloud.stop()
