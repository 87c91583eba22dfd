#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Real upstream services take our Identity for theirs: Placement 16 and Glance 33 from PyPI, unmodified, behind
# keystonemiddleware, once without a token cache and once with memcached, serve the stock client out of our catalog.
. "$(dirname "$0")/harness.sh"
. "$(dirname "$0")/services.sh"
scenario real-services

need_strangers real-services
store=$dir

offset=$(free_offset)
start_cloud "$dir/cloud" "$offset" --hosts 1 || finish
use_cloud "$dir/cloud"
identity=http://127.0.0.1:$((5000 + offset))/v3
placement_port=$((8778 + offset + 10)) image_port=$((9292 + offset + 10)) cache_port=$((11211 + offset + 10))

# The accounts that an operator makes for these services, as their install guides say.
check "the project of services" openstack project create service --domain default --or-show -f json
account placement-real
account glance-real
check "somebody without rights" openstack user create --domain default --password secret somebody -f json
check "a project of hers" openstack project create theirs --domain default -f json
check "she is a member there" openstack role add --project theirs --user somebody member

configure() {
    local cache=$1
    mkdir -p "$dir/placement" "$dir/glance/images"
    {
        printf '[DEFAULT]\ndebug = false\n[api]\nauth_strategy = keystone\n'
        printf '[placement_database]\nconnection = sqlite:///%s/placement.sqlite\n' "$dir/placement"
        authtoken placement-real "$cache"
    } > "$dir/placement/placement.conf"
    {
        printf '[DEFAULT]\nenabled_backends = disk:file\n[glance_store]\ndefault_backend = disk\n'
        printf '[disk]\nfilesystem_store_datadir = %s/glance/images\n' "$dir"
        printf '[os_glance_staging_store]\nfilesystem_store_datadir = %s/glance/staging\n' "$dir"
        printf '[os_glance_tasks_store]\nfilesystem_store_datadir = %s/glance/tasks\n' "$dir"
        printf '[database]\nconnection = sqlite:///%s/glance.sqlite\n' "$dir/glance"
        printf '[paste_deploy]\nflavor = keystone\nconfig_file = %s/etc/glance/glance-api-paste.ini\n' "$strangers"
        printf '[oslo_policy]\nenforce_scope = true\nenforce_new_defaults = true\n'
        authtoken glance-real "$cache"
    } > "$dir/glance/glance-api.conf"
}

# serve NAME PORT APPLICATION: the WSGI application of a service on a port; its process goes with the scenario
serve() {
    beside "$1" "$strangers/bin/gunicorn" --workers 1 --threads 4 --bind "127.0.0.1:$2" "$3"
    eventually "the real $1 answers" curl -sf -o "$dir/answer" "http://127.0.0.1:$2/"
}

answers() { [ "$(curl -s -o "$dir/answer" -w '%{http_code}' "${@:2}")" = "$1" ]; }

serve_both() {
    export OS_PLACEMENT_CONFIG_DIR=$dir/placement OS_GLANCE_CONFIG_DIR=$dir/glance OS_GLANCE_CONFIG_FILES=glance-api.conf
    serve placement "$placement_port" placement.wsgi.api:application
    serve glance "$image_port" glance.wsgi.api:application
    unset OS_PLACEMENT_CONFIG_DIR OS_GLANCE_CONFIG_DIR OS_GLANCE_CONFIG_FILES
}

# stock_client HOW: what a stranger does with the two, through our catalog
stock_client() {
    check "$1: a provider is made in the real Placement" \
        openstack resource provider create "rack-$2" -f json
    provider=$(value .uuid)
    check "$1: its inventory" openstack resource provider inventory set "$provider" --resource VCPU=8 -f json
    check "$1: candidates of the real Placement" \
        openstack --os-placement-api-version 1.39 allocation candidate list --resource VCPU=2 -f json &&
        expect "$1: one of them is the provider" 'any(."resource provider" == $p)' --arg p "$provider"
    head -c 300000 /dev/urandom > "$dir/bytes"
    check "$1: an image is put into the real Glance" openstack image create "picture-$2" --file "$dir/bytes" \
        --disk-format raw --container-format bare -f json && expect "$1: it is active" '.status == "active"'
    check "$1: it is fetched" openstack image save "picture-$2" --file "$dir/copy"
    check "$1: byte for byte" cmp "$dir/bytes" "$dir/copy"
    check "$1: the owner is the project of our token" openstack image show "picture-$2" -f json &&
        expect "$1: as our Identity told" '.owner == $p' --arg p "$project"
    refuse "$1: a member may not make providers" "403|forbid|not.*authorized|denied" \
        openstack "${her[@]}" resource provider create nope
    check "$1: she sees no private image of others" openstack "${her[@]}" image list -f json &&
        expect "$1: none" 'all(.Name != $n)' --arg n "picture-$2"
    token=$(openstack "${her[@]}" token issue -f value -c id)
    if answers 200 -H "X-Auth-Token: $token" "http://127.0.0.1:$image_port/v2/images"; then
        pass "$1: her token is good"
    else
        miss "$1: her token is good"
    fi
    check "$1: it is revoked" openstack token revoke "$token"
}

her=(--os-cloud= --os-auth-url "$identity" --os-username somebody --os-password secret --os-project-name theirs
    --os-user-domain-id default --os-project-domain-id default --os-identity-api-version 3)
check "our token's project" openstack token issue -f json
project=$(value .project_id)
check "the image endpoints of the catalog" openstack endpoint list --service image -f json
for id in $(value '.[].ID'); do
    check "an image endpoint names the real Glance" openstack endpoint set --url "http://127.0.0.1:$image_port" "$id"
done
check "the placement endpoints of the catalog" openstack endpoint list --service placement -f json
for id in $(value '.[].ID'); do
    check "a placement endpoint names the real Placement" \
        openstack endpoint set --url "http://127.0.0.1:$placement_port" "$id"
done

configure ""
check "Placement makes its tables" "$strangers/bin/placement-manage" --config-file "$dir/placement/placement.conf" db sync
check "Glance makes its tables" "$strangers/bin/glance-manage" --config-file "$dir/glance/glance-api.conf" db_sync
serve_both
stock_client "without a cache" one
if answers 401 -H "X-Auth-Token: $token" "http://127.0.0.1:$image_port/v2/images"; then
    pass "without a cache: a revoked token is refused at once"
else
    miss "without a cache: a revoked token is refused at once"
fi
if answers 401 -H "X-Auth-Token: nonsense" "http://127.0.0.1:$placement_port/resource_providers"; then
    pass "without a cache: a made-up token is refused"
else
    miss "without a cache: a made-up token is refused" "$(cat "$dir/answer")"
fi
services_down

if command -v memcached > /dev/null; then
    memcached -u "$(id -un)" -l 127.0.0.1 -p "$cache_port" -m 16 > "$dir/memcached.log" 2>&1 &
    clouds+=("$!")
    configure "127.0.0.1:$cache_port"
    serve_both
    stock_client "with a cache" two
    exec 3<> "/dev/tcp/127.0.0.1/$cache_port"
    printf 'stats\r\nquit\r\n' >&3
    answer=$(timeout 5 cat <&3 | tr -d '\r' | awk '$2 == "get_hits" {print $3}')
    expect "with a cache: tokens came out of it" '. > 0'
    services_down
else
    skipped=1
    echo "  skip  there is no memcached here"
fi
stop_cloud "$cloud"
finish
