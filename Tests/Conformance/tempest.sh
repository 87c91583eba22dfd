# SPDX-License-Identifier: Apache-2.0
# What the runs of Tempest that are scenarios share: counting what run-tempest found.
# shellcheck shell=bash
here=$top/Tests/Conformance

# counted LOG: adds what the last line of run-tempest's output says
counted() {
    local counts
    counts=$(tail -n 1 "$1")
    passed=$((passed + $(grep -o '^[0-9]* passed' <<< "$counts" | tr -dc 0-9 || echo 0)))
    failed=$((failed + $(grep -o '[0-9]* failed' <<< "$counts" | tr -dc 0-9 || echo 1)))
    skipped=$((skipped + $(grep -o '[0-9]* skipped' <<< "$counts" | tr -dc 0-9 || echo 0)))
}

# reasoned RESULTS KNOWN: every skip has a reason in the file
reasoned() {
    awk -F '\t' '$2 == "skip" {print $1}' "$1" | sed -E 's/^setUpClass \((.*)\)$/\1/; s/\[.*//' | sort -u |
        while read -r test; do grep -q -F "$test"$'\t' "$2" || echo "$test"; done > "$dir/unknown"
    answer=$(cat "$dir/unknown")
    if [ -n "$answer" ]; then miss "every skip has a reason" "$answer"; else pass "every skip has a reason"; fi
}
