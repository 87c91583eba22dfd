#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Images as a cloud lives with them: sparse and dense uploads in constant memory, many downloads at once, clients that go
# in the middle, kill -9 in the middle of an import, and what people see of all that through the stock client.
#   IMAGES=large Tests/Scenarios/images.sh     10 GiB sparse, 1 GiB dense, 64 downloads of it; else a smaller selection
. "$(dirname "$0")/harness.sh"
scenario images
if [ "${IMAGES:-}" = large ]; then sparse=10G dense=1024 each=64 limit=900; else sparse=1G dense=128 each=8; fi

mkdir -p "$dir/cloud"
cat > "$dir/cloud/apus.conf" << CONF
[DEFAULT]
enabled_backends = fast:file, slow:file
[glance_store]
default_backend = fast
[fast]
filesystem_thin_provisioning = true
weight = 10
[slow]
weight = 1
[import_filtering_opts]
allowed_ports =
allow_private_addresses = true
CONF
offset=$(free_offset)
start_cloud "$dir/cloud" "$offset" --config "$dir/cloud/apus.conf" || finish
use_cloud "$dir/cloud"
store=$dir/cloud/stores/fast
token=$(openstack token issue -f value -c id)
images=$(openstack endpoint list --service image --interface public -f value -c URL)/v2/images

api() { curl -sS --noproxy '*' -H "X-Auth-Token: $token" -H 'Expect:' "$@"; }
new() {
    api -H 'Content-Type: application/json' -d '{"name": "'"$1"'", "disk_format": "raw", "container_format": "bare"}' \
        "$images" | jq -r .id
}
put() { # ID FILE
    api -o /dev/null -w '%{http_code}' -X PUT -H 'Content-Type: application/octet-stream' -T "$2" "$images/$1/file"
}
field() { api "$images/$1" | jq -r ".$2"; }
is() { [ "$(field "$1" "$2")" = "$3" ]; }
# of the process's memory at its highest, in KiB, since the last time it was asked
peak() {
    awk '/^VmHWM/ {print $2}' "/proc/$cloud/status"
    echo 5 > "/proc/$cloud/clear_refs"
}
bounded() { # SENTENCE MIB
    local now
    now=$(peak)
    answer=$(((now - resident) / 1024))
    expect "$1 takes $answer MiB of memory" ". <= $2"
}
rest() { resident=$(awk '/^VmRSS/ {print $2}' "/proc/$cloud/status") && peak > /dev/null; }

# --- sparse and dense
truncate -s "$sparse" "$dir/sparse"
for at in 0 1 7 99 513; do
    head -c 65536 /dev/urandom | dd of="$dir/sparse" bs=1M seek="$at" conv=notrunc status=none
done
rest
id=$(new sparse)
answer=$(put "$id" "$dir/sparse")
expect "$sparse that are nearly all holes are taken" '. == 204'
bounded "uploading them" 48
answer=$(du -m "$store" | cut -f 1)
expect "they take $answer MiB on the disk" '. <= 8'
answer=$(field "$id" size)
expect "and are told as they are" ". == $(stat -c %s "$dir/sparse")"
rest
api "$images/$id/file" | cmp - "$dir/sparse" && pass "they come back as they were" || miss "they come back as they were"
bounded "downloading them" 16
api -X DELETE "$images/$id"
rm "$dir/sparse"

head -c "${dense}M" /dev/urandom > "$dir/dense"
sum=$(md5sum < "$dir/dense" | cut -d ' ' -f 1)
rest
id=$(new dense)
answer=$(put "$id" "$dir/dense")
expect "$dense MiB are taken" '. == 204'
bounded "uploading them" 48
answer=$(jq -n --arg sum "$(field "$id" checksum)" '$sum')
expect "their checksum is that of md5sum" '. == $sum' --arg sum "$sum"

# --- many at once
many() {
    local at pids=()
    for at in $(seq 64); do
        api -r "$((at % 8))-$((each * 1048576 + at % 8 - 1))" -o "$dir/part.$at" "$images/$id/file" &
        pids+=($!)
    done
    wait "${pids[@]}"
    for at in $(seq 64); do
        cmp -n "$((each * 1048576))" -i "$((at % 8)):0" "$dir/dense" "$dir/part.$at" || return 1
        rm "$dir/part.$at"
    done
}
rest
if many; then pass "64 downloads at once bring their ranges"; else miss "64 downloads at once bring their ranges"; fi
bounded "serving them" 32

