#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Blows at random moments, with boots and deletes under way at once, sometimes a second blow while the cloud is coming
# up again. After each recovery nothing may be half done.   SEED=42 repeats a run, ROUNDS=50 makes it longer.
. "$(dirname "$0")/harness.sh"
. "$(dirname "$0")/servers.sh"
scenario crashes
seed=${SEED:-$((EPOCHSECONDS % 32768))}
rounds=${ROUNDS:-6}
say "SEED=$seed ROUNDS=$rounds"
RANDOM=$seed
prepare

# Microseconds up to a bound, as seconds; most blows shall fall while something is under way.
moment() { printf '0.%06d' $((RANDOM * 32768 % $1 + RANDOM % 1000)); }

for round in $(seq "$rounds"); do
    # Half of what lives goes, something new comes, and the blow falls.
    half=$((RANDOM % 2))
    mapfile -t ids < <(api GET "/servers?limit=30" | head -n -1 | jq -r '.servers[].id' | awk "NR % 2 == $half")
    count=$((RANDOM % 25 + 1)) pause=$(moment 400000) again_after=
    [ $((RANDOM % 3)) != 0 ] || again_after=$(moment 300000)
    order=$((RANDOM % 2))
    [ "$order" = 0 ] || delete "${ids[@]}"
    answer=$(create "round-$round" "$count")
    answer=${answer##*$'\n'}
    expect "round $round: $count boots are accepted" '. == 202'
    [ "$order" = 1 ] || delete "${ids[@]}"
    # Some of the new ones are deleted while they are being scheduled or booted.
    few=$((RANDOM % 4))
    mapfile -t young < <(api GET "/servers?name=round-$round" | head -n -1 | jq -r '.servers[].id' | head -n "$few")
    delete "${young[@]}"
    ids+=("${young[@]}")
    sleep "$pause"
    blow "$pause s after $count boots and ${#ids[@]} deletes"
    if [ -n "$again_after" ]; then
        start_cloud "$dir/cloud" "$offset" --hosts 20 || finish
        sleep "$again_after"
        blow "$again_after s after it was ready again"
    fi
    again
    eventually "round $round: what was to be deleted is gone" gone "${ids[@]}"
    audit "round $round"
done

mapfile -t ids < <(api GET /servers | head -n -1 | jq -r '.servers[].id')
delete "${ids[@]}"
eventually "the rest is deleted" gone "${ids[@]}"
audit "at the end"
expect "at the end nothing is allocated" '. == [""] or . == []'
stop_cloud "$cloud"
finish
