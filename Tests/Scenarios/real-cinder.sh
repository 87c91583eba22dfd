#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Real guests with volumes of unmodified Cinder 29 on Ceph: attached while they run, booted from, grown, snapshotted,
# moved to another back end under the guest, shared, encrypted with a key of unmodified Barbican 23, and gone at the end.
. "$(dirname "$0")/guests.sh"
. "$(dirname "$0")/block-storage.sh"
guests_only real-cinder
store=$dir/store
mkdir -p "$store"
install_storage
limit=120
up

# What guests' hosts and the storage have in common: a cable into the hosts' namespace.
cable=st${offset}
bridge_to_hosts() {
    ip link add "$cable" type veth peer name storage0 netns "$prefix" && ip addr add 198.51.100.1/30 dev "$cable" &&
        ip link set "$cable" up && ip -n "$prefix" addr add 198.51.100.2/30 dev storage0 &&
        ip -n "$prefix" link set storage0 up
}
ip -o addr | grep -q -F 198.51.100.1 && skip "198.51.100.0/30 is in use on this machine"
holds "hosts reach the storage network" bridge_to_hosts
cable_gone() { ip link delete "$cable" 2> /dev/null; }
afterwards+=(cable_gone)

broker_up
database_up
ceph_up 198.51.100.1
barbican_up
cinder_up
hosts_know_ceph
export OS_VOLUME_API_VERSION=3.70 OS_COMPUTE_API_VERSION=2.90

grounds
tenant=$(network one 10.77.0.0/24)
group open > /dev/null
allow "$(openstack security group show open -f value -c id)" tcp 22 > /dev/null
allow "$(openstack security group show open -f value -c id)" icmp > /dev/null

volume_is() { storage_says volume show "$1" -f json -- ".status == \"$2\""; }
volume_gone() { ! openstack volume show "$1" > /dev/null 2>> "$log"; }
# disk ADDRESS: the guest's disks, as "name bytes"
disks() { login "$1" 'for d in /sys/block/vd*; do echo $(basename $d) $(($(cat $d/size) * 512)); done'; }
has_disk() { disks "$1" | grep -q -x -F "$2"; }
lacks_disk() { ! disks "$1" 2>> "$log" | grep -q "^$2 "; }

# put ADDRESS DISK BLOCK WORD, has ...: a word in a block of the guest's disk
put() { login "$1" "echo $4 | sudo dd of=/dev/$2 bs=512 seek=$3 conv=fsync,notrunc 2> /dev/null"; }
has() { login "$1" "sudo dd if=/dev/$2 bs=512 skip=$3 count=1 2> /dev/null | head -n 1 | grep -x $4"; }

# --- attach, use, grow, detach

server=$(boot one "$tenant" open)
eventually "a server runs" status "$server" ACTIVE
address=$(float "$server")
eventually "it is reached" login "$address" true
check "a volume is made" openstack volume create --size 1 data -f json
eventually "it is available" volume_is data available
check "it is attached to the running server" openstack server add volume "$server" data -f json
eventually "Cinder calls it in use" volume_is data in-use
eventually "the guest sees it" has_disk "$address" "vdb 1073741824"
holds "the guest writes a word" put "$address" vdb 0 kept
check "it grows while it is used" openstack volume set --size 2 data
eventually "the guest sees it grown" has_disk "$address" "vdb 2147483648"
eventually "Cinder is done with it" volume_is data in-use

# --- to another back end, under the guest

check "it is moved to another back end" openstack volume set --type other --retype-policy on-demand data
eventually "Compute has moved the guest to it" storage_says volume show data -f json -- \
    '.type == "other" and .status == "in-use"'
holds "the guest goes on with what it wrote" has "$address" vdb 0 kept
holds "and writes more" put "$address" vdb 1 more
check "it is detached" openstack server remove volume "$server" data
eventually "Cinder calls it available" volume_is data available
eventually "the guest lost it" lacks_disk "$address" vdb
check "it is attached again" openstack server add volume "$server" data -f json
eventually "what the guest wrote after the move is there" has "$address" vdb 1 more

check "Cinder snapshots it while it is used" openstack volume snapshot create --force --volume data moment -f json
eventually "the snapshot is there" storage_says volume snapshot show moment -f json -- '.status == "available"'

