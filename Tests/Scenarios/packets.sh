#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What networks promise, proven with packets between real guests: security groups, isolation, overlapping addresses,
# metadata, names, and the way out. Root only.
. "$(dirname "$0")/guests.sh"
guests_only packets

up
grounds
# Two tenant networks with the same addresses, so whatever mixes them up shows.
left=$(network left 10.7.0.0/24)
right=$(network right 10.7.0.0/24)
group=$(group narrow)

one=$(boot one "$left" narrow)
two=$(boot two "$left" narrow)
eventually "the first server is ACTIVE" status "$one" ACTIVE
eventually "the second server is ACTIVE" status "$two" ACTIVE
address=$(float "$one")
booted() { timeout 30 openstack console log show "$1" | grep -q '^guest: ready after'; }
eventually "the first has booted" booted "$one"

refused() { ! "$@"; }
holds "before the rule no ping comes in" refused ping_from "$outside" "$address"
holds "nor does SSH" refused login "$address" true
ping_rule=$(allow "$group" icmp)
eventually "with the rule ping comes in" ping_from "$outside" "$address"
holds "and SSH still does not" refused login "$address" true
allow "$group" tcp 22 > /dev/null
eventually "with its own rule SSH does" login "$address" true
check "the ping rule is taken back" openstack security group rule delete "$ping_rule"
no_ping() { ! ping_from "$outside" "$address"; }
eventually "and ping comes in no more" no_ping
allow "$group" icmp > /dev/null

eventually "the second has booted" booted "$two"
# Asked for the A record alone: OVN 23.03 passes the question for AAAA on to a resolver, and outside there is none.
holds "neighbours know each other's names" login "$address" timeout 10 nslookup -type=a two.openstacklocal
holds "the first sees its own metadata" login "$address" timeout 8 wget -q -O - \
    http://169.254.169.254/openstack/latest/meta_data.json
expect "and no other server's" '.uuid == $id' --arg id "$one"

# The way out: a listener in the world outside, which must see the floating address of one and the router's of two.
api network GET "/routers?name=left"
gateway=$(value '.routers[0].external_gateway_info.external_fixed_ips[0].ip_address')
api compute GET "/servers/$two"
second=$(value '.server.addresses.left[0].addr')
heard() { # heard COMMAND...: the address from which somebody came while the command ran
    timeout 20 ip netns exec "$outside" python3 -c '
import socket
with socket.create_server(("203.0.113.1", 7777)) as listener:
    listener.settimeout(15)
    print("listening", flush=True)
    connection, peer = listener.accept()
    print(peer[0])
    connection.close()' > "$dir/heard" 2>&1 &
    local listener=$!
    wait_until 10 grep -q listening "$dir/heard"
    "$@" > /dev/null 2>&1
    wait "$listener"
    tail -n 1 "$dir/heard"
}
same "the first goes out under its floating address" "$address" \
    "$(heard login "$address" 'echo hello | nc -w 5 203.0.113.1 7777')"
# Its key is nowhere inside, so the second is asked through the first.
through() {
    timeout 20 ip netns exec "$outside" ssh -i "$dir/key" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
        -o LogLevel=ERROR -o BatchMode=yes -o ProxyCommand="ssh -i $dir/key -o StrictHostKeyChecking=no \
        -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -W %h:%p apus@$address" "apus@$second" "$@"
}
eventually "the second is reached through the first" through true
same "without a floating address it goes out under the router's" "$gateway" \
    "$(heard through 'echo hello | nc -w 5 203.0.113.1 7777')"

# The other network: the same addresses, other servers.
api compute DELETE "/servers/$two"
eventually "the second is deleted" gone "$two"
port=$(made network /ports "{\"port\": {\"network_id\": \"$right\", \"security_groups\": [\"$group\"],
    \"fixed_ips\": [{\"ip_address\": \"$second\"}]}}" .port.id)
three=$(made compute /servers "{\"server\": {\"name\": \"three\", \"imageRef\": \"$image\", \"flavorRef\": \"$flavor\",
    \"key_name\": \"key\", \"networks\": [{\"port\": \"$port\"}]}}" .server.id)
eventually "the second's address lives on, in the other network" status "$three" ACTIVE
elsewhere=$(float "$three")
eventually "the server there lets us in" login "$elsewhere" true
holds "the networks are isolated: its address does not answer in the first" \
    login "$address" "! ping -c 1 -W 3 $second"
holds "nor is its name known" login "$address" "! timeout 8 nslookup -type=a three.openstacklocal"
holds "metadata there" login "$elsewhere" timeout 8 wget -q -O - http://169.254.169.254/openstack/latest/meta_data.json
expect "is its own" '.uuid == $id' --arg id "$three"

for server in "$one" "$three"; do api compute DELETE "/servers/$server"; done
for server in "$one" "$three"; do eventually "a server is deleted" gone "$server"; done
audit "at the end"
stop_cloud "$cloud"
holds "nothing is left" nothing_left
finish
