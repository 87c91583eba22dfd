#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Ansible describes a site (ansible.yml: people, images, networks, servers, a load balancer) and the cloud becomes it;
# described again, nothing changes; taken away (ansible-gone.yml), nothing is left.
. "$(dirname "$0")/harness.sh"
scenario ansible

need_strangers ansible

limit=300
start_cloud "$dir/cloud" "$(free_offset)" --hosts 2 || finish
use_cloud "$dir/cloud"
qemu-img create -q -f qcow2 "$dir/image.qcow2" 10M
ssh-keygen -q -t ed25519 -N '' -f "$dir/key"

# What changed and what failed, as Ansible itself counts.
play=(
    env -u OS_CLOUD ANSIBLE_HOME="$dir/ansible" ANSIBLE_LOCALHOST_WARNING=false ANSIBLE_NOCOLOR=1
    ANSIBLE_STDOUT_CALLBACK=ansible.posix.json "$strangers/bin/ansible-playbook" -i localhost,
    -e ansible_python_interpreter="$strangers/bin/python" -e image="$dir/image.qcow2" -e key="$dir/key.pub"
)

# changed: the tasks that changed something
changed='[.plays[].tasks[] | select(.hosts.localhost.changed) | .task.name]'

check "a site is made as it is described" "${play[@]}" "$top/Tests/Scenarios/ansible.yml"
expect "by 37 tasks, each of which did something" \
    '.stats.localhost | .failures == 0 and .ok == 37 and .changed == 37'
check "what was made answers" openstack server list -f json
expect "two servers run, one with an address from outside" \
    'length == 2 and all(.Status == "ACTIVE") and any(.Networks.inside | any(startswith("203.0.113.")))'
check "the balancer is there" openstack loadbalancer list -f json
expect "and in order" 'length == 1 and .[0].provisioning_status == "ACTIVE"'

check "the site is described again" "${play[@]}" "$top/Tests/Scenarios/ansible.yml"
expect "and nothing changes" "$changed == []"

check "the site is taken away" "${play[@]}" "$top/Tests/Scenarios/ansible-gone.yml"
for noun in server port router network network\ trunk floating\ ip image flavor keypair server\ group aggregate loadbalancer; do
    # shellcheck disable=SC2086
    check "no $noun is left" openstack $noun list -f json
    expect "indeed" 'length == 0'
done

stop_cloud "$cloud"
finish
