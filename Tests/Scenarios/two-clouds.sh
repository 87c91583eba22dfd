#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Two clouds side by side know nothing of each other; a second run on the same folder is refused and harms nothing.
. "$(dirname "$0")/harness.sh"
scenario two-clouds

first_offset=$(free_offset)
start_cloud "$dir/first" "$first_offset" --hosts 1 || finish
first=$cloud
second_offset=$(free_offset)
start_cloud "$dir/second" "$second_offset" --hosts 1 || finish
second=$cloud

use_cloud "$dir/first"
check "the first takes a project" openstack project create --domain default only-here -f json
use_cloud "$dir/second"
check "the second lists its projects" openstack project list -f json &&
    expect "the first's project is not there" 'all(.Name != "only-here")'
check "its catalog is read" openstack catalog list -f json &&
    expect "its endpoints are on its own ports" '[.. | strings | scan("://[^/]*:[0-9]+") | split(":") | last | tonumber]
        | length > 0 and all(. - ($o | tonumber) | IN(5000, 8774, 8778, 9292, 9696, 9876))' --arg o "$second_offset"

refuse "a second run on the same folder is refused" "already|in use|running" \
    "$apus" up --data "$dir/first" --hypervisor fake --network fake --port-offset "$(free_offset)"
use_cloud "$dir/first"
check "the first still answers" openstack project show only-here -f json

stop_cloud "$first"
use_cloud "$dir/second"
check "the second outlives the first" openstack token issue -f json
start_cloud "$dir/first" "$first_offset" --hosts 1 || finish
use_cloud "$dir/first"
check "started again, the first kept what it knew" openstack project show only-here -f json
stop_cloud "$cloud"
stop_cloud "$second"
finish
