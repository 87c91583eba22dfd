# SPDX-License-Identifier: Apache-2.0
# What the runs of the clients' own functional tests share: their source distributions from PyPI, unmodified, against
# clouds on fakes that are furnished as DevStack furnishes one. A run is serial, as upstream's, unless it says how many
# go at a time.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/../Scenarios/harness.sh"
here=$top/Tests/Conformance
strangers=$top/.cache/clients

# need_client PACKAGE: its sources, at the version that clients.txt names, are in $sources
need_client() {
    local version
    pip_venv "$strangers" "$top/scripts/requirements.txt" "$here/clients.txt" ||
        skip "the clients could not be installed: is the Python package index reachable?"
    version=$(cat "$here/clients.txt" "$top/scripts/requirements.txt" | sed -n "s/^$1==//p" | head -n 1)
    sources=$strangers/${1//-/_}-$version
    [ -d "$sources" ] || {
        "$strangers/bin/pip" download -q --disable-pip-version-check --no-deps --no-binary "$1" \
            -d "$dir" "$1==$version" && tar -x -z -C "$strangers" -f "$dir/${1//-/_}-$version.tar.gz" ||
            skip "the sources of $1 $version could not be had"
    }
}

# furnish DATA: a running cloud becomes what DevStack would have made of it
furnish() {
    [ -f "$dir/image.qcow2" ] || qemu-img create -q -f qcow2 "$dir/image.qcow2" 10M
    check "it is furnished as DevStack does" "$strangers/bin/python" "$here/devstack.py" "$1" "$dir/image.qcow2"
}

# suite NAME FOLDER REGEX [WORKERS]: runs the tests of a folder of $sources against the cloud NAME, so many classes at a
# time
suite() {
    (
        cd "$sources" || exit
        unset OS_CLOUD
        export OS_CLIENT_CONFIG_FILE=$dir/$1/devstack/clouds.yaml HOME=$dir/$1/home PATH=$strangers/bin:$PATH
        export OS_TEST_TIMEOUT=300 OS_LOG_CAPTURE=1 OS_STDOUT_CAPTURE=1 OS_STDERR_CAPTURE=1
        mkdir -p "$HOME" "$dir/$1/run"
        stestr --test-path "$2" --top-dir . --group_regex '([^\.]+\.)+' --repo-url "$dir/$1/run" \
            run --concurrency "${4:-1}" "$3" > "$dir/$1/output" 2>&1
        stestr --repo-url "$dir/$1/run" last --subunit | subunit2csv --no-passthrough > "$dir/$1/results"
    )
}

# judge KNOWN NAME...: counts what the suites found; what neither passes nor has a line in KNOWN fails, and so does a
# line whose test passes, unless it passes by chance
judge() {
    local known=$1 test outcome reason
    shift
    for each in "$@"; do
        [ "$(wc -l < "$dir/$each/results")" -gt 1 ] || miss "the tests of $each run" "$(tail -n 5 "$dir/$each/output")"
        while IFS=, read -r test outcome _; do
            test=$(sed -E 's/^(setUpClass|tearDownClass) \((.*)\)$/\2/' <<< "$test")
            # A class or a module stands for its tests.
            reason=$(awk -F '\t' -v test="$test" \
                '!/^#/ && ($1 == test || index(test, $1 ".") == 1) {print $2; exit}' "$known")
            case $outcome in
            success | expected*)
                if [ -n "$reason" ] && [[ $reason != "by chance"* ]]; then
                    miss "$test" "passes now: its line can go"
                else
                    passed=$((passed + 1))
                fi ;;
            *)
                if [ -n "$reason" ]; then
                    skipped=$((skipped + 1))
                else
                    miss "$test" "$outcome: $(grep -a -A 60 "^$test" "$dir/$each/output" |
                        grep -a -m 3 -E 'Error|Exception|[Ss]kip')"
                fi ;;
            esac
        done < <(tail -n +2 "$dir/$each/results" | tr -d '\r')
    done
}

# told: the counts, and out
told() {
    echo "$passed passed, $failed failed, $skipped skipped"
    finish
}
