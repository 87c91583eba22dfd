#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A real guest changes its size by the unmodified client: taken back it has its old disk, confirmed it has the new room;
# with kills in the middle of both. Root only.
. "$(dirname "$0")/guests.sh"
guests_only moves

up
grounds
net=$(network net 10.5.0.0/24)
group=$(group open)
allow "$group" tcp 22 > /dev/null
big=$(made compute /flavors '{"flavor": {"name": "big", "vcpus": 2, "ram": 192, "disk": 2, "swap": 16}}' .flavor.id)
server=$(boot subject "$net" open)
eventually "a server becomes ACTIVE" status "$server" ACTIVE
address=$(float "$server")
eventually "it lets us in" login "$address" 'echo first > marker; sync'

processors() { [ "$(login "$address" nproc)" = "$1" ]; }
root_bytes() { qemu-img info -U --output json "$data/guests/instances/$server/disk" | jq '.["virtual-size"]'; }
kept() { [ -e "$data/guests/instances/$server/kept" ]; }

# Resized it is bigger, and its old disk is kept.
check "resize" openstack server resize --flavor big subject
eventually "then it is VERIFY_RESIZE" status "$server" VERIFY_RESIZE
eventually "it is reached where it was, with another processor" processors 2
same "its disk is bigger" $((2 << 30)) "$(root_bytes)"
holds "its old disk is kept" kept
holds "it has swap" [ -e "$data/guests/instances/$server/disk.swap" ]
login "$address" 'echo second > marker; sync'
check "its migrations" openstack --os-compute-api-version 2.80 server migration list --server "$server" -f json
expect "tell of it" '.[0].Status == "finished" and .[0].Type == "resize"'

# Taken back it is what it was.
check "revert" openstack server resize revert subject
eventually "it is ACTIVE again" status "$server" ACTIVE
eventually "with one processor" processors 1
same "its disk has its old size" $((1 << 30)) "$(root_bytes)"
holds "and what was on it before" login "$address" grep -q first marker
holds "without swap" [ ! -e "$data/guests/instances/$server/disk.swap" ]
if kept; then miss "nothing is kept" "$(ls "$data/guests/instances/$server")"; else pass "nothing is kept"; fi

# Killed in the middle of a resize, it ends as if nothing had been.
action "$server" "{\"resize\": {\"flavorRef\": \"$big\"}}"
sleep 1
blow "in the middle of a resize"
up
eventually "then it is VERIFY_RESIZE" status "$server" VERIFY_RESIZE
eventually "with two processors" processors 2
check "confirm" openstack server resize confirm subject
blow "in the middle of confirming"
up
eventually "then it is ACTIVE" status "$server" ACTIVE
if kept; then miss "nothing is kept any more" "$(ls "$data/guests/instances/$server")"; else pass "nothing is kept any more"; fi
holds "with what was on its disk" login "$address" grep -q first marker

# Where there is one host nobody can go anywhere else.
action "$server" '{"migrate": null}'
eventually "a migration finds no host, and the server runs on" status "$server" ACTIVE
audit "in the end"
check "delete" openstack server delete --wait subject
stop_cloud "$cloud"
holds "nothing is left" nothing_left
finish
