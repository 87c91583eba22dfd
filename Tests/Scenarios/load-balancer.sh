#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `openstack loadbalancer` against a cloud on fakes; and where the machine can, balancers of both providers with real
# traffic: namespaces stand for members and clients, which is the same to OVN.
. "$(dirname "$0")/harness.sh"
scenario load-balancer

# ask SENTENCE WORDS...: one command of the client, answering JSON
ask() {
    local sentence=$1
    shift
    check "$sentence" openstack loadbalancer "$@" -f json
}

start_cloud "$dir/cloud" "$(free_offset)" || finish
use_cloud "$dir/cloud"
check "a network is created" openstack network create inner
check "a subnet is created" openstack subnet create inner-4 --network inner --subnet-range 10.8.0.0/24
ask "a balancer is created and waited for" create --name web --vip-subnet-id inner-4 --tag blue --wait &&
    expect "ACTIVE, with an address" '.provisioning_status == "ACTIVE" and (.vip_address | startswith("10.8.0."))'
ask "a listener is created" listener create --name http --protocol HTTP --protocol-port 80 --wait web
ask "a pool is created" pool create --name pool --protocol HTTP --lb-algorithm ROUND_ROBIN --listener http \
    --session-persistence type=HTTP_COOKIE --wait
ask "a member is created" member create --name one --address 10.8.0.50 --protocol-port 8080 --wait pool
ask "another, as a backup" member create --name two --address 10.8.0.51 --protocol-port 8080 --weight 5 \
    --enable-backup --wait pool && expect "a backup of weight 5" '.backup and .weight == 5'
ask "members are listed" member list pool && expect "both" 'map(.name) == ["one", "two"]'
ask "a health monitor is created" healthmonitor create --name watch --type HTTP --delay 5 --timeout 3 \
    --max-retries 2 --url-path /health --wait pool && expect "with upstream's defaults" '.expected_codes == "200"'
ask "a policy is created" l7policy create --name deny --action REJECT --wait http && expect "the first" '.position == 1'
ask "a rule is created" l7rule create --type PATH --compare-type STARTS_WITH --value /secret --wait deny
check "a listener is changed" openstack loadbalancer listener set --connection-limit 100 --wait http
ask "a listener is shown" listener show http && expect "changed" '.connection_limit == 100'
check "the status tree is shown" openstack loadbalancer status show web &&
    expect "with every part" '.loadbalancer.listeners[0].pools[0] | .members[0].operating_status == "ONLINE"
        and .health_monitor.type == "HTTP"'
ask "figures are shown" stats show web && expect "none yet" '.total_connections == 0'
ask "quotas are set" quota set --listener 1 admin
refuse "one more is refused" "Quota has been met" openstack loadbalancer listener create --protocol TCP \
    --protocol-port 99 web
check "quotas are reset" openstack loadbalancer quota reset admin
ask "providers are listed" provider list && expect "both" 'map(.name) | contains(["haproxy", "ovn"])'
ask "capabilities are listed" provider capability list haproxy
ask "a flavor profile is created" flavorprofile create --name small --provider haproxy \
    --flavor-data '{"maximum_connections": 1000}'
ask "a flavor is created" flavor create --name small --flavorprofile small --enable
ask "a balancer of the flavor is created" create --name small --vip-subnet-id inner-4 --flavor small --wait
refuse "the flavor is in use" "is in use" openstack loadbalancer flavor delete small
ask "amphorae are listed" amphora list && expect "none" 'length == 0'
refuse "what OVN cannot do is refused" "OVN provider does not support HTTP protocol" bash -c \
    'openstack loadbalancer create --name plain --provider ovn --vip-subnet-id inner-4 --wait > /dev/null &&
    openstack loadbalancer listener create --protocol HTTP --protocol-port 80 plain'
refuse "a balancer with children stays" "has children" openstack loadbalancer delete web
check "unless in a cascade" openstack loadbalancer delete --cascade --wait web
ask "balancers are listed" list && expect "it is gone" 'map(.name) | contains(["web"]) | not'
check "openstacksdk walks over everything" bash -c '. "$0" && exec "$1" "$2"' "$dir/cloud/openrc" "$venv/bin/python" \
    "$top/Tests/Scenarios/load-balancer-sdk.py"
stop_cloud "$cloud"

# From here on with real traffic.
for program in haproxy ovn-northd ovs-vswitchd socat; do
    if [ "$EUID" != 0 ] || ! command -v "$program" > /dev/null; then
        echo "  skip  real traffic needs root and $program"
        finish
    fi
done

data=$dir/real offset=$(free_offset)
start_cloud "$data" "$offset" --network ovn || finish
use_cloud "$data"
prefix=$(jq -r .chassis_namespace "$data/cloud.json")
switch=unix:$data/ovs/db.sock
check "a network is created" openstack network create inner
check "a subnet is created" openstack subnet create inner-4 --network inner --subnet-range 10.8.0.0/24

