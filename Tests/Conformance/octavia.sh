# SPDX-License-Identifier: Apache-2.0
# What the runs of octavia-tempest-plugin share: its environment, and what they say about our providers.
# shellcheck shell=bash
. "${BASH_SOURCE[0]%/*}/tempest.sh"

# need_plugin: its environment is a Python of its own, for Tempest runs whatever plugin it finds
need_plugin() {
    export APUS_VENV=${APUS_VENV:-$top/.cache/tempest-load-balancer}
    "$APUS_VENV/bin/python" -c 'import octavia_tempest_plugin' 2> /dev/null && return
    say "installing octavia-tempest-plugin in ${APUS_VENV#"$top/"}"
    python3 -m venv "$APUS_VENV" && "$APUS_VENV/bin/pip" install -q --disable-pip-version-check \
        -r "$top/scripts/requirements.txt" -r "$here/load-balancer.txt" || skip "the plugin could not be installed"
}

other="Another name of haproxy for what was written for the Octavia Amphora driver."
drivers="haproxy:HAProxy in a network namespace per load balancer.,ovn:Octavia OVN driver."
drivers="$drivers,amphora:$other,octavia:$other"
most="The most connections that one load balancer holds at a time."
allowed="List of network IDs that are allowed for VIP use."
told=(
    --set loadbalancer-feature-enabled.not_implemented_is_error=false
    --set "load_balancer.expected_flavor_capability=maximum_connections:$most"
    --set "load_balancer.expected_availability_zone_capability=valid_vip_networks:$allowed"
    --set "load_balancer.enabled_provider_drivers=$drivers"
)
# What ovn-octavia-provider refuses is refused here, in its words: those tests skip themselves.
declare -A told_of=(
    [haproxy]="--set load_balancer.provider=haproxy"
    [ovn]="--set load_balancer.provider=ovn --set loadbalancer-feature-enabled.l7_protocol_enabled=false
        --set loadbalancer-feature-enabled.pool_algorithms_enabled=false"
)
