#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# kill -9 in the middle of boots and deletes, then start again: every server ends ACTIVE, ERROR with a reason, or gone,
# and nothing is left over: no port, no allocation.
. "$(dirname "$0")/harness.sh"
. "$(dirname "$0")/servers.sh"
scenario restart

prepare

for delay in 0 0.05 0.2; do
    answer=$(create "boot-$delay" 15)
    answer=${answer##*$'\n'}
    expect "fifteen boots are accepted" '. == 202'
    sleep "$delay"
    blow "$delay s into the boots"
    again
    audit "after boots cut at $delay s"
done

for delay in 0 0.1; do
    mapfile -t ids < <(api GET "/servers?limit=15" | head -n -1 | jq -r '.servers[].id')
    delete "${ids[@]}"
    sleep "$delay"
    blow "$delay s into ${#ids[@]} deletes"
    again
    eventually "what was to be deleted is gone" gone "${ids[@]}"
    audit "after deletes cut at $delay s"
done

mapfile -t ids < <(api GET /servers | head -n -1 | jq -r '.servers[].id')
delete "${ids[@]}"
eventually "the rest is deleted" gone "${ids[@]}"
audit "at the end"
expect "at the end nothing is allocated" '. == [""] or . == []'
stop_cloud "$cloud"
finish