# --- a client that goes
lost=$(new lost)
timeout -s KILL 2 curl -sS --noproxy '*' --limit-rate 4M -H "X-Auth-Token: $token" -X PUT -T "$dir/dense" \
    -H 'Content-Type: application/octet-stream' "$images/$lost/file" > /dev/null 2>&1
eventually "an image whose client went waits again" is "$lost" status queued
alone() { [ "$(find "$store" -type f | wc -l)" = 1 ]; }
eventually "nothing of it is left in the store" alone
api -X DELETE "$images/$lost"

# --- kill -9 in the middle of an import
python3 - "$dir/dense" > "$dir/web.log" 2> /dev/null << 'PYTHON' &
import http.server, os, shutil, sys, time


class Slow(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(os.path.getsize(sys.argv[1])))
        self.end_headers()
        with open(sys.argv[1], "rb") as file:
            while piece := file.read(1 << 20):
                self.wfile.write(piece)
                time.sleep(0.01)

    def log_message(self, *words):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
print(server.server_port, flush=True)
server.serve_forever()
PYTHON
clouds+=($!)
wait_until 10 test -s "$dir/web.log"
for delay in 0 0.3 0.9 1.6; do
    id=$(new "import-$delay")
    answer=$(api -o /dev/null -w '%{http_code}' -H 'Content-Type: application/json' "$images/$id/import" -d '{
        "method": {"name": "web-download", "uri": "http://127.0.0.1:'"$(cat "$dir/web.log")"'/dense"},
        "all_stores": true, "all_stores_must_succeed": true}')
    expect "an import begins" '. == 202'
    sleep "$delay"
    kill -9 "$cloud"
    wait "$cloud" 2> /dev/null
    start_cloud "$dir/cloud" "$offset" --config "$dir/cloud/apus.conf" || finish
    eventually "kill -9 after $delay s: the import goes on to its end" is "$id" status active
    answer=$(jq -n --arg sum "$(field "$id" checksum)" '$sum')
    expect "with the right bytes" '. == $sum' --arg sum "$sum"
    answer=$(jq -n --arg stores "$(field "$id" stores)" '$stores')
    expect "in both stores" '. == "fast,slow"'
    api -X DELETE "$images/$id"
done
clean() { alone && [ -z "$(find "$dir/cloud/stores/slow" "$dir/cloud/staging" -type f)" ]; }
eventually "nothing else is left in any store" clean

# --- as people see it
check "the list shows the image" openstack image list -f json
expect "with its name and state" 'map(select(.Name == "dense" and .Status == "active")) | length == 1'
check "an image is shown" openstack image show dense -f json
expect "with its size and hash" '.size == '"$(stat -c %s "$dir/dense")"' and .properties.os_hash_algo == "sha512"'
check "the client itself makes one of a file" openstack image create --file "$dir/web.log" --disk-format raw \
    --container-format bare tiny -f json
refuse "another format is refused with its reason" 'does not match stream data raw' \
    openstack image create --file "$dir/web.log" --disk-format qcow2 --container-format bare wrong
check "and saves it" openstack image save --file "$dir/saved" tiny
cmp "$dir/saved" "$dir/web.log" && pass "as it was" || miss "as it was"
check "tags and properties are set" openstack image set --tag blue --property os_distro=debian tiny
check "and found" openstack image list --tag blue --property os_distro=debian -f json
expect "in the list" 'map(.Name) == ["tiny"]'
check "it is put aside" openstack image set --deactivate tiny
check "and told so" openstack image show tiny -f json
expect "as deactivated" '.status == "deactivated"'
check "and taken up again" openstack image set --activate tiny
check "a protected image" openstack image set --protected tiny
refuse "is not deleted" 'is protected and cannot be deleted' openstack image delete tiny
check "stores are told" openstack image stores list -f json
expect "both of them" 'map(.ID // .id) | sort == ["fast", "slow"]'
check "and how images are imported" openstack image import info -f json
stop_cloud "$cloud"
finish
