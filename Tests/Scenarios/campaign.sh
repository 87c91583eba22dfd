#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A campaign of bad luck with real guests: random actions on random servers, and at random moments kill -9 of apus, of
# libvirtd or of a guest. Afterwards servers, domains, ports, allocations, disks and rows must be told of each other, and
# nothing may be stuck. The seed is printed; the same seed gives the same actions (what comes of them hangs on timing).
#
#     sudo Tests/Scenarios/campaign.sh [ACTIONS [SEED]]      60 actions when not told otherwise
#
# Seeds that were run: 4711 (40 actions, 9 kills), 20261130 (300, 83 kills; 100, 32 kills), 42 (100, 27 kills),
# 20261201 (300, 74 kills).
. "$(dirname "$0")/guests.sh"

count=${1:-${CAMPAIGN_ACTIONS:-60}} seed=${2:-${CAMPAIGN_SEED:-$((RANDOM * 32768 + RANDOM))}}
RANDOM=$seed
draw() { drawn=$((RANDOM % $1)); }

# A guest of no operating system: it stays in its firmware, and takes next to nothing of the machine.
image_file=$(mktemp /tmp/apus-campaign-disk.XXXXXX)
qemu-img create -q -f qcow2 "$image_file" 1M
guests_only campaign
mkdir -p "$data"
cat > "$data/apus.conf" << 'END'
[DEFAULT]
shutdown_timeout = 2
running_deleted_instance_poll_interval = 5
[quota]
instances = -1
cores = -1
ram = -1
END
limit=${SCENARIO_LIMIT:-180}
trap 'leave; rm -f "$image_file"' EXIT
echo "campaign: $count actions, seed $seed"

up
grounds
large=$(made compute /flavors '{"flavor": {"name": "large", "vcpus": 2, "ram": 160, "disk": 1}}' .flavor.id)
net=$(network net 10.1.0.0/24)
other=$(network other 10.2.0.0/24)
group open > /dev/null

servers=() accepted=0 refused=0 kills=0
declare -A outcomes

# What is done to one server: the body of its action, or something else of the API.
act() {
    local server=$1 what=$2 body=
    case $what in
    delete) api compute DELETE "/servers/$server" && return ;;
    plug)
        api compute POST "/servers/$server/os-interface" "{\"interfaceAttachment\": {\"net_id\": \"$other\"}}"
        return
        ;;
    unplug)
        api compute GET "/servers/$server/os-interface" || return
        local port
        port=$(jq -r --arg net "$other" \
            '[.interfaceAttachments[] | select(.net_id == $net)][0].port_id // empty' <<< "$answer")
        # Nothing is plugged in there: as good as refused.
        [ -n "$port" ] || { code=404 && return 1; }
        api compute DELETE "/servers/$server/os-interface/$port"
        return
        ;;
    start) body='{"os-start": null}' ;;
    stop) body='{"os-stop": null}' ;;
    soft) body='{"reboot": {"type": "SOFT"}}' ;;
    hard) body='{"reboot": {"type": "HARD"}}' ;;
    pause) body='{"pause": null}' ;;
    unpause) body='{"unpause": null}' ;;
    suspend) body='{"suspend": null}' ;;
    resume) body='{"resume": null}' ;;
    resize) body="{\"resize\": {\"flavorRef\": \"$large\"}}" ;;
    shrink) body="{\"resize\": {\"flavorRef\": \"$flavor\"}}" ;;
    confirm) body='{"confirmResize": null}' ;;
    revert) body='{"revertResize": null}' ;;
    rebuild) body="{\"rebuild\": {\"imageRef\": \"$image\"}}" ;;
    rescue) body='{"rescue": {}}' ;;
    unrescue) body='{"unrescue": null}' ;;
    snapshot) body="{\"createImage\": {\"name\": \"copy-$RANDOM\"}}" ;;
    shelve) body='{"shelve": null}' ;;
    unshelve) body='{"unshelve": null}' ;;
    esac
    api compute POST "/servers/$server/action" "$body"
}

# A kill at a random moment after what was just asked for.
mishap() {
    draw 12
    local pid what=
    case $drawn in
    0)
        sleep "0.$((RANDOM % 10))"
        kill -9 "$cloud"
        wait "$cloud" 2> /dev/null
        what=apus
        start_cloud "$data" "$offset" --hypervisor libvirt --network ovn > /dev/null ||
            { miss "apus starts again" && finish; }
        key=$(timeout 60 openstack token issue -f value -c id)
        ;;
    1)
        sleep "0.$((RANDOM % 10))"
        pid=$(cat "$data/libvirt/run/libvirtd.pid" 2> /dev/null) && kill -9 "$pid" 2> /dev/null && what=libvirtd
        ;;
    2)
        sleep "0.$((RANDOM % 10))"
        pid=$(pgrep -f "qemu-system.*$data/" | shuf -n 1 --random-source=<(yes "$RANDOM"))
        [ -n "$pid" ] && kill -9 "$pid" 2> /dev/null && what=guest
        ;;
    esac
    [ -z "$what" ] || { kills=$((kills + 1)); outcomes[kill-$what]=$((${outcomes[kill-$what]:-0} + 1)); }
}

