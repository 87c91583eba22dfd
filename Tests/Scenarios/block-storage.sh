# SPDX-License-Identifier: Apache-2.0
# Unmodified Cinder (and Barbican) from the Python package index, on a Ceph of one monitor and one OSD in memory, with a
# RabbitMQ of its own, beside a cloud of ours: what the scenarios with real volumes share. Root only.
# shellcheck shell=bash

. "$(dirname "${BASH_SOURCE[0]}")/services.sh"

# install_storage: the services from the index, once, in $strangers; left out where they or what they want cannot be had
install_storage() {
    local module place
    [ "$EUID" = 0 ] || skip "Ceph and real volumes need root"
    [ -x /usr/bin/ceph-osd ] || skip "there is no Ceph here (scripts/setup volumes)"
    postgres_tools > /dev/null && command -v psql > /dev/null ||
        skip "there is no PostgreSQL here (scripts/setup volumes)"
    [ -x "$rabbit" ] || skip "there is no RabbitMQ here (scripts/setup volumes)"
    need_strangers real-cinder
    # The modules that speak to Ceph come with the system's Python.
    place=$("$strangers/bin/python" -c 'import site; print(site.getsitepackages()[0])')
    for module in /usr/lib/python3/dist-packages/{rados,rbd}.*.so; do
        [ -e "$module" ] || skip "there is no Python module for Ceph here (scripts/setup volumes)"
        ln -sf "$module" "$place/"
    done
}

# postgres_tools: the folder of its newest server
postgres_tools() { compgen -G '/usr/lib/postgresql/*/bin/postgres' | sort -V | sed -n '$s,/postgres$,,p' | grep .; }

# ceph_up ADDRESS: Ceph, with the pools of two back ends and Cinder's own user
ceph_up() {
    STORE_ADDRESS=$1 beside ceph "$top/scripts/store-server" ceph "$store/ceph"
    wait_until 60 test -e "$store/ceph/ready" || { miss "Ceph comes up" "$(tail -n 5 "$store/ceph/output")"; finish; }
    export CEPH_CONF=$store/ceph/ceph.conf
    local pool
    for pool in volumes others; do
        timeout 60 ceph --connect-timeout 10 osd pool create "$pool" 8 8 >> "$store/ceph.log" 2>&1
        timeout 60 rbd pool init "$pool" >> "$store/ceph.log" 2>&1
    done
    timeout 60 ceph --connect-timeout 10 auth get-or-create client.cinder mon 'profile rbd' \
        osd 'profile rbd pool=volumes, profile rbd pool=others' > "$store/ceph/keyring.client.cinder"
    pass "Ceph is up"
}

# database_up: PostgreSQL, as the user that its package has made for it
database_up() {
    local tools folder
    tools=$(postgres_tools)
    folder=$store/postgres
    install -d -o postgres "$folder" && chmod a+x "$dir"
    database_port=$(free_ports 1)
    (cd / && setpriv --reuid postgres --regid postgres --clear-groups "$tools/initdb" -D "$folder/data" -A trust \
        --no-sync -U cinder) > "$store/initdb.log" 2>&1
    cd / || return
    beside postgres setpriv --reuid postgres --regid postgres --clear-groups "$tools/postgres" -D "$folder/data" \
        -c listen_addresses=127.0.0.1 -c "port=$database_port" -c unix_socket_directories= -c fsync=off \
        -c max_connections=200
    cd "$top" || return
    database=(-h 127.0.0.1 -p "$database_port" -U cinder -d postgres -q)
    eventually "PostgreSQL is up" psql "${database[@]}" -c 'SELECT 1'
}

# endpoints TYPE NAME URL
endpoints() {
    local interface
    check "the service $1 is in the catalog" openstack service create --name "$2" "$1" -f json
    for interface in public internal admin; do
        check "its $interface endpoint" openstack endpoint create --region RegionOne "$1" "$interface" "$3" -f json
    done
}

# barbican_up: the key manager, with a key of its own in its settings
barbican_up() {
    barbican_port=$((9311 + offset)) identity=http://127.0.0.1:$((5000 + offset))/v3
    # What says so is what Cinder is told to use.
    cinder_keys=castellan.key_manager.barbican_key_manager.BarbicanKeyManager
    account barbican
    endpoints key-manager barbican "http://127.0.0.1:$barbican_port"
    mkdir -p "$store/barbican/.barbican"
    cp "$strangers/etc/barbican/barbican-api-paste.ini" "$store/barbican/"
    cat > "$store/barbican/.barbican/barbican.conf" << CONFIGURATION
[DEFAULT]
host_href = http://127.0.0.1:$barbican_port
[database]
connection = sqlite:///$store/barbican/barbican.sqlite
[secretstore]
enabled_secretstore_plugins = store_crypto
[crypto]
enabled_crypto_plugins = simple_crypto
[simple_crypto_plugin]
kek = $(head -c 32 /dev/urandom | base64)
[queue]
enable = false
$(authtoken barbican)
CONFIGURATION
    check "Barbican makes its tables" env HOME="$store/barbican" "$strangers/bin/barbican-manage" db upgrade
    # What it seals it cannot read back from PostgreSQL; SQLite wants one at a time.
    HOME=$store/barbican beside barbican "$strangers/bin/gunicorn" --workers 1 --threads 1 \
        --bind "127.0.0.1:$barbican_port" --paste "$store/barbican/barbican-api-paste.ini"
    eventually "Barbican answers" curl -s -o "$store/answer" "http://127.0.0.1:$barbican_port/"
}

