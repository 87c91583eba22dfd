# SPDX-License-Identifier: Apache-2.0
# What scenarios that kill a cloud among servers share: a cloud with an image, a flavor and a network, calls straight to
# its API, and the audit of what must hold after every recovery.
# shellcheck shell=bash disable=SC2154

# prepare: a cloud at $offset whose project has no quota in the way
prepare() {
    offset=$(free_offset)
    start_cloud "$dir/cloud" "$offset" --hosts 20 || finish
    use_cloud "$dir/cloud"
    head -c 1048576 /dev/urandom > "$dir/image"
    check "an image" openstack image create --file "$dir/image" --disk-format raw tiny -f json
    check "a flavor" openstack flavor create --vcpus 1 --ram 64 --disk 1 tiny -f json
    check "a network" openstack network create net -f json
    check "a subnet" openstack subnet create --network net --subnet-range 10.1.0.0/16 net -f json
    check "a token" openstack token issue -f json
    project=$(value .project_id)
    check "no quota in the way" openstack quota set --instances -1 --cores -1 --ram -1 "$project"
    compute=http://127.0.0.1:$((8774 + offset))/v2.1
    image=$(openstack image show tiny -f value -c id)
    flavor=$(openstack flavor show tiny -f value -c id)
    network=$(openstack network show net -f value -c id)
    key=$(token)
}

# api METHOD PATH [BODY]: straight to Compute, so that the blow can fall at once after the answer
token() { openstack token issue -f value -c id; }
api() {
    curl -sS --noproxy '*' --max-time 20 -X "$1" -H "X-Auth-Token: $key" -H 'Content-Type: application/json' \
        -H 'OpenStack-API-Version: compute 2.90' ${3:+-d "$3"} -w '\n%{http_code}' "$compute$2"
}
create() {
    api POST /servers "{\"server\": {\"name\": \"$1\", \"imageRef\": \"$image\", \"flavorRef\": \"$flavor\",
        \"networks\": [{\"uuid\": \"$network\"}], \"min_count\": $2, \"max_count\": $2}}"
}
blow() {
    kill -9 "$cloud"
    wait "$cloud" 2> /dev/null
    pass "kill -9 $1"
}
again() {
    start_cloud "$dir/cloud" "$offset" --hosts 20 || finish
    key=$(token)
}
# Settled: no server is on its way any more.
settled() {
    api GET /servers/detail | head -n -1 | jq -e \
        'all(.servers[]; (.status | IN("ACTIVE", "ERROR", "SHUTOFF")) and .["OS-EXT-STS:task_state"] == null)'
}
gone() {
    [ $# -gt 0 ] || return 0
    local left
    left=$(api GET /servers | head -n -1 | jq -r '.servers[].id') || return 1
    ! grep -q -F -x -f <(printf '%s\n' "$@") <<< "$left"
}
# concluded: every operation of the queue is over; asked of the database, which a reader never disturbs
concluded() {
    python3 - "$dir/cloud/apus.db" << 'PYTHON'
import sqlite3
import sys

database = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True, timeout=10)
open_states = "('queued', 'running', 'undoing')"
rows = database.execute(f"SELECT kind, state, step_name, note FROM work_operations WHERE state IN {open_states}")
sys.exit("\n".join(map(str, rows)) or 0)
PYTHON
}
# delete ID...: asks for each to be deleted, over one connection
delete() {
    [ $# -gt 0 ] || return 0
    printf 'url = "'"$compute"'/servers/%s"\noutput = "/dev/null"\n' "$@" |
        curl -sS --noproxy '*' --max-time 20 -X DELETE -H "X-Auth-Token: $key" -K -
}
# allocated: the servers that hold something in Placement, sorted
allocated() {
    local placement=http://127.0.0.1:$((8778 + offset)) provider
    for provider in $(curl -sS --noproxy '*' -H "X-Auth-Token: $key" "$placement/resource_providers" |
        jq -r '.resource_providers[].uuid'); do
        curl -sS --noproxy '*' -H "X-Auth-Token: $key" "$placement/resource_providers/$provider/allocations" |
            jq -r '.allocations | keys[]'
    done | sort -u
}
# audit WHEN: what must hold after every recovery
audit() {
    eventually "$1: every server is at rest" settled
    answer=$(api GET /servers/detail | head -n -1)
    expect "$1: whoever is in ERROR says why" \
        'all(.servers[] | select(.status == "ERROR"); .fault.message | length > 0)'
    servers=$(jq -c '[.servers[].id]' <<< "$answer")
    active=$(jq -c '[.servers[] | select(.status == "ACTIVE") | .id]' <<< "$answer")
    answer=$(timeout "$limit" curl -sS --noproxy '*' -H "X-Auth-Token: $key" \
        "http://127.0.0.1:$((9696 + offset))/v2.0/ports?network_id=$network")
    expect "$1: no port without its server" \
        '[.ports[] | select(.device_owner | startswith("compute:")) | .device_id] - $s == []' --argjson s "$servers"
    eventually "$1: no operation is unfinished" concluded
    # A server in ERROR may hold its host's room still, as upstream's does; nobody else holds anything.
    answer=$(jq -R -n '[inputs]' <<< "$(allocated)")
    expect "$1: every active server has its allocation" '$a - . == []' --argjson a "$active"
    expect "$1: nobody holds an allocation but servers" '. - $s - [""] == []' --argjson s "$servers"
}
