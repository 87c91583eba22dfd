#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# BGP with the stock client: a router outside, which somebody else's hands configured, learns from a cloud on OVN which
# way floating addresses and routed networks are, and forgets what goes. Root only; no guests.
. "$(dirname "$0")/harness.sh"
scenario bgp
offset=${SCENARIO_OFFSET:-$(free_offset)}
need_engines "$offset"
command -v bird > /dev/null || skip "there is no bird (apt-get install bird2)"

router=bgp-$$
leave() {
    [ ! -e "$dir/router.ctl" ] || birdc -s "$dir/router.ctl" down > /dev/null 2>&1
    ip netns delete "$router" 2> /dev/null
    cleanup
}
trap leave EXIT

start_cloud "$dir/cloud" "$offset" --network ovn || finish
use_cloud "$dir/cloud"
outside=$(jq -r .external_namespace "$dir/cloud/cloud.json")

# The router outside: a wire to where the floating addresses are, and a daemon that listens.
ip netns add "$router" && ip -n "$router" link set lo up
ip link add up0 netns "$router" type veth peer name bgp0 netns "$outside"
ip -n "$outside" addr add 192.0.2.1/30 dev bgp0 && ip -n "$outside" link set bgp0 up
ip -n "$router" addr add 192.0.2.2/30 dev up0 && ip -n "$router" link set up0 up
cat > "$dir/router.conf" << 'BIRD'
router id 192.0.2.2;
protocol device {}
protocol bgp cloud {
  local as 64513; neighbor 192.0.2.1 as 64512; multihop; passive;
  ipv4 { import all; export none; };
}
BIRD
ip netns exec "$router" bird -c "$dir/router.conf" -s "$dir/router.ctl" -P "$dir/router.pid"
knows() { birdc -s "$dir/router.ctl" show route for "$1" all | grep -q "BGP.next_hop: $2"; }
forgot() { ! birdc -s "$dir/router.ctl" show route | grep -q "^$1 "; }

check "an address scope says what is routed" openstack address scope create --share --ip-version 4 routed -f json
check "with a pool of it" openstack subnet pool create --share --address-scope routed --pool-prefix 203.0.113.0/24 \
    --pool-prefix 10.20.0.0/16 --default-prefix-length 24 routed -f json
check "the network outside is of it" openstack network create --external --provider-network-type flat \
    --provider-physical-network external public -f json
public=$(value .id)
check "with its addresses" openstack subnet create --network public --subnet-pool routed \
    --subnet-range 203.0.113.0/24 --gateway 203.0.113.1 --no-dhcp \
    --allocation-pool start=203.0.113.10,end=203.0.113.200 public -f json
check "a project network is of it, too" openstack network create inner -f json
check "with a subnet" openstack subnet create --network inner --subnet-pool routed --subnet-range 10.20.7.0/24 inner \
    -f json
check "a router joins them" openstack router create --external-gateway public edge -f json
hop=$(value '.external_gateway_info.external_fixed_ips[0].ip_address')
check "on the inside as well" openstack router add subnet edge inner
check "a port inside" openstack port create --network inner guest -f json
check "has a floating address" openstack floating ip create public --port guest -f json
floating=$(value .floating_ip_address)

check "a speaker is made" openstack bgp speaker create --local-as 64512 --ip-version 4 edge -f json
check "a peer is made" openstack bgp peer create --peer-ip 192.0.2.2 --remote-as 64513 router -f json
check "the speaker talks to it" openstack bgp speaker add peer edge router
check "of what is behind the network outside" openstack bgp speaker add network edge "$public"
check "what it tells is listed" openstack bgp speaker list advertised routes edge -f json
expect "both routes, by the router" 'map(.Destination) == ["10.20.7.0/24", $a + "/32"] and all(.Nexthop == $h)' \
    --arg a "$floating" --arg h "$hop"

eventually "the router outside knows the way to the network" knows 10.20.7.0/24 "$hop"
eventually "and to the floating address" knows "$floating/32" "$hop"
check "the floating address goes" openstack floating ip delete "$floating"
eventually "and the router forgets it" forgot "$floating/32"
holds_on() { knows 10.20.7.0/24 "$hop"; }
eventually "while it knows the network still" holds_on
check "the peer is let go" openstack bgp speaker remove peer edge router
eventually "and knows nothing any more" forgot 10.20.7.0/24

stop_cloud "$cloud"
left() { pgrep -f "bird -c $dir/cloud" > /dev/null; }
if left; then miss "no daemon is left"; else pass "no daemon is left"; fi
finish
