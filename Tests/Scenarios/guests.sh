# SPDX-License-Identifier: Apache-2.0
# What the scenarios with real guests share: a cloud on libvirt and OVN, the APIs by curl, servers, logins, and a look
# for leftovers. Root only.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/harness.sh"

image_file=${GUEST_IMAGE:-$top/.cache/guest-image/guest.qcow2}

# guests_only NAME: begins the scenario, or says why it is left out
guests_only() {
    scenario "$1"
    data=$dir/cloud offset=${SCENARIO_OFFSET:-$(free_offset)}
    need_engines "$offset"
    [ -s "$image_file" ] || skip "there is no guest image (make image)"
    trap leave EXIT
}

# A cloud that was killed gives everything back when it is started once more and stopped.
leave() {
    if [ -e "$data/cloud.json" ] && ! kill -0 "$cloud" 2> /dev/null && [ -n "$(leftovers)" ]; then
        start_cloud "$data" "$offset" --hypervisor libvirt --network ovn > /dev/null
    fi
    cleanup
}

# up: starts the cloud, or starts it again
up() {
    start_cloud "$data" "$offset" --hypervisor libvirt --network ovn || finish
    use_cloud "$data"
    prefix=$(jq -r .chassis_namespace "$data/cloud.json")
    outside=$(jq -r .external_namespace "$data/cloud.json")
    libvirt=$(jq -r .libvirt_uri "$data/cloud.json")
    key=$(timeout 60 openstack token issue -f value -c id)
}

# blow WHEN: kill -9
blow() {
    kill -9 "$cloud"
    wait "$cloud" 2> /dev/null
    pass "kill -9 $1"
}

# api SERVICE METHOD PATH [BODY]: the answer is in $answer, its status in $code; fails as the status does
api() {
    local url=http://127.0.0.1
    case $1 in
    compute) url=$url:$((8774 + offset))/v2.1 ;;
    network) url=$url:$((9696 + offset))/v2.0 ;;
    placement) url=$url:$((8778 + offset)) ;;
    esac
    answer=$(curl -sS --noproxy '*' --max-time 30 -X "$2" -H "X-Auth-Token: $key" -H 'Content-Type: application/json' \
        -H 'OpenStack-API-Version: compute 2.90, placement 1.30' ${4:+-d "$4"} -w '\n%{http_code}' "$url$3" 2>&1)
    code=${answer##*$'\n'} answer=${answer%$'\n'*}
    printf '\n$ %s %s %s %s\n%s\n%s\n' "$1" "$2" "$3" "${4:-}" "$code" "${answer:0:4000}" >> "$log"
    [ "$code" -ge 200 ] 2> /dev/null && [ "$code" -lt 400 ]
}

# console vnc|serial|spice URL: what a console greets one with
console() { timeout 40 "$top/Tests/Scenarios/console.py" "$@"; }

# made SERVICE PATH BODY FILTER: makes something and prints what the filter finds, its id as a rule
made() {
    if api "$1" POST "$2" "$3"; then value "$4"; else miss "POST $2" "$code $answer" >&2; fi
}

# grounds: image, flavor, key, and the outside world; their ids are in variables of their names
grounds() {
    ssh-keygen -q -t ed25519 -N '' -C scenario -f "$dir/key"
    check "the guest image is uploaded" openstack image create --file "$image_file" --disk-format qcow2 guest -f json
    image=$(value .id)
    flavor=$(made compute /flavors '{"flavor": {"name": "tiny", "vcpus": 1, "ram": 128, "disk": 1}}' .flavor.id)
    made compute /os-keypairs \
        "{\"keypair\": {\"name\": \"key\", \"type\": \"ssh\", \"public_key\": \"$(cat "$dir/key.pub")\"}}" . > /dev/null
    public=$(made network /networks '{"network": {"name": "public", "router:external": true,
        "provider:network_type": "flat", "provider:physical_network": "external"}}' .network.id)
    made network /subnets "{\"subnet\": {\"network_id\": \"$public\", \"ip_version\": 4, \"cidr\": \"203.0.113.0/24\",
        \"gateway_ip\": \"203.0.113.1\", \"enable_dhcp\": false,
        \"allocation_pools\": [{\"start\": \"203.0.113.10\", \"end\": \"203.0.113.200\"}]}}" .subnet.id > /dev/null
}

# network NAME CIDR: a tenant network behind a router of its own; the network's id
network() {
    local network subnet router
    network=$(made network /networks "{\"network\": {\"name\": \"$1\"}}" .network.id)
    subnet=$(made network /subnets \
        "{\"subnet\": {\"network_id\": \"$network\", \"ip_version\": 4, \"cidr\": \"$2\"}}" .subnet.id)
    router=$(made network /routers \
        "{\"router\": {\"name\": \"$1\", \"external_gateway_info\": {\"network_id\": \"$public\"}}}" .router.id)
    api network PUT "/routers/$router/add_router_interface" "{\"subnet_id\": \"$subnet\"}"
    echo "$network"
}

# group NAME: a security group without rules for what comes in; its id
group() { made network /security-groups "{\"security_group\": {\"name\": \"$1\"}}" .security_group.id; }

