# SPDX-License-Identifier: Apache-2.0
# The test harness of the scenarios: a cloud of its own, checks with a time limit each, counts, logs kept on failure.
# shellcheck shell=bash
# The last answer is in $answer; `expect` asks it with jq. A scenario begins with `scenario NAME`, ends with `finish`.
set -uo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../scripts/shell.sh"

passed=0 failed=0 skipped=0 answer=
# What a scenario does when its clouds have ended and its folder is still there.
afterwards=()
limit=${SCENARIO_LIMIT:-60}
PATH=$venv/bin:$PATH
for variable in $(compgen -e OS_); do unset "$variable"; done

# scenario NAME: a scratch folder; what is left at the exit is stopped, logs stay only after a failure
scenario() {
    name=$1
    dir=$(mktemp -d "/tmp/apus-$name.XXXXXX")
    log=$dir/commands.log
    clouds=()
    [ -x "$venv/bin/openstack" ] || fail "the OpenStack client is not there" "scripts/setup clients"
    apus=$(apus_binary)
    [ -x "$apus" ] || fail "$apus is not there" "make build"
    trap cleanup EXIT
}

cleanup() {
    local pid each
    for pid in ${clouds[@]+"${clouds[@]}"}; do
        kill "$pid" 2> /dev/null && timeout 20 tail --pid="$pid" -f /dev/null
        kill -9 "$pid" 2> /dev/null
    done
    for each in ${afterwards[@]+"${afterwards[@]}"}; do "$each"; done
    [ -z "${SCENARIO_COUNT:-}" ] || echo "$passed $failed $skipped" > "$SCENARIO_COUNT"
    if [ "$failed" = 0 ]; then rm -rf "$dir"; else echo "  logs: $dir"; fi
}

# need_engines OFFSET: goes on where real guests can run; elsewhere the scenario counts as skipped and says why
need_engines() {
    local reason
    if [ "$EUID" != 0 ]; then
        reason="real guests need root"
    elif ! answer=$(timeout 60 "$apus" doctor --data "$dir/cloud" --port-offset "$1" 2>&1); then
        reason="this machine cannot run real guests: $(grep -m 1 -E '^fail' <<< "$answer")"
    else
        return 0
    fi
    skip "$reason"
}

# skip REASON: the scenario ends here and counts as skipped
skip() {
    skipped=1
    echo "  skip  $1"
    exit 0
}

# need_strangers NAME: what NAME.txt lists of the Python package index, for this scenario alone, is in $strangers
need_strangers() {
    strangers=$top/.cache/$1
    pip_venv "$strangers" "$top/Tests/Scenarios/$1.txt" ||
        skip "what $1.txt lists could not be installed: is the Python package index reachable?"
}

# finish: the counts; status 0 only when nothing failed and something passed
finish() {
    echo "$name: $passed passed, $failed failed"
    [ "$failed" = 0 ] && [ "$passed" -gt 0 ]
    exit
}

pass() {
    passed=$((passed + 1))
    printf '  ok    %s\n' "$1"
}

miss() {
    failed=$((failed + 1))
    printf '  FAIL  %s\n' "$1"
    [ -z "${2:-}" ] || printf '%s\n' "$2" | tail -n 6 | cut -c 1-300 | sed 's/^/          /'
}

# check SENTENCE COMMAND...: passes when the command ends with status 0 in time; standard output is kept in $answer
check() {
    local sentence=$1 status=0
    shift
    printf '\n$ %s\n' "$*" >> "$log"
    answer=$(timeout "$limit" "$@" 2> "$dir/stderr") || status=$?
    { printf '%s\n' "$answer" | head -c 20000; cat "$dir/stderr"; echo "status $status"; } >> "$log"
    if [ "$status" = 0 ]; then
        pass "$sentence"
    else
        miss "$sentence" "status $status of: $* $(printf '\n'; cat "$dir/stderr")"
        return 1
    fi
}

# refuse SENTENCE PATTERN COMMAND...: passes when the command fails and says PATTERN
refuse() {
    local sentence=$1 pattern=$2 status=0
    shift 2
    printf '\n$ %s\n' "$*" >> "$log"
    answer=$(timeout "$limit" "$@" 2>&1) || status=$?
    printf '%s\nstatus %s\n' "$answer" "$status" >> "$log"
    if [ "$status" != 0 ] && [ "$status" != 124 ] && grep -q -E -i -- "$pattern" <<< "$answer"; then
        pass "$sentence"
    else
        miss "$sentence" "status $status: $answer"
    fi
}

# expect SENTENCE FILTER [JQ-ARGUMENT...]: passes when jq's filter holds for $answer
expect() {
    local sentence=$1 filter=$2
    shift 2
    # Of nothing jq says nothing, with status 0.
    if [ -n "$answer" ] && jq -e "$@" "$filter" <<< "$answer" > /dev/null 2>&1; then
        pass "$sentence"
    else
        miss "$sentence" "does not hold: $filter of $answer"
    fi
}

# value FILTER: a member of the last answer, as plain text
value() { jq -r "$1" <<< "$answer" 2> /dev/null; }

# eventually SENTENCE COMMAND...: passes when the command succeeds within a minute
eventually() {
    if wait_until "$limit" "${@:2}"; then pass "$1"; else miss "$1" "not within $limit s: ${*:2}"; fi
}

# free_offset: a port offset whose ports nobody listens on, all of them below those that the kernel gives to clients
free_offset() {
    local offset port
    for offset in $(shuf -i 110-224); do
        for port in 5000 6080 8774 8776 8778 8800 9292 9311 9696 9876; do
            (exec 3<> "/dev/tcp/127.0.0.1/$((port + offset * 100))") 2> /dev/null && continue 2
        done
        echo $((offset * 100))
        return
    done
}

# start_cloud DATA OFFSET [ARGUMENT...]: a cloud on fakes; waits for "ready in N ms"; its process is in $cloud
start_cloud() {
    local data=$1 offset=$2 output=$1.out
    shift 2
    mkdir -p "$data"
    : > "$output"
    setsid "$apus" up --data "$data" --hypervisor fake --network fake --port-offset "$offset" "$@" \
        > "$output" 2>&1 < /dev/null &
    cloud=$!
    clouds+=("$cloud")
    if wait_until 60 ready_or_ended "$output" && grep -q -E '^ready in' "$output"; then
        pass "a cloud comes up ($(grep -m 1 -E '^ready in' "$output"))"
    else
        miss "a cloud comes up" "$(tail -n 5 "$output")"
        return 1
    fi
}

ready_or_ended() { grep -q -E '^ready in [0-9]+ ms' "$1" || ! kill -0 "$cloud"; }

# use_cloud DATA: the client speaks to this one
use_cloud() {
    export OS_CLIENT_CONFIG_FILE=$1/clouds.yaml OS_CLOUD=apus
}

# stop_cloud PID: SIGTERM ends it with status 0
stop_cloud() {
    local status=0
    kill -TERM "$1" 2> /dev/null
    timeout 30 tail --pid="$1" -f /dev/null || kill -9 "$1" 2> /dev/null
    wait "$1" || status=$?
    answer=$status
    expect "SIGTERM stops it with status 0" '. == 0'
}

# wait_until SECONDS COMMAND...: tries again until the command succeeds
wait_until() {
    local end=$((SECONDS + $1))
    shift
    until "$@" > /dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.1
    done
}
