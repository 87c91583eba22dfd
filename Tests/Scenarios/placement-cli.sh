#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every command of osc-placement, and the install guide's verification, against a cloud on fakes.
. "$(dirname "$0")/harness.sh"
scenario placement-cli

start_cloud "$dir/cloud" "$(free_offset)" || finish
use_cloud "$dir/cloud"
export OS_PLACEMENT_API_VERSION=1.39
# op WORDS...: the client, answering JSON
printf '#!/bin/sh\nexec openstack "$@" -f json\n' > "$dir/op"
chmod +x "$dir/op"
PATH=$dir:$PATH

# The install guide's chapter: https://docs.openstack.org/placement/latest/install/verify.html
check "the upgrade check passes" "$apus" placement upgrade check --data "$dir/cloud"
answer=$(grep -c "Result: Success" <<< "$answer") && expect "it names three checks" '. == 3'
check "resource classes are listed" op --os-placement-api-version 1.2 resource class list --sort-column name &&
    expect "the standard ones are there" '[.[].name] | contains(["VCPU", "MEMORY_MB", "DISK_GB"])'
check "traits are listed" op --os-placement-api-version 1.6 trait list --sort-column name &&
    expect "the standard ones are there" '[.[].name] | contains(["HW_CPU_X86_AVX2", "COMPUTE_NODE"])'

# Resource classes and traits.
check "a class is created" openstack resource class create CUSTOM_GOLD
check "a class is made sure of" openstack resource class set CUSTOM_SILVER
check "a class is shown" op resource class show CUSTOM_GOLD && expect "by its name" '.name == "CUSTOM_GOLD"'
check "a class is deleted" openstack resource class delete CUSTOM_SILVER
refuse "a class without the prefix is refused" "400|does not match" openstack resource class create GOLD
check "a trait is created" openstack trait create CUSTOM_FAST
check "a trait is shown" op trait show CUSTOM_FAST && expect "by its name" '.name == "CUSTOM_FAST"'
check "traits are listed by prefix" op trait list --name startswith:CUSTOM_ &&
    expect "only such" 'map(.name) == ["CUSTOM_FAST"]'

# Providers, in trees.
check "a provider is created" op resource provider create host-a && host=$(value .uuid) &&
    expect "with a generation" '.generation == 0 and .name == "host-a"'
check "one below it is created" op resource provider create card-a --parent-provider "$host" && card=$(value .uuid)
check "a provider is shown" op resource provider show "$card" &&
    expect "with its parent and root" '.parent_provider_uuid == $h and .root_provider_uuid == $h' --arg h "$host"
check "a provider is renamed" op resource provider set "$host" --name host-b &&
    expect "to the new name" '.name == "host-b"'
check "a tree is listed" op resource provider list --in-tree "$card" && expect "with both" 'length == 2'
check "a provider is found by its name" op resource provider list --name host-b && expect "alone" 'length == 1'

# Inventories.
check "inventories are set" op resource provider inventory set "$host" --resource VCPU=16 \
    --resource MEMORY_MB=4096 --resource MEMORY_MB:reserved=512 --resource VCPU:allocation_ratio=4.0 &&
    expect "two of them" 'length == 2'
check "one is set" op resource provider inventory set "$card" --resource CUSTOM_GOLD=1 && expect "alone" 'length == 1'
check "a class of it is set" op resource provider inventory class set "$card" CUSTOM_GOLD --total 4 &&
    expect "to four" '.total == 4'
check "inventories are amended" op resource provider inventory set "$host" --amend --resource DISK_GB=100 &&
    expect "to three" 'length == 3'
check "an inventory is shown" op resource provider inventory show "$host" VCPU &&
    expect "as it was set" '.total == 16 and .allocation_ratio == 4'
check "inventories are listed" op resource provider inventory list "$host" && expect "three" 'length == 3'

# Traits and aggregates of providers.
check "traits are given" op resource provider trait set "$host" --trait CUSTOM_FAST --trait HW_CPU_X86_AVX2 &&
    expect "two of them" 'length == 2'
check "traits of a provider are listed" op resource provider trait list "$host" && expect "two" 'length == 2'
check "providers are found by trait" op resource provider list --required CUSTOM_FAST && expect "one" 'length == 1'
aggregate=$(cat /proc/sys/kernel/random/uuid)
generation=$(op resource provider show "$host" | jq .generation)
check "an aggregate is set" op resource provider aggregate set "$host" --aggregate "$aggregate" \
    --generation "$generation" &&
    expect "it is there" 'map(.uuid) == [$a]' --arg a "$aggregate"
check "aggregates are listed" op resource provider aggregate list "$host" && expect "one" 'length == 1'
check "providers are found by aggregate" op resource provider list --member-of "$aggregate" &&
    expect "one" 'length == 1'

# Candidates and allocations.
check "candidates are listed" op allocation candidate list --resource VCPU=2 --resource MEMORY_MB=256 \
    --required CUSTOM_FAST --limit 5 && expect "one is offered" 'length > 0'
check "candidates in groups are listed" op allocation candidate list --resource VCPU=2 --group 1 \
    --resource CUSTOM_GOLD=1 --group-policy none && expect "of host and card" 'length > 0'
consumer=$(cat /proc/sys/kernel/random/uuid)
project=$(openstack token issue -f value -c project_id)
user=$(openstack token issue -f value -c user_id)
check "an allocation is set" op resource provider allocation set "$consumer" \
    --allocation "rp=$host,VCPU=2,MEMORY_MB=256" --allocation "rp=$card,CUSTOM_GOLD=1" \
    --project-id "$project" --user-id "$user" --consumer-type INSTANCE && expect "on both" 'length == 2'
check "an allocation is shown" op resource provider allocation show "$consumer" && expect "on both" 'length == 2'
check "usage of a provider is shown" op resource provider usage show "$host" &&
    expect "as taken" '[.[] | select(.resource_class == "VCPU").usage] == [2]'
check "usage of a project is shown" op resource usage show "$project" && expect "something" 'length > 0'
refuse "a provider in use stays" "409|in use|allocations" openstack resource provider delete "$card"
check "an allocation is taken from one provider" op resource provider allocation unset "$consumer" --provider "$card"
check "it is on one now" op resource provider allocation show "$consumer" && expect "the host" 'length == 1'
check "an allocation is deleted" openstack resource provider allocation delete "$consumer"

# The way back.
check "an inventory is deleted" openstack resource provider inventory delete "$card" --resource-class CUSTOM_GOLD
check "traits are taken away" openstack resource provider trait delete "$host"
check "all inventories are deleted" openstack resource provider inventory delete "$host"
check "a provider is deleted" openstack resource provider delete "$card"
check "its parent is deleted" openstack resource provider delete "$host"
check "a trait is deleted" openstack trait delete CUSTOM_FAST
check "the class is deleted" openstack resource class delete CUSTOM_GOLD

# placement-manage's commands.
check "the version of the schema is told" "$apus" placement db version --data "$dir/cloud"
grep -q "placement" <<< "$answer" && pass "it is the last migration's name" || miss "it is a migration's name" "$answer"
check "data migrations have nothing to do" "$apus" placement db online_data_migrations --data "$dir/cloud"
grep -q "create_incomplete_consumers" <<< "$answer" && pass "they are listed" || miss "they are listed" "$answer"
check "a new database is made" "$apus" placement db sync --data "$dir/other"
check "stamping is repeatable" "$apus" placement db stamp head --data "$dir/other"

finish