# --- shared by two

check "a type that may be shared" openstack volume type create --property "multiattach=<is> True" \
    --property volume_backend_name=ceph shared -f json
check "a volume to share" openstack volume create --size 1 --type shared both -f json
eventually "it is available" volume_is both available
second=$(boot two "$tenant" open)
eventually "a second server runs" status "$second" ACTIVE
for each in "$server" "$second"; do
    check "the shared volume is attached" openstack server add volume "$each" both -f json
done
eventually "both have it" storage_says volume show both -f json -- '.attachments | length == 2'
check "one lets go" openstack server remove volume "$server" both
eventually "the other has it still" storage_says volume show both -f json -- \
    '.status == "in-use" and (.attachments | length == 1)'
check "the second server is deleted" openstack server delete --wait "$second"
eventually "nobody has the shared volume" volume_is both available

# --- boot from an image made a volume

rooted() {
    made compute /servers "{\"server\": {\"name\": \"$1\", \"flavorRef\": \"$flavor\", \"key_name\": \"key\",
        \"networks\": [{\"uuid\": \"$tenant\"}], \"security_groups\": [{\"name\": \"open\"}],
        \"block_device_mapping_v2\": [{\"boot_index\": 0, \"uuid\": \"$2\", \"source_type\": \"$3\",
        \"destination_type\": \"volume\", \"volume_size\": 1, \"delete_on_termination\": $4}]}}" .server.id
}
root=$(rooted root "$image" image true)
eventually "a server boots from a volume made of an image" status "$root" ACTIVE
root_address=$(float "$root")
eventually "it is reached" login "$root_address" true
holds "it writes onto its volume" login "$root_address" 'echo mine > mark && sync'
api compute GET "/servers/$root"
root_volume=$(value '.server."os-extended-volumes:volumes_attached"[0].id')
check "an image of it is a snapshot in Cinder" openstack server image create --name copy "$root" -f json
eventually "the image is active" storage_says image show copy -f json -- '.status == "active"'
check "Cinder has the snapshot" openstack volume snapshot list --volume "$root_volume" -f json &&
    expect "one, available" 'length == 1 and .[0].Status == "available"'
copied=$(rooted copied "$(openstack image show copy -f value -c id)" image true)
eventually "a server boots from the image's snapshot" status "$copied" ACTIVE
copied_address=$(float "$copied")
eventually "what was written is on it" login "$copied_address" 'grep -x mine mark'
check "the copy is deleted" openstack server delete --wait "$copied"
check "the first is stopped" openstack server stop "$root"
eventually "it is off" status "$root" SHUTOFF
check "and started" openstack server start "$root"
eventually "it runs off its volume again" login "$root_address" 'grep -x mine mark'
check "it is deleted" openstack server delete --wait "$root"
snapshot=$(openstack volume snapshot list --volume "$root_volume" -f value -c ID)
eventually "its volume stays, for a snapshot needs it" volume_is "$root_volume" available
check "the snapshot is deleted" openstack volume snapshot delete "$snapshot"
eventually "it is gone" storage_says volume snapshot list -f json -- 'all(.Name != "snapshot for copy")'
check "then the volume is, too" openstack volume delete "$root_volume"
eventually "gone" volume_gone "$root_volume"
kept=$(rooted kept "$image" image false)
eventually "another boots from a volume" status "$kept" ACTIVE
api compute GET "/servers/$kept"
kept_volume=$(value '.server."os-extended-volumes:volumes_attached"[0].id')
check "it is deleted" openstack server delete --wait "$kept"
eventually "its volume is kept" volume_is "$kept_volume" available
short=$(rooted short "$kept_volume" volume true)
eventually "a server boots from the volume that was kept" status "$short" ACTIVE
check "it is deleted" openstack server delete --wait "$short"
eventually "and the volume with it, as asked" volume_gone "$kept_volume"

# --- encrypted, with a key that Barbican keeps

check "a type whose volumes are encrypted" openstack volume type create --property volume_backend_name=ceph \
    --encryption-provider luks --encryption-cipher aes-xts-plain64 --encryption-key-size 256 \
    --encryption-control-location front-end secret -f json
