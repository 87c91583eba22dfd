#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A real guest's life by the unmodified client: rebuilt, copied into an image that another boots from, rescued, shelved
# and brought back, deleted and had back, its password, a crash dump, its serial line, and kills in the middle of it.
# Root only.
. "$(dirname "$0")/guests.sh"
export APUS_DEFAULT_RECLAIM_INSTANCE_INTERVAL=3600 APUS_SERIAL_CONSOLE_ENABLED=true APUS_SPICE_ENABLED=true
guests_only life

up
grounds
net=$(network net 10.4.0.0/24)
group=$(group open)
allow "$group" tcp 22 > /dev/null
check "the image says that its guests have an agent" openstack image set --property hw_qemu_guest_agent=yes --property os_admin_user=apus guest
server=$(boot subject "$net" open)
eventually "a server becomes ACTIVE" status "$server" ACTIVE
address=$(float "$server")
eventually "it lets us in" login "$address" 'echo first > marker; sync'

# act SENTENCE STATUS WORD...: an action by the client, and the state it ends in
act() {
    local sentence=$1 wanted=$2
    shift 2
    check "$sentence" openstack server "$@"
    eventually "then it is $wanted" status "$server" "$wanted"
}
marker() { login "$address" cat marker; }
domain() { virsh -c "$libvirt" dumpxml "$server"; }
domain_gone() { ! virsh -c "$libvirt" domstate "$server"; }

# Rebuild: another disk, the same address.
act "rebuild" ACTIVE rebuild --image guest --name subject subject
unmarked() { login "$address" true && ! marker; }
eventually "it is reached where it was, without what was on its disk" unmarked

# A copy while it runs, quieted by its agent, and a server from it.
eventually "it takes a note" login "$address" 'echo second > marker; sync'
check "an image of it" openstack server image create --name copy subject -f json
copy=$(value .id)
active() { [ "$(openstack image show "$1" -f value -c status)" = active ]; }
eventually "becomes active" active "$copy"
eventually "while it runs on" status "$server" ACTIVE
check "the image tells where it comes from" openstack image show "$copy" -f json
expect "it is a snapshot of the server" '.properties | .image_type == "snapshot" and .instance_uuid == $id' --arg id "$server"
holds "no copy is left on the host" [ -z "$(ls "$data/guests/snapshots")" ]
image=$copy
second=$(boot second "$net" open)
eventually "a server boots from the image" status "$second" ACTIVE
other=$(float "$second")
eventually "and has what was on the disk" login "$other" grep -q second marker
api compute DELETE "/servers/$second"

# Rescue, from the same image as it was made of.
rescued() { status "$server" RESCUE; }
check "rescue" openstack server rescue --image guest subject
eventually "then it is in RESCUE" rescued
disks() { login "$address" 'ls /dev/vda /dev/vdb'; }
eventually "it has its own disk beside the rescue's" disks
# Both disks bear the same label, so that either may have become the guest's root: what is on each is looked at.
markers() {
    [ "$(login "$address" "sudo mkdir -p /tmp/look && sudo mount /dev/$1 /tmp/look &&
        sudo find /tmp/look -xdev -name marker | wc -l; sudo umount /tmp/look")" = "$2" ]
}
eventually "of which the rescue's is empty" markers vda2 0
eventually "and its own as it was" markers vdb2 1
refuse "rescued it cannot be paused" "while it is in vm_state rescued" openstack server pause subject
act "unrescue" ACTIVE unrescue subject
eventually "it has its disk again" login "$address" grep -q second marker
holds "and no rescue disk" [ ! -e "$data/guests/instances/$server/disk.rescue" ]
check "an image for stable rescue" openstack image set --property hw_rescue_bus=virtio --property hw_rescue_device=disk "$copy"
check "a stable rescue" openstack server rescue --image "$copy" subject
eventually "is a rescue" rescued
holds "the domain is told of the disk to boot from" domain
grep -q "<boot order='1'/>" <<< "$answer" && pass "it comes last and boots first" || miss "it comes last and boots first" "$answer"
act "unrescue" ACTIVE unrescue subject

# Shelved it is an image and nothing else; it comes back with its address.
act "shelve" SHELVED_OFFLOADED shelve subject
eventually "its domain is gone" domain_gone
holds "so is its disk" [ ! -e "$data/guests/instances/$server" ]
act "unshelve" ACTIVE unshelve subject
eventually "it comes back with its disk and its address" login "$address" grep -q second marker
refuse "the shelved image is gone" "no image" openstack image show subject-shelved

# Deleted it can be had back.
check "delete" openstack server delete subject
eventually "it is deleted for the time being" status "$server" SOFT_DELETED
check "restore" openstack server restore "$server"
eventually "it is ACTIVE again" status "$server" ACTIVE
eventually "with its disk" login "$address" grep -q second marker

# Small things.
eventually "it is up" login "$address" true
before=$(login "$address" sudo cat /etc/shadow)
check "a password through the agent" openstack server set --password 'n3w secret' subject
[ "$(login "$address" sudo cat /etc/shadow)" != "$before" ] && pass "is set" || miss "is set"
check "a crash dump" openstack --os-compute-api-version 2.17 server dump create subject
nmi() { login "$address" sudo dmesg | grep -q NMI; }
eventually "its kernel got the interrupt" nmi
check "a serial console's address" openstack console url show --serial subject -f json
serial=$(value .url)
holds "its serial line answers what is typed" console serial "$serial"
check "a SPICE console's address" openstack console url show --spice subject -f json
spice=$(value .url)
holds "its screen is greeted" console spice "$spice"
[ "$answer" = REDQ ] && pass "by SPICE" || miss "by SPICE" "$answer"

# Kills in the middle: what was begun is done or undone, and nothing is half.
sane() { status "$server" ACTIVE || status "$server" SHELVED_OFFLOADED; }
whole() { ! openstack image list --status queued -f value -c ID | grep . && ! openstack image list --status saving -f value -c ID | grep .; }
for pause in 0.2 1 2.5; do
    action "$server" '{"createImage": {"name": "cut"}}'
    sleep "$pause"
    blow "$pause s into a snapshot"
    up
    eventually "then the server is at rest" status "$server" ACTIVE
    eventually "and no image is half" whole
    action "$server" '{"shelve": null}'
    sleep "$pause"
    blow "$pause s into a shelving"
    up
    # A guest that hears nothing is given its whole minute to shut down, from when the process is back.
    limit=120 eventually "then the server is at rest" sane
    eventually "and no image is half" whole
    if status "$server" SHELVED_OFFLOADED; then
        action "$server" '{"unshelve": null}'
        sleep "$pause"
        blow "$pause s into an unshelving"
        up
        eventually "then the server is back" status "$server" ACTIVE
    fi
done
eventually "it lets us in at last" login "$address" grep -q second marker
holds "no copy is left on the host" [ -z "$(ls "$data/guests/snapshots")" ]

check "forced deletion" openstack server delete --force subject
eventually "the server is gone" gone "$server"
action "$second" '{"forceDelete": null}'
eventually "and so is the other" gone "$second"
audit "at the end"
stop_cloud "$cloud"
holds "nothing is left" nothing_left
finish
