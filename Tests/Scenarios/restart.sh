#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 in the middle of boots and deletes, then start again: every server ends ACTIVE, ERROR with a reason, or gone,
# and nothing is left over: no port, no allocation.
. "$(dirname "$0")/harness.sh"
scenario restart

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
# audit WHEN: what must hold after every recovery
audit() {
    eventually "$1: every server is at rest" settled
    answer=$(api GET /servers/detail | head -n -1)
    expect "$1: whoever is in ERROR says why" 'all(.servers[] | select(.status == "ERROR"); .fault.message | length > 0)'
    servers=$(jq -c '[.servers[].id]' <<< "$answer")
    active=$(jq '[.servers[] | select(.status == "ACTIVE")] | length' <<< "$answer")
    answer=$(timeout "$limit" curl -sS --noproxy '*' -H "X-Auth-Token: $key" \
        "http://127.0.0.1:$((9696 + offset))/v2.0/ports?network_id=$network")
    expect "$1: no port without its server" \
        '[.ports[] | select(.device_owner | startswith("compute:")) | .device_id] - $s == []' --argjson s "$servers"
    check "$1: usage is read" openstack --os-placement-api-version 1.9 resource usage show "$project" -f json
    expect "$1: exactly what lives is allocated" \
        '([.[] | select(.resource_class == "VCPU") | .usage] | add // 0) as $u | $u >= $a and $u <= $n' \
        --argjson a "$active" --argjson n "$(jq length <<< "$servers")"
}

image=$(openstack image show tiny -f value -c id)
flavor=$(openstack flavor show tiny -f value -c id)
network=$(openstack network show net -f value -c id)
key=$(token)

for delay in 0 0.05 0.2; do
    answer=$(create "boot-$delay" 15)
    answer=${answer##*$'\n'}
    expect "fifteen boots are accepted" '. == 202'
    sleep "$delay"
    blow "$delay s into the boots"
    again
    audit "after boots cut at $delay s"
done

for delay in 0 0.1; do
    mapfile -t ids < <(api GET "/servers?limit=15" | head -n -1 | jq -r '.servers[].id')
    for id in "${ids[@]}"; do api DELETE "/servers/$id" > /dev/null; done
    sleep "$delay"
    blow "$delay s into ${#ids[@]} deletes"
    again
    eventually "what was to be deleted is gone" gone "${ids[@]}"
    audit "after deletes cut at $delay s"
done

mapfile -t ids < <(api GET /servers | head -n -1 | jq -r '.servers[].id')
for id in "${ids[@]}"; do api DELETE "/servers/$id" > /dev/null; done
eventually "the rest is deleted" gone "${ids[@]}"
audit "at the end"
expect "at the end nothing is allocated" 'all(.usage == 0)'
stop_cloud "$cloud"
finish