# plug NAME ADDRESS: a namespace with a port of the network in it
plug() {
    local port mac
    answer=$(openstack port create "$1" --network inner --fixed-ip ip-address="$2" --disable-port-security -f json)
    port=$(value .id) mac=$(value .mac_address)
    ip netns add "$prefix-$1"
    ip link add "t-$1" netns "$prefix" type veth peer name eth0 netns "$prefix-$1"
    ip -n "$prefix" link set "t-$1" up
    ip -n "$prefix-$1" link set lo up
    ip -n "$prefix-$1" link set eth0 address "$mac" mtu 1442 up
    ip -n "$prefix-$1" addr add "$2/24" dev eth0
    ip netns exec "$prefix-$1" ethtool -K eth0 tx off > /dev/null
    ip netns exec "$prefix" ethtool -K "t-$1" tx off > /dev/null
    ovs-vsctl --db="$switch" add-port br-int "t-$1" -- set Interface "t-$1" external_ids:iface-id="$port"
}
# serve NAME: it answers every request with its name
serve() {
    printf '#!/bin/sh\nread line\nprintf "HTTP/1.0 200 OK\\r\\nContent-Length: 3\\r\\n\\r\\n%s"\n' "$1" > "$dir/$1"
    chmod +x "$dir/$1"
    ip netns exec "$prefix-$1" socat TCP-LISTEN:8080,fork,reuseaddr EXEC:"$dir/$1" &
    clouds+=($!)
}
for item in one:10.8.0.50 two:10.8.0.51 cat:10.8.0.60; do plug "${item%:*}" "${item#*:}"; done
from=$prefix-cat
serve one && serve two
get() { ip netns exec "$from" curl -s -m 2 "http://$vip/"; }
# both: many requests reach both members
both() { [ "$(for _ in $(seq 20); do get; echo; done | sort -u | tr -d '\n')" = onetwo ]; }
only_two() { [ "$(for _ in $(seq 8); do get; echo; done | sort -u | tr -d '\n')" = two ]; }
member_is() { [ "$(openstack loadbalancer member show "pool-$1" "$2" -f value -c operating_status)" = "$3" ]; }

for provider in haproxy ovn; do
    kind=HTTP algorithm=ROUND_ROBIN
    [ $provider = haproxy ] || kind=TCP algorithm=SOURCE_IP_PORT
    ask "$provider: a balancer is created" create --name $provider --provider $provider --vip-subnet-id inner-4 --wait
    vip=$(value .vip_address)
    [ $provider = ovn ] || streams=$vip
    ask "$provider: a listener" listener create --name listener-$provider --protocol $kind --protocol-port 80 \
        --wait $provider
    ask "$provider: a pool" pool create --name pool-$provider --protocol $kind --lb-algorithm $algorithm \
        --listener listener-$provider --wait
    for item in one:10.8.0.50 two:10.8.0.51; do
        ask "$provider: member ${item%:*}" member create --name "${item%:*}" --address "${item#*:}" \
            --protocol-port 8080 --subnet-id inner-4 --wait pool-$provider
    done
    eventually "$provider: requests reach both members" both
    ask "$provider: a health monitor" healthmonitor create --type TCP --delay 1 --timeout 1 --max-retries 1 \
        --max-retries-down 1 --wait pool-$provider
    eventually "$provider: both are found to answer" member_is $provider one ONLINE
    ip -n "$prefix-one" link set eth0 down
    eventually "$provider: one that is cut off is found out" member_is $provider one ERROR
    eventually "$provider: and gets no requests" only_two
    ip -n "$prefix-one" link set eth0 up
    eventually "$provider: it is taken back" member_is $provider one ONLINE
    eventually "$provider: and answers again" both
done
check "a router is created" openstack router create way
check "a network outside is created" openstack network create public --external --provider-network-type flat \
    --provider-physical-network external
check "with a subnet" openstack subnet create public-4 --network public --subnet-range 203.0.113.0/24 --no-dhcp
check "the router leads out" openstack router set --external-gateway public way
check "and in" openstack router add subnet way inner-4
for item in one two cat; do ip -n "$prefix-$item" route add default via 10.8.0.1; done
from=$(jq -r .external_namespace "$data/cloud.json")
for provider in haproxy ovn; do
    port=$(openstack loadbalancer show $provider -f value -c vip_port_id)
    check "$provider: a floating address stands for it" openstack floating ip create --port "$port" public -f json
    inside=$vip vip=$(value .floating_ip_address)
    eventually "$provider: the world outside reaches both members" both
    vip=$inside
done
from=$prefix-cat
ask "figures are shown" stats show haproxy && expect "of what went through" '.total_connections > 20 and .bytes_out > 0'

kill -9 "$cloud"
wait "$cloud" 2> /dev/null
start_cloud "$data" "$offset" --network ovn || finish
vip=$streams
eventually "after kill -9 HAProxy still spreads" both
for provider in haproxy ovn; do
    check "$provider: goes in a cascade" openstack loadbalancer delete --cascade --wait $provider
done
check "nothing is left of balancers" bash -c "! ip netns list | grep -q -- '$prefix-lb-' && ! pgrep -f '[h]aproxy.*$data'"
check "nor in OVN" bash -c "[ -z \"\$(ovn-nbctl --db=unix:$data/ovn/nb.sock --bare --columns=name list Load_Balancer)\" ]"
for item in one two cat; do ip netns delete "$prefix-$item"; done
stop_cloud "$cloud"
finish