# backend NAME POOL
backend() {
    cat << CONFIGURATION
[$1]
volume_driver = cinder.volume.drivers.rbd.RBDDriver
volume_backend_name = $1
rbd_ceph_conf = $CEPH_CONF
rbd_pool = $2
rbd_user = cinder
rbd_secret_uuid = $ceph_secret
rbd_flatten_volume_from_snapshot = false
report_discard_supported = true
CONFIGURATION
}

configure_cinder() {
    local etc=$store/cinder
    mkdir -p "$etc/state" "$etc/lock" "$etc/images" "$etc/coordination"
    cp "$strangers/etc/cinder/"* "$etc/" 2> /dev/null
    cat > "$etc/cinder.conf" << CONFIGURATION
[DEFAULT]
debug = ${STORAGE_DEBUG:-false}
transport_url = $bus
auth_strategy = keystone
host = storage
my_ip = 127.0.0.1
osapi_volume_listen = 127.0.0.1
osapi_volume_listen_port = $cinder_port
osapi_volume_workers = 1
enabled_backends = ceph,other
default_volume_type = ceph
glance_api_servers = http://127.0.0.1:$((9292 + offset))
state_path = $etc/state
image_conversion_dir = $etc/images
api_paste_config = $etc/api-paste.ini
resource_query_filters_file = $etc/resource_filters.json
rootwrap_config = $etc/rootwrap.conf
verify_glance_signatures = disabled
backend_stats_polling_interval = 5
periodic_interval = 5
[database]
connection = postgresql+psycopg2://cinder@127.0.0.1:$database_port/cinder
max_pool_size = 10
max_overflow = 10
[oslo_concurrency]
lock_path = $etc/lock
[coordination]
backend_url = file://$etc/coordination
[key_manager]
backend = ${cinder_keys:-cinder.keymgr.conf_key_mgr.ConfKeyManager}
fixed_key = $(printf '0%.0s' {1..64})
[barbican]
auth_endpoint = $identity
barbican_endpoint = http://127.0.0.1:${barbican_port:-9311}
[cinder_sys_admin]
helper_command = $strangers/bin/privsep-helper --config-file $etc/cinder.conf
[vol_privileged]
helper_command = $strangers/bin/privsep-helper --config-file $etc/cinder.conf
[privsep_osbrick]
helper_command = $strangers/bin/privsep-helper --config-file $etc/cinder.conf
$(backend ceph volumes)
$(backend other others)
[nova]
interface = public
$(credentials cinder)
[glance]
$(credentials cinder)
[service_user]
send_service_user_token = true
$(credentials cinder)
$(authtoken cinder)
CONFIGURATION
}

# patient_tools FOLDER: a qemu-img that is asked again when QEMU could not measure how long a key takes to derive, as happens
# now and then where a kernel counts processor time in ticks (our own host asks again, too)
patient_tools() {
    mkdir -p "$1"
    cat > "$1/qemu-img" << SCRIPT
#!/bin/bash
said=\$(mktemp)
for try in {1..50}; do
    "$(command -v qemu-img)" "\$@" 2> "\$said"
    rc=\$?
    grep -q 'accurate CPU usage' "\$said" || break
done
cat "\$said" >&2
rm -f "\$said"
exit \$rc
SCRIPT
    chmod 755 "$1/qemu-img"
}

# cinder_up: Cinder's three services, in the catalog
cinder_up() {
    cinder_port=$((8776 + offset)) ceph_secret=$(cat /proc/sys/kernel/random/uuid)
    identity=http://127.0.0.1:$((5000 + offset))/v3
    account cinder
    endpoints volumev3 cinderv3 "http://127.0.0.1:$cinder_port/v3"
    configure_cinder
    local conf=$store/cinder/cinder.conf each
    check "Cinder has a database" psql "${database[@]}" -c 'CREATE DATABASE cinder'
    check "Cinder makes its tables" "$strangers/bin/cinder-manage" --config-file "$conf" db sync
    patient_tools "$store/tools"
    for each in api scheduler volume; do
        PATH=$store/tools:$strangers/bin:$PATH beside "cinder-$each" "$strangers/bin/cinder-$each" --config-file "$conf"
    done
    eventually "Cinder answers" curl -sf -o "$store/answer" "http://127.0.0.1:$cinder_port/"
    local both='([.[] | select(.Binary == "cinder-volume" and .State == "up")] | length) == 2'
    eventually "its volume services are up" storage_says volume service list -f json -- "$both"
    local type
    for type in ceph other; do
        check "a volume type $type" openstack volume type create --property "volume_backend_name=$type" "$type" -f json
    done
}

# storage_says OPENSTACK-ARGUMENT... -- FILTER: whether jq's filter holds for what the client answers
storage_says() {
    local asked=()
    while [ "$1" != -- ]; do
        asked+=("$1")
        shift
    done
    answer=$(timeout 30 openstack "${asked[@]}" 2>> "$log") && jq -e "$2" <<< "$answer"
}

# hosts_know_ceph: the secret that guests' disks are reached with, as an operator gives it to libvirt
hosts_know_ceph() {
    cat > "$store/secret.xml" << XML
<secret ephemeral='no' private='no'>
 <uuid>$ceph_secret</uuid><usage type='ceph'><name>client.cinder secret</name></usage>
</secret>
XML
    ceph-authtool -p -n client.cinder "$store/ceph/keyring.client.cinder" > "$store/key"
    check "hosts know Ceph's secret by its id" virsh -c "$libvirt" secret-define "$store/secret.xml"
    check "and what it is" virsh -c "$libvirt" secret-set-value "$ceph_secret" --file "$store/key"
}