at_rest() {
    api compute GET /servers/detail &&
        jq -e 'all(.servers[]; .["OS-EXT-STS:task_state"] == null and .status != "BUILD")' <<< "$answer"
}

# Everything against everything.
compare() {
    local on_host with_ports ports
    eventually "$1: every server is at rest" at_rest
    expect "$1: whoever is in ERROR says why" 'all(.servers[] | select(.status == "ERROR"); .fault.message | length > 0)'
    on_host=$(jq -r '.servers[] | select(."OS-EXT-SRV-ATTR:host" != null) | .id' <<< "$answer" | sort)
    with_ports=$(jq -r '.servers[].id' <<< "$answer" | sort)
    # libvirtd may have been killed a moment ago: who does not answer has not said that there is nothing.
    eventually "$1: libvirt tells its domains" ask_libvirt
    same "$1: domains are servers" "$on_host" "$domains"
    api network GET "/ports?fields=id&fields=device_id&fields=device_owner&fields=binding:host_id"
    same "$1: ports belong to servers that are there" "" "$(comm -13 <(echo "$with_ports") <(jq -r \
        '.ports[] | select(.device_owner | startswith("compute:")) | .device_id' <<< "$answer" | sort -u))"
    ports=$(jq -r '.ports[] | select(.device_owner | startswith("compute:")) | .device_id + " tap" + .id[:11]' \
        <<< "$answer" | grep -F -f <(echo "${on_host:-none}") | cut -d ' ' -f 2 | sort)
    same "$1: no tap without its port" "" \
        "$(comm -13 <(echo "$ports") <(chassis -o link 2> /dev/null | grep -o 'tap[0-9a-f-]*' | sort -u))"
    same "$1: no port of the switch without its port" "" \
        "$(comm -13 <(echo "$ports") <(vsctl list-ports br-int | grep '^tap' | sort -u))"
    same "$1: disks are servers'" "$on_host" "$(ls "$data/guests/instances" | grep -E '^[0-9a-f-]{36}$' | sort)"
    api placement GET /resource_providers
    api placement GET "/resource_providers/$(value '.resource_providers[0].uuid')/allocations"
    local holders
    holders=$(jq -r '.allocations | keys[]' <<< "$answer" | sort)
    # A resize that waits to be confirmed holds the old size under the migration's id.
    api compute GET '/os-migrations?status=finished'
    same "$1: allocations are servers'" "$on_host" \
        "$(comm -23 <(echo "$holders") <(jq -r '.migrations[].uuid' <<< "$answer" | sort))"
    same "$1: no operation is left" 0 "$(sqlite3 -readonly "$data/apus.db" \
        "SELECT COUNT(*) FROM work_operations
            WHERE state IN ('queued', 'running', 'undoing') AND kind LIKE 'compute.%'")"
}

verbs=(delete start start stop hard hard soft pause unpause suspend resume plug unplug resize shrink confirm revert rebuild
    rescue unrescue snapshot shelve unshelve)
for ((step = 1; step <= count; step++)); do
    draw 10
    if [ "${#servers[@]}" -lt 2 ] || { [ "$drawn" -lt 2 ] && [ "${#servers[@]}" -lt 5 ]; }; then
        what=boot
        servers+=("$(boot "s$step" "$net" open)")
        accepted=$((accepted + 1)) outcomes[boot]=$((${outcomes[boot]:-0} + 1))
    else
        draw "${#servers[@]}" && at=$drawn
        draw "${#verbs[@]}" && what=${verbs[$drawn]}
        if act "${servers[$at]}" "$what"; then
            accepted=$((accepted + 1)) outcomes[$what]=$((${outcomes[$what]:-0} + 1))
            [ "$what" != delete ] || { unset "servers[$at]" && servers=("${servers[@]}"); }
        else
            refused=$((refused + 1))
            case $code in
            4* | 501) ;;
            *) miss "step $step: $what is answered by $code" "$answer" ;;
            esac
        fi
    fi
    mishap
    # Half of the time what was begun may go on while the next thing is asked for.
    draw 2 && [ "$drawn" = 0 ] || wait_until 30 at_rest > /dev/null
    [ $((step % 20)) != 0 ] || compare "after $step actions (seed $seed)"
done
compare "at the end (seed $seed)"
for server in "${servers[@]}"; do api compute DELETE "/servers/$server"; done
empty() { api compute GET /servers && [ "$(value '.servers | length')" = 0 ]; }
eventually "every server can be deleted" empty
compare "with no server left (seed $seed)"
echo "  $accepted accepted, $refused refused, $kills kills:$(for what in $(printf '%s\n' "${!outcomes[@]}" | sort); do
    printf ' %s %s' "$what" "${outcomes[$what]}"; done)"
stop_cloud "$cloud"
holds "nothing is left" nothing_left
finish
