# SPDX-License-Identifier: Apache-2.0
# What the scenarios share that run services of upstream's beside a cloud: their processes, their accounts in our
# Identity, which is at $identity, and a RabbitMQ. Everything of theirs is kept in the folder $store.
# shellcheck shell=bash

rabbit=/usr/lib/rabbitmq/bin/rabbitmq-server
groups=()
afterwards+=(services_down)

# beside NAME COMMAND...: a process that lives as long as the scenario, with its children; its log is NAME.log
beside() {
    setsid "${@:2}" >> "$store/$1.log" 2>&1 < /dev/null &
    groups+=("$!")
    disown
    printf '%s\n' "${groups[@]}" > "$store/groups"
    [ -n "${guard:-}" ] || guard_services
}

# guard_services: what ends them when nobody else can, for the scenario itself was killed
guard_services() {
    # shellcheck disable=SC2016
    setsid bash -c 'tail --pid="$1" -f /dev/null
        while read -r group; do kill -KILL -- "-$group"; done < "$2"' guard "$$" "$store/groups" \
        > /dev/null 2>&1 < /dev/null &
    guard=$!
    disown
}

# services_down: everything of them, all at once, workers whose parents are gone included
services_down() {
    local group
    [ "${#groups[@]}" -gt 0 ] || return 0
    for group in "${groups[@]}"; do kill -TERM -- "-$group" 2> /dev/null; done
    wait_until 5 groups_gone
    for group in "${groups[@]}"; do kill -KILL -- "-$group" 2> /dev/null; done
    wait_until 5 groups_gone
    groups=()
    : > "$store/groups"
}
groups_gone() {
    local group
    for group in "${groups[@]}"; do ! kill -0 -- "-$group" || return 1; done
}

# broker_up: a RabbitMQ at $bus, its group is $broker; called again, what was killed comes back with what it kept
broker_up() {
    if [ -z "${bus:-}" ]; then
        read -r broker_port broker_between broker_mapper < <(free_ports 3)
        bus=rabbit://guest:guest@127.0.0.1:$broker_port/
        mkdir -p "$store/rabbit/mnesia" "$store/rabbit/log"
        # A broker that finds no port mapper starts one that outlives it.
        beside epmd epmd -address 127.0.0.1 -port "$broker_mapper"
        wait_until "$limit" listens "$broker_mapper"
    fi
    local settings=(
        PATH="$PATH" LANG=C.UTF-8 HOME="$store/rabbit"
        RABBITMQ_CONF_ENV_FILE=/dev/null RABBITMQ_CONFIG_FILE="$store/rabbit/none"
        RABBITMQ_MNESIA_BASE="$store/rabbit/mnesia" RABBITMQ_LOG_BASE="$store/rabbit/log"
        RABBITMQ_NODENAME="apus$broker_port@localhost" RABBITMQ_NODE_IP_ADDRESS=127.0.0.1
        RABBITMQ_NODE_PORT="$broker_port" RABBITMQ_DIST_PORT="$broker_between" ERL_EPMD_ADDRESS=127.0.0.1
        ERL_EPMD_PORT="$broker_mapper" RABBITMQ_PID_FILE="$store/rabbit/pid"
        RABBITMQ_ENABLED_PLUGINS_FILE="$store/rabbit/plugins" RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="+sbwt none +S 1")
    beside rabbit env -i "${settings[@]}" "$rabbit"
    broker=${groups[-1]}
    eventually "RabbitMQ answers" listens "$broker_port"
}
listens() { (exec 3<> "/dev/tcp/127.0.0.1/$1"); }

# account USER: a service's own, as install guides say
account() {
    check "a user for $1" openstack user create --domain default --password secret "$1" -f json
    check "$1 may act for itself" openstack role add --project service --user "$1" admin
    check "$1 is a service" openstack role add --project service --user "$1" service
}

# credentials USER: how a service logs in at our Identity
credentials() {
    cat << CONFIGURATION
auth_url = $identity
auth_type = password
username = $1
password = secret
project_name = service
user_domain_id = default
project_domain_id = default
region_name = RegionOne
CONFIGURATION
}

# authtoken USER [MEMCACHED]: keystonemiddleware's section; without a cache it asks about every token
authtoken() {
    cat << CONFIGURATION
[keystone_authtoken]
www_authenticate_uri = $identity
service_token_roles = service
service_token_roles_required = true
token_cache_time = $([ -n "${2:-}" ] && echo 300 || echo -1)
${2:+memcached_servers = $2}
$(credentials "$1")
CONFIGURATION
}