# allow GROUP PROTOCOL [PORT]: lets it in; the rule's id
allow() {
    local port=${3:+, \"port_range_min\": $3, \"port_range_max\": $3}
    made network /security-group-rules "{\"security_group_rule\": {\"security_group_id\": \"$1\",
        \"direction\": \"ingress\", \"ethertype\": \"IPv4\", \"protocol\": \"$2\"$port}}" .security_group_rule.id
}

# boot NAME NETWORK GROUP: its id; it is accepted, no more
boot() {
    made compute /servers "{\"server\": {\"name\": \"$1\", \"imageRef\": \"$image\", \"flavorRef\": \"$flavor\",
        \"key_name\": \"key\", \"networks\": [{\"uuid\": \"$2\"}], \"security_groups\": [{\"name\": \"$3\"}]}}" .server.id
}

# status SERVER WANTED: whether it is that and nothing is being done to it
status() {
    api compute GET "/servers/$1" && [ "$(value .server.status)" = "$2" ] &&
        [ "$(value '.server."OS-EXT-STS:task_state"')" = null ]
}
gone() { ! api compute GET "/servers/$1" && [ "$code" = 404 ]; }
action() { api compute POST "/servers/$1/action" "$2"; }

# float SERVER: gives it a floating address and prints it
float() {
    local port
    api network GET "/ports?device_id=$1"
    port=$(value '.ports[0].id')
    made network /floatingips "{\"floatingip\": {\"floating_network_id\": \"$public\", \"port_id\": \"$port\"}}" \
        .floatingip.floating_ip_address
}

# login ADDRESS COMMAND...: over SSH, from the outside world
login() {
    local address=$1
    shift
    timeout "${login_limit:-15}" ip netns exec "$outside" ssh -i "$dir/key" -o StrictHostKeyChecking=no \
        -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o ConnectTimeout=4 -o BatchMode=yes "apus@$address" "$@"
}
# ping_from NAMESPACE ADDRESS: one packet that is answered
ping_from() { timeout 5 ip netns exec "$1" ping -c 1 -W 2 "$2"; }

# holds SENTENCE FUNCTION...: `check` for a function of ours; what it says is in $answer
holds() {
    local sentence=$1 status=0
    shift
    printf '\n$ %s\n' "$*" >> "$log"
    answer=$("$@" 2> "$dir/stderr") || status=$?
    { printf '%s\n' "$answer" | head -c 4000; cat "$dir/stderr"; echo "status $status"; } >> "$log"
    if [ "$status" = 0 ]; then pass "$sentence"; else miss "$sentence" "status $status: $* $(cat "$dir/stderr")"; fi
}

# leftovers: what of this cloud is still on the machine
leftovers() {
    [ -n "${prefix:-}" ] || return 0
    ip netns list 2> /dev/null | grep -F "$prefix"
    ls /sys/class/net | grep -F "$prefix"
    pgrep -a -f -- "$data/" | grep -v -F "up --data"
}
nothing_left() { [ -z "$(leftovers)" ]; }

# vsctl, chassis: Open vSwitch and the links of the chassis
vsctl() { ovs-vsctl --db="unix:$data/ovs/db.sock" --timeout=5 "$@"; }
chassis() { ip -n "$prefix" "$@"; }

# ask_libvirt: the ids of the domains are in $domains, when it answers
ask_libvirt() { domains=$(virsh -c "$libvirt" list --all --uuid) && domains=$(sed '/^$/d' <<< "$domains" | sort); }

# settled: no server is on its way any more
settled() {
    api compute GET /servers/detail && jq -e 'all(.servers[]; (.status | IN("ACTIVE", "ERROR", "SHUTOFF", "PAUSED"))
        and .["OS-EXT-STS:task_state"] == null)' <<< "$answer"
}

# audit WHEN: what must hold after every recovery
audit() {
    local servers ports
    eventually "$1: every server is at rest" settled
    expect "$1: whoever is in ERROR says why" 'all(.servers[] | select(.status == "ERROR"); .fault.message | length > 0)'
    servers=$(jq -r '.servers[] | select(.status != "ERROR") | .id' <<< "$answer" | sort)
    api network GET "/ports?fields=id&fields=device_id&fields=device_owner"
    same "$1: ports belong to servers" "$servers" \
        "$(jq -r '.ports[] | select(.device_owner | startswith("compute:")) | .device_id' <<< "$answer" | sort)"
    ports=$(jq -r '.ports[] | select(.device_owner | startswith("compute:")) | "tap" + .id[:11]' <<< "$answer" | sort)
    eventually "$1: libvirt tells its domains" ask_libvirt
    same "$1: domains are servers" "$servers" "$domains"
    same "$1: taps are ports" "$ports" "$(chassis -o link 2> /dev/null | grep -o 'tap[0-9a-f-]*' | sort)"
    same "$1: ports of the switch are ports" "$ports" "$(vsctl list-ports br-int | grep '^tap' | sort)"
    same "$1: disks are servers'" "$servers" "$(ls "$data/guests/instances" | sort)"
    same "$1: logs are servers'" "$(virsh -c "$libvirt" list --all --name | grep . | sort)" \
        "$(ls "$data/libvirt/varlog/qemu" | sed -n 's/^\(instance-[0-9a-f]*\)\.log$/\1/p' | sort)"
    api placement GET /resource_providers
    api placement GET "/resource_providers/$(value '.resource_providers[0].uuid')/allocations"
    same "$1: allocations are servers'" "$servers" "$(jq -r '.allocations | keys[]' <<< "$answer" | sort)"
}

# same SENTENCE WANTED FOUND
same() {
    if [ "$2" = "$3" ]; then pass "$1"; else miss "$1" "$(diff <(echo "$2") <(echo "$3") | grep '^[<>]')"; fi
}
