#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Logs are rotated while the cloud runs: what is said after SIGHUP is in a new file, and nothing is lost between.
. "$(dirname "$0")/harness.sh"
scenario logs

mkdir -p "$dir/cloud"
printf '[oslo_messaging_notifications]\ndriver = log\n' > "$dir/cloud/apus.conf"
start_cloud "$dir/cloud" "$(free_offset)" --config "$dir/cloud/apus.conf" || finish
use_cloud "$dir/cloud"
logs=$dir/cloud/log
has() { grep -q -F "$2" "$logs/$1"; }
check "a user is made" openstack user create before -f json
first=$(value .id)
eventually "the audit log tells of it" has audit.log "$first"

# As Docs/guides/logs.md says.
cat > "$dir/logrotate" << CONF
$logs/*.log {
    size 1
    rotate 8
    missingok
    su root root
    postrotate
        kill -HUP $cloud
    endscript
}
CONF
if command -v logrotate > /dev/null && [ "$EUID" = 0 ]; then
    check "logrotate moves the logs away" logrotate --state "$dir/state" "$dir/logrotate"
else
    for file in "$logs"/*.log; do mv "$file" "$file.1"; done
    kill -HUP "$cloud"
fi
eventually "the log goes on in a new file" has apus.log "configuration read again"
check "another user is made" openstack user create after -f json
second=$(value .id)
eventually "the audit log tells of it in a new file" has audit.log "$second"
check "what was told before is in the old one" grep -q -F "$first" "$logs/audit.log.1"
refuse "and nothing since" '^$' grep -F "$second" "$logs/audit.log.1"
stop_cloud "$cloud"
finish
