#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A machine with nothing of ours installed: the programs are hidden in a mount namespace. A cloud on fakes needs none of
# them and no root; `apus doctor` names each that is missing with the package it comes in. Root only, for the hiding.
. "$(dirname "$0")/harness.sh"
scenario bare-machine
[ "$EUID" = 0 ] || skip "hiding programs needs root"
command -v setpriv > /dev/null || skip "there is no setpriv"

programs="ip ethtool ovsdb-server ovs-vswitchd ovs-vsctl ovsdb-tool ovs-appctl ovn-northd ovn-nbctl ovn-sbctl
    ovn-controller libvirtd virtlogd virsh qemu-system-x86_64 qemu-img genisoimage nft sysctl bird haproxy swtpm
    mformat"
cat > "$dir/bare" << SCRIPT
for program in $(tr -s '\n ' ' ' <<< "$programs"); do
    for folder in /usr/sbin /usr/bin /sbin /bin /usr/local/sbin /usr/local/bin; do
        [ ! -e \$folder/\$program ] || mount --bind /dev/null "\$(readlink -f \$folder/\$program)"
    done
done
export PATH=/usr/local/bin:/usr/bin:/bin
"\$@"
SCRIPT
bare=(unshare --mount --propagation private bash "$dir/bare")
offset=$(free_offset)

"${bare[@]}" "$apus" doctor --data "$dir/doctor" --port-offset "$offset" > "$dir/told" 2>&1
for program in $programs; do
    grep -q -E "[ (]$program([,)]|\$)" "$dir/told" || echo "$program"
done > "$dir/untold"
unsaid() { if [ ! -s "$2" ]; then pass "$1"; else miss "$1" "$(cat "$2")"; fi; }
unsaid "doctor names every program that is missing" "$dir/untold"
for package in iproute2 openvswitch-switch ovn-central ovn-host libvirt-daemon-system qemu-system-x86 qemu-utils \
    genisoimage haproxy nftables procps bird2 swtpm-tools mtools; do
    grep "apt-get install" "$dir/told" | grep -q -w -- "$package" || echo "$package"
done > "$dir/untold"
unsaid "and the package of each" "$dir/untold"
refuse "a real cloud says where to look" "apus doctor" \
    "${bare[@]}" "$apus" up --data "$dir/real" --port-offset "$offset"

# Nobody may start one on fakes, wherever the binary is.
home=$(mktemp -d /tmp/apus-bare.XXXXXX)
cp "$apus" "$home/apus" && chmod 755 "$home" "$home/apus" && mkdir "$home/cloud" && chown nobody "$home/cloud"
"${bare[@]}" setpriv --reuid nobody --clear-groups "$home/apus" up --data "$home/cloud/one" \
    --hypervisor fake --network fake --port-offset "$offset" > "$dir/out" 2>&1 &
wait_until 60 grep -q '^ready in' "$dir/out" && pass "nobody's cloud on fakes comes up" ||
    miss "nobody's cloud on fakes comes up" "$(tail -n 5 "$dir/out")"
pid=$(cat "$home/cloud/one/apus.lock")
clouds+=("$pid")
export OS_CLIENT_CONFIG_FILE=$home/cloud/one/clouds.yaml OS_CLOUD=apus
check "and the client speaks to it" openstack catalog list -f json
kill "$pid" && timeout 20 tail --pid="$pid" -f /dev/null
rm -rf "$home"
finish
