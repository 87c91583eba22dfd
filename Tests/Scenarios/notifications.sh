#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What a stranger hears of a cloud: oslo.messaging's own listener on a real RabbitMQ, also after the broker was away.
. "$(dirname "$0")/harness.sh"
. "$(dirname "$0")/services.sh"
scenario notifications

[ -x "$rabbit" ] || skip "there is no RabbitMQ here (scripts/setup build)"
"$venv/bin/python" -c 'import oslo_messaging' 2> /dev/null || skip "oslo.messaging is not there (scripts/setup clients)"

offset=$(free_offset)
store=$dir

# listen EXCHANGE TOPIC: a listener; what it hears is in $dir/TOPIC.heard
listen() {
    "$venv/bin/python" "$top/Tests/Scenarios/notification-listener.py" "$bus" "$1" "$2" \
        < /dev/null >> "$dir/$2.heard" 2>> "$dir/listener.log" &
    listener=$!
    clouds+=("$listener")
    eventually "somebody listens to $1" grep -q '"listening"' "$dir/$2.heard"
}

# hears SENTENCE TOPIC FILTER: within a minute a message came for which jq's filter holds
hears() {
    if wait_until "$limit" jq -es "any($3)" "$dir/$2.heard"; then
        pass "$1"
    else
        miss "$1" "$(jq -c .event "$dir/$2.heard" | tail -n 20)"
    fi
}

broker_up
mkdir -p "$dir/cloud"
cat > "$dir/cloud/apus.conf" << CONFIGURATION
[notifications]
notification_format = versioned
[oslo_messaging_notifications]
driver = log,messagingv2
transport_url = $bus
CONFIGURATION
start_cloud "$dir/cloud" "$offset" --hosts 2 || finish
use_cloud "$dir/cloud"
check "a flavor" openstack flavor create --ram 64 --disk 1 small -f json
check "an image" openstack image create --disk-format raw --container-format bare --file /etc/hostname tiny -f json
# Nobody listens yet: the queue keeps it.
listen nova versioned_notifications
listen keystone notifications
hears "what nobody listened to is heard later" versioned_notifications '.event == "flavor.create"'
check "a project is made" openstack project create ship -f json
hears "Identity tells of it" notifications '.event == "identity.project.created" and
    .payload.action == "created.project" and .publisher == "identity.apus"'

check "a server is made" openstack server create web --flavor small --image tiny --nic none --wait -f json
server_id=$(value .id)
hears "instance.create.end is heard" versioned_notifications \
    ".event == \"instance.create.end\" and .payload[\"nova_object.data\"].uuid == \"$server_id\""
hears "in upstream's words" versioned_notifications \
    '.event == "instance.create.end" and .payload["nova_object.name"] == "InstanceCreatePayload" and
     (.publisher | startswith("nova-compute:")) and (.metadata.message_id | length == 36) and
     (.context.request_id | startswith("req-")) and (.context.project_id | length > 0)'

for process in $(pgrep -s "$broker"); do kill -9 "$process" 2> /dev/null; done
wait_until 20 sh -c "! kill -0 -- -$broker"
check "without the broker the API answers as ever" openstack server stop web
check "again" openstack server set --name net web
eventually "and the server stops" sh -c "openstack server show net -f value -c status | grep -q SHUTOFF"
check "and Identity" openstack project create wreck -f json
# said TIMES WHAT: whether the log has it so often, in all lives of the cloud
said() { [ "$(grep -c -F "\"message\":\"$2 wait for the bus\"" "$dir/cloud/log/apus.log")" = "$1" ]; }
for what in "notifications" "notifications of Identity"; do
    eventually "the log says that $what wait" said 1 "$what"
done
kill -9 "$cloud"
wait "$cloud" 2> /dev/null
pass "kill -9 of the cloud, whose notifications nobody has taken"
start_cloud "$dir/cloud" "$offset" --hosts 2 || finish
for what in "notifications" "notifications of Identity"; do
    eventually "and in its next life that $what do" said 2 "$what"
done
broker_up
hears "what happened meanwhile is heard when it is back" versioned_notifications '.event == "instance.power_off.end"'
hears "and of Identity" notifications '.event == "identity.project.created" and
    .payload.initiator.username == "admin" and (.payload.resource_info | length > 0)'
for what in "notifications" "notifications of Identity"; do
    if said 2 "$what"; then
        pass "it said so once in each life of $what"
    else
        miss "it said so once in each life of $what" "$(grep -F "$what wait for the bus" "$dir/cloud/log/apus.log")"
    fi
done
answer=$(jq -s '[.[] | select(.event == "identity.project.created")] | length' "$dir/notifications.heard")
expect "both projects, the one that was made before the kill included" '. >= 2'
answer=$(jq -cs '[.[].event | select(startswith("instance.power_off"))]' "$dir/versioned_notifications.heard")
expect "in its order" 'unique == ["instance.power_off.end", "instance.power_off.start"] and
    .[0] == "instance.power_off.start"'
stop_cloud "$cloud"
finish
