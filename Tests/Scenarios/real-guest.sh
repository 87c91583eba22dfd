#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A real cloud with a real guest, as `make demo` makes it: a login over SSH through a floating address, what the guest was
# told of itself; and when the cloud is stopped, nothing of it is left on the machine.
. "$(dirname "$0")/harness.sh"
scenario real-guest
export APUS_DATA=$dir/cloud APUS_PORT_OFFSET
APUS_PORT_OFFSET=$(free_offset)
need_engines "$APUS_PORT_OFFSET"

limit=420 check "make demo boots a server and logs in to it" "$top/scripts/demo"
[ ! -s "$dir/cloud/demo.pid" ] || clouds+=("$(cat "$dir/cloud/demo.pid")")
[ "$failed" = 0 ] || { printf '%s\n' "$answer" | tail -n 15; finish; }
expect_text() { if grep -q -E -- "$2" <<< "$answer"; then pass "$1"; else miss "$1" "$answer"; fi; }
expect_text "the guest has its name" '^ *hostname demo$'
expect_text "the guest has its address" '^ *address 10\.0\.0\.[0-9]+/24$'

use_cloud "$dir/cloud"
check "the server is shown" openstack server show demo -f json &&
    expect "it is ACTIVE and has both addresses" '.status == "ACTIVE" and (.addresses.private | length == 2)'
check "it is stopped" openstack server stop demo
stopped() { [ "$(openstack server show demo -f value -c status)" = SHUTOFF ]; }
eventually "it is SHUTOFF" stopped
check "it is deleted" openstack server delete --wait demo
check "the host is shown" openstack resource provider list -f json
check "its use is shown" openstack resource provider usage show "$(value '.[0].uuid')" -f json &&
    expect "nothing of it is taken any more" 'length > 0 and all(.usage == 0)'
prefix=$(jq -r .chassis_namespace "$dir/cloud/cloud.json")
check "SIGTERM stops the cloud" "$top/scripts/demo" stop
answer=$(ip netns list | grep -F -- "$prefix")
expect_text "no namespace is left" '^$'
answer=$(pgrep -f -- "$dir/cloud/" | head -n 5)
expect_text "no process of it is left" '^$'
finish
