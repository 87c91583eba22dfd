#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Bad luck with real guests: kill -9 of apus in the middle of boots and deletes, kill -9 of each engine under a running
# guest, a clean stop and a start. Servers end well, guests go on, nothing is left over.
. "$(dirname "$0")/guests.sh"
guests_only real-crashes

up
grounds
net=$(network net 10.1.0.0/24)
open=$(group open)
allow "$open" icmp > /dev/null
allow "$open" tcp 22 > /dev/null

keeper=$(boot keeper "$net" open)
eventually "a server that stays becomes ACTIVE" status "$keeper" ACTIVE
address=$(float "$keeper")
eventually "it lets us in" login "$address" 'echo kept > marker; sync'

for delay in 0 0.1 0.25 0.5 1.2; do
    victim=$(boot "victim-$delay" "$net" open)
    sleep "$delay"
    blow "$delay s into a boot"
    up
    audit "boot cut at $delay s"
    holds "boot cut at $delay s: the other server goes on" login "$address" cat marker
    api compute DELETE "/servers/$victim"
    sleep "$delay"
    blow "$delay s into a delete"
    up
    eventually "delete cut at $delay s: it is gone" gone "$victim"
    audit "delete cut at $delay s"
done

# A server whose network agent does not answer waits, parked; it outlives the process. The next start replaces an agent
# that stands still, and the server goes on.
controller=$(cat "$data/ovs/ovn-controller.pid")
kill -STOP "$controller"
parked=$(boot parked "$net" open)
is_parked() { grep -rh "waits, and holds no worker" "$data.out" "$data/log" | grep -q "$parked"; }
building() { [ "$(value .server.status)" = BUILD ]; }
eventually "a server whose ports nobody carries is parked" is_parked
api compute GET "/servers/$parked"
holds "and is in BUILD" building
blow "of a cloud with a parked server"
up
is_replaced() { ! kill -0 "$controller" 2> /dev/null; }
eventually "the agent that stood still is replaced" is_replaced
eventually "it is ACTIVE when its ports are carried" status "$parked" ACTIVE
api compute DELETE "/servers/$parked"
eventually "and is deleted" gone "$parked"
audit "after a parked server"

# Each engine under the running guest.
for file in ovs/ovs-vswitchd ovs/ovsdb-server ovs/ovn-controller ovn/nb ovn/sb ovn/northd libvirt/run/libvirtd \
    libvirt/run/virtlogd; do
    engine=${file##*/} old=$(cat "$data/$file.pid")
    another() { local now; now=$(cat "$data/$file.pid") && [ "$now" != "$old" ] && kill -0 "$now"; }
    kill -9 "$old"
    eventually "$engine: another one takes the killed one's place" another
    eventually "$engine: the guest is reached again" login "$address" cat marker
done
fresh=$(boot fresh "$net" open)
eventually "after all that a server boots" status "$fresh" ACTIVE
other=$(float "$fresh")
eventually "and lets us in" login "$other" true
holds "and it knows its neighbour's name" login "$other" timeout 10 nslookup -type=a keeper.openstacklocal
api compute DELETE "/servers/$fresh"
eventually "and is deleted" gone "$fresh"
audit "after the engines' deaths"

stop_cloud "$cloud"
holds "a stopped cloud leaves no namespace, link or process" nothing_left
up
eventually "started again, the server whose guest was ended is SHUTOFF" status "$keeper" SHUTOFF
check "it is started by the client" openstack server start keeper
eventually "it becomes ACTIVE" status "$keeper" ACTIVE
eventually "its address and disk are the same" login "$address" grep -q kept marker
api compute DELETE "/servers/$keeper"
eventually "it is deleted" gone "$keeper"
audit "at the end"
stop_cloud "$cloud"
holds "nothing is left" nothing_left
finish
