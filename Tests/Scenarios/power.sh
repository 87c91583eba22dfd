#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Power actions on a real guest by the unmodified client, its console's text and picture, and a server that fits nowhere.
# Root only.
. "$(dirname "$0")/guests.sh"
guests_only power

up
grounds
net=$(network net 10.3.0.0/24)
group=$(group open)
allow "$group" tcp 22 > /dev/null
server=$(boot subject "$net" open)
eventually "a server becomes ACTIVE" status "$server" ACTIVE
address=$(float "$server")
eventually "it lets us in" login "$address" 'echo kept > marker; sync'
boot_id() { login "$address" cat /proc/sys/kernel/random/boot_id; }
holds "it says which boot this is" boot_id
first=$answer

# act SENTENCE STATUS WORD...: an action by the client, and the state it ends in
act() {
    local sentence=$1 wanted=$2
    shift 2
    check "$sentence" openstack server "$@" subject
    eventually "then it is $wanted" status "$server" "$wanted"
}
rebooted() { local now; now=$(boot_id) && [ -n "$now" ] && [ "$now" != "$first" ]; }
silent() { ! login_limit=6 login "$address" true; }

act "pause" PAUSED pause
holds "paused it does not answer" silent
act "unpause" ACTIVE unpause
eventually "unpaused it does, in the same boot" login "$address" grep -q "$first" /proc/sys/kernel/random/boot_id
act "suspend" SUSPENDED suspend
act "resume" ACTIVE resume
eventually "resumed it is in the same boot still" login "$address" grep -q "$first" /proc/sys/kernel/random/boot_id
act "stop" SHUTOFF stop
act "start" ACTIVE start
eventually "started it is in another boot" rebooted
holds "with its disk" login "$address" grep -q kept marker
first=$(boot_id)
act "reboot soft" ACTIVE reboot --soft
eventually "that is another boot" rebooted
first=$(boot_id)
act "reboot hard" ACTIVE reboot --hard
eventually "that is another boot as well" rebooted
check "lock" openstack server lock subject
user_refused() { # what a member without the admin role is told
    openstack --os-username member --os-password secret --os-project-name admin server stop subject
}
check "a member" openstack user create --password secret member -f json
check "of the project" openstack role add --user member --project admin member
export -f user_refused
refuse "locked, its members cannot stop it" "locked" bash -c user_refused
check "unlock" openstack server unlock subject

check "its console's text" openstack console log show subject
grep -q '^guest: ready' <<< "$(tr -d '\r' <<< "$answer")" && pass "tells of the boot" || miss "tells of the boot"
check "its console's address" openstack console url show --novnc subject -f json
console=$(value .url)
holds "the address is a page" curl -sS --noproxy '*' --max-time 10 -f -o /dev/null "$console"
holds "a WebSocket to its picture" console vnc "$console"
[[ $answer == RFB\ 003.* ]] && pass "is greeted by VNC ($answer)" || miss "is greeted by VNC" "$answer"
refuse "a token that was made up opens nothing" "403" timeout 10 curl -sS --noproxy '*' -f -H 'Upgrade: websocket' \
    -H 'Connection: Upgrade' -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==' \
    "http://127.0.0.1:$((6080 + offset))/?token=made-up"

# Too large for every host: the fault explains itself.
check "a flavor that fits nowhere" openstack flavor create --vcpus 1 --ram 99999999 --disk 1 giant -f json
check "no quota in the way" openstack quota set --ram -1 admin
check "a server with it is accepted" openstack server create --image guest --flavor giant --network net giant -f json
giant=$(value .id)
eventually "it ends in ERROR" status "$giant" ERROR
check "the client shows why" openstack server show giant -f json
expect "no valid host" '.fault.message | test("No valid host")'
value .fault.message | tee "$dir/fault" | sed 's/^/          /'
api compute DELETE "/servers/$giant"

api compute DELETE "/servers/$server"
eventually "the server is deleted" gone "$server"
eventually "and so is the other" gone "$giant"
audit "at the end"
stop_cloud "$cloud"
holds "nothing is left" nothing_left
finish