check "an encrypted volume" openstack volume create --size 1 --type secret hidden -f json
hidden=$(value .id)
eventually "it is available" volume_is hidden available
check "it is attached" openstack server add volume "$server" hidden -f json
eventually "in use" volume_is hidden in-use
eventually "the guest sees what is decrypted" sh -c \
    'size=$(timeout 20 "$@" cat /sys/block/vdc/size); [ "$size" -gt 2080000 ] && [ "$size" -le 2097152 ]' sh \
    ip netns exec "$outside" ssh -i "$dir/key" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
    -o LogLevel=ERROR -o BatchMode=yes "apus@$address"
holds "the guest writes a word" put "$address" vdc 0 a-word-that-nobody-else-reads
pool_holds() { # WORD: the beginning of the volume as Ceph has it, read to its end before it is searched
    { timeout 60 rbd -p volumes export "volume-$hidden" - 2>> "$log" || true; } | head -c 8000000 > "$dir/beginning"
    [ -s "$dir/beginning" ] && grep -q -a -F "$1" "$dir/beginning"
}
holds "Ceph has it in LUKS" pool_holds LUKS
if pool_holds a-word-that-nobody-else-reads; then miss "and cannot read the word"; else pass "and cannot read the word"; fi
key_id=$(openstack --os-volume-api-version 3.70 volume show hidden -f json | jq -r '.encryption_key_id // empty')
[ -n "$key_id" ] || key_id=$(psql "${database[@]}" -A -t -d cinder -c \
    "SELECT encryption_key_id FROM volumes WHERE id = '$hidden'")
token=$(openstack token issue -f value -c id)
words=$(curl -s -H "X-Auth-Token: $token" -H 'Accept: application/octet-stream' \
    "http://127.0.0.1:$barbican_port/v1/secrets/$key_id/payload" | od -An -v -tx1 | tr -d ' \n')
answer="\"$words\""
expect "Barbican has its key" 'length == 64'
if grep -r -q -a -F "$words" "$data" 2> /dev/null || virsh -c "$libvirt" dumpxml --security-info "$server" | grep -q -F "$words"; then
    miss "the passphrase stands nowhere in the cloud's folder nor the guest's description"
else
    pass "the passphrase stands nowhere in the cloud's folder nor the guest's description"
fi
check "it grows while it is used" openstack volume set --size 2 hidden
eventually "Cinder is done with it" volume_is hidden in-use
check "the server is started anew" openstack server reboot --hard "$server"
eventually "the guest reads its word again" has "$address" vdc 0 a-word-that-nobody-else-reads
check "it is detached" openstack server remove volume "$server" hidden
eventually "available" volume_is hidden available
veiled=$(made compute /servers "{\"server\": {\"name\": \"veiled\", \"flavorRef\": \"$flavor\", \"key_name\": \"key\",
    \"networks\": [{\"uuid\": \"$tenant\"}], \"security_groups\": [{\"name\": \"open\"}],
    \"block_device_mapping_v2\": [{\"boot_index\": 0, \"uuid\": \"$image\", \"source_type\": \"image\",
    \"destination_type\": \"volume\", \"volume_size\": 1, \"volume_type\": \"secret\",
    \"delete_on_termination\": true}]}}" .server.id)
eventually "a server boots from an encrypted volume made of an image" status "$veiled" ACTIVE
eventually "and runs" login "$(float "$veiled")" true
check "it is deleted" openstack server delete --wait "$veiled"
check "the encrypted volume is deleted" openstack volume delete hidden
eventually "gone" volume_gone hidden

# --- nothing is left

check "the server is deleted with its volumes held" openstack server delete --wait "$server"
eventually "the data volume is free" volume_is data available
check "the snapshot is deleted" openstack volume snapshot delete moment
eventually "it is gone" storage_says volume snapshot list -f json -- 'length == 0'
check "the volumes are deleted" openstack volume delete data both
eventually "Cinder has none" storage_says volume list -f json -- 'length == 0'
holds "and Ceph neither" sh -c '! rbd ls volumes | grep . && ! rbd ls others | grep .'
stop_cloud "$cloud"
holds "a stopped cloud leaves nothing" nothing_left
finish
