#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A real guest with a trusted module (vTPM) through a whole cloud, by the unmodified client: UEFI and a module, what it has
# learnt lasts through stops, reboots and sizes, what would lose it is refused, and nothing of it is left. Root only.
. "$(dirname "$0")/guests.sh"
guests_only trusted-module
command -v swtpm > /dev/null || skip "swtpm is not there: apt-get install swtpm swtpm-tools"
[ -e /usr/share/OVMF/OVMF_CODE_4M.fd ] || skip "there is no UEFI firmware: apt-get install ovmf"

up
grounds
net=$(network net 10.6.0.0/24)
group=$(group open)
allow "$group" tcp 22 > /dev/null
check "an image for UEFI" openstack image set --property hw_firmware_type=uefi guest
check "a flavor with a module" openstack flavor create --vcpus 1 --ram 256 --disk 1 trusted \
    --property hw:tpm_version=2.0 --property hw:tpm_model=tpm-crb -f json
trusted=$(value .id)
check "and a bigger one" openstack flavor create --vcpus 2 --ram 320 --disk 1 trusted-big \
    --property hw:tpm_version=2.0 --property hw:tpm_model=tpm-crb -f json
check "and one without" openstack flavor create --vcpus 1 --ram 256 --disk 1 plain -f json

flavor=$trusted
server=$(boot subject "$net" open)
eventually "a server becomes ACTIVE" status "$server" ACTIVE
address=$(float "$server")
limit=180
eventually "it lets us in" login "$address" true

# What libvirt and QEMU know of it.
domain() { virsh -c "$libvirt" dumpxml "$server"; }
monitor() { virsh -c "$libvirt" qemu-monitor-command "$server" "$1"; }
has_module() { monitor '{"execute": "query-tpm"}' | jq -e '.return[0].model == "tpm-crb"'; }
holds "QEMU has a module" has_module
encrypted() { domain | grep '<encryption secret='; }
holds "its domain names a secret" encrypted
has_firmware() { domain | grep OVMF; }
holds "the firmware is UEFI's" has_firmware
libvirt_secrets() { virsh -c "$libvirt" secret-list | grep -c -E '[0-9a-f]{8}-'; }
same "libvirt knows the secret only while it starts the guest" 0 "$(libvirt_secrets)"
state=$data/libvirt/varlib/swtpm/$server/tpm2/tpm2-00.permall
holds "what it has learnt is in a file" [ -s "$state" ]
secrets() { "$apus" secrets status --data "$data"; }
counts() { [ "$(secrets | awk '{ sum += $2 } END { print sum + 0 }')" = "$1" ]; }
holds "the cloud keeps one secret" counts 1

# In the guest, by raw commands, as its small system has no tools. tpm COMMAND-IN-HEX: the module's answer in hex.
as_root() {
    timeout 40 ip netns exec "$outside" ssh -i "$dir/key" -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
        -o LogLevel=ERROR -o ConnectTimeout=4 -o BatchMode=yes "root@$address" "$@"
}
tpm() {
    # shellcheck disable=SC2016
    sed 's/../\\x&/g' <<< "$1" | as_root 'read -r command; exec 3<> /dev/tpm0; printf "$command" >&3
        dd bs=4096 count=1 <&3 2> /dev/null | hexdump -v -e "1/1 \"%02x\""'
}
owner=40000001 place=01500020 session=00000009400000090000000000
mark=0123456789abcdef
define=80020000002d0000012a${owner}${session}0000000e${place}000b0006000600000008
write=80020000002b00000137${owner}${place}${session}0008${mark}0000
read=8002000000230000014e${owner}${place}${session}00080000
inside=
as_root ls /dev/tpm0 >> "$log" 2>&1 && inside=yes
knows() { [[ $(tpm "$read") = *"$mark"* ]]; }
if [ -n "$inside" ]; then
    tpm "$define" >> "$log"
    tpm "$write" >> "$log"
    holds "the guest's module keeps what the guest tells it" knows
else
    echo "  the guest's kernel has no driver of the module: it is looked at from outside (swtpm's file, QEMU's monitor)"
fi
# remembers WHEN: by the guest's own words, or by QEMU and the file of its module
remembers() {
    if [ -n "$inside" ]; then
        eventually "$1: its module knows what it was told" knows
    else
        holds "$1: QEMU has a module" has_module
        holds "$1: its file is there" [ -s "$state" ]
    fi
}

check "stop" openstack server stop subject
eventually "it is down" status "$server" SHUTOFF
holds "a stopped guest's module has its file" [ -s "$state" ]
check "start" openstack server start subject
eventually "it runs" status "$server" ACTIVE
eventually "it is reached" login "$address" true
remembers "started again"
check "a hard reboot" openstack server reboot --hard --wait subject
eventually "it is reached after it" login "$address" true
remembers "after a hard reboot"

# A bigger size, taken back, and once more, confirmed.
check "resize" openstack server resize --flavor trusted-big subject
eventually "it is VERIFY_RESIZE" status "$server" VERIFY_RESIZE
eventually "it is reached at its new size" login "$address" true
remembers "at its new size"
check "taken back" openstack server resize revert subject
eventually "it is ACTIVE" status "$server" ACTIVE
eventually "it is reached at its old size" login "$address" true
remembers "taken back"
check "resize again" openstack server resize --flavor trusted-big subject
eventually "it is VERIFY_RESIZE again" status "$server" VERIFY_RESIZE
check "confirm" openstack server resize confirm subject
eventually "it is ACTIVE at last" status "$server" ACTIVE
eventually "it is reached" login "$address" true
remembers "confirmed"
same "it has one secret still" 1 "$(secrets | awk '{ sum += $2 } END { print sum + 0 }')"

# The keys that its secret is sealed with rotate under it.
check "the sealing key rotates" "$apus" secrets rotate --data "$data"
newest() { [[ $(secrets) =~ ^[0-9a-f]+\ +1\ secrets ]]; }
eventually "its secret is sealed anew by the running cloud" newest
check "and the old key goes" "$apus" secrets drop --data "$data"
blow "after a rotation"
up
eventually "the cloud knows its server" status "$server" ACTIVE
check "it is stopped" openstack server stop subject
eventually "it is down" status "$server" SHUTOFF
check "it is started" openstack server start subject
eventually "with the new key it starts" status "$server" ACTIVE
eventually "and is reached" login "$address" true
remembers "under another key"

# What would lose it is refused.
for verb in '{"shelve": null}' '{"rescue": null}' "{\"rebuild\": {\"imageRef\": \"$image\"}}"; do
    action "$server" "$verb"
    same "refused: $verb" 400 "$code"
done
holds "and it runs on" status "$server" ACTIVE

check "delete" openstack server delete --wait subject
holds "nothing of its module is left" [ ! -e "$data/libvirt/varlib/swtpm/$server" ]
holds "and no secret" counts 0
same "nor in libvirt" 0 "$(libvirt_secrets)"
no_process() { ! pgrep -f "swtpm.*$server"; }
holds "nor a process of it" no_process
audit "in the end"
stop_cloud "$cloud"
holds "nothing is left" nothing_left
finish
