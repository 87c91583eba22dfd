#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The command lines of OpenStack's install guide, unmodified, against a cloud on fakes: what they print must be right.
. "$(dirname "$0")/harness.sh"
scenario install-guide

start_cloud "$dir/cloud" "$(free_offset)" --hosts 20 || finish
use_cloud "$dir/cloud"

# Identity: https://docs.openstack.org/keystone/latest/install/keystone-users-rdo.html
check "a domain is created" openstack domain create --description "An Example Domain" example -f json &&
    expect "it is enabled and described" '.name == "example" and .enabled and .description == "An Example Domain"'
check "the service project is there or is created" openstack project create --or-show --domain default \
    --description "Service Project" service -f json && expect "it is in the default domain" '.domain_id == "default"'
check "a project is created" openstack project create --domain default --description "Demo Project" myproject -f json
project=$(value .id)
check "a user is created" openstack user create --domain default --password myuser-pass myuser -f json &&
    expect "no password is shown" '.name == "myuser" and (has("password") | not)'
check "a role is created" openstack role create myrole -f json && expect "it has its name" '.name == "myrole"'
check "the role is given" openstack role add --project myproject --user myuser myrole
check "the member role is given" openstack role add --project myproject --user myuser member
check "assignments are listed" openstack role assignment list --user myuser --names -f json &&
    expect "both roles are there" '[.[].Role | sub("@.*"; "")] | sort == ["member", "myrole"]'
refuse "a second project of that name is refused" "409|conflict|duplicate" \
    openstack project create --domain default myproject

# The guide's scripts: as the administrator, then as the user.
check "the administrator gets a token" openstack token issue -f json
expect "the token has a project and an end" '(.id | length > 50) and .project_id and .expires'
admin_project=$(value .project_id)
auth_url=$(sed -n 's/^ *auth_url: *//p' "$dir/cloud/clouds.yaml" | tr -d "\"'")
user_env=(env -u OS_CLOUD -u OS_CLIENT_CONFIG_FILE OS_AUTH_URL="$auth_url" OS_IDENTITY_API_VERSION=3
    OS_PROJECT_DOMAIN_NAME=Default OS_USER_DOMAIN_NAME=Default OS_PROJECT_NAME=myproject OS_USERNAME=myuser)
check "the user gets a token" "${user_env[@]}" OS_PASSWORD=myuser-pass openstack token issue -f json &&
    expect "for the project" '.project_id == $p' --arg p "$project"
refuse "a wrong password is refused" "401|requires authentication" \
    "${user_env[@]}" OS_PASSWORD=wrong openstack token issue
refuse "the user may not list users" "403|not authorized|forbidden" \
    "${user_env[@]}" OS_PASSWORD=myuser-pass openstack user list

# Service catalog, as for every service of the guide.
check "a service is created" openstack service create --name example --description "Example Service" example -f json
for interface in public internal admin; do
    check "its $interface endpoint is created" openstack endpoint create --region RegionOne example \
        "$interface" http://controller:1234 -f json &&
        expect "it is $interface and enabled" '.interface == $i and .enabled' --arg i "$interface"
done
check "endpoints are listed" openstack endpoint list --service example -f json && expect "three of them" 'length == 3'
check "the catalog names every service" openstack catalog list -f json &&
    expect "identity, image, placement, compute, network" \
        '[.[].Type] as $t | all("identity", "image", "placement", "compute", "network"; IN($t[]))'

# Image: https://docs.openstack.org/glance/latest/install/verify.html
head -c 8388608 /dev/urandom > "$dir/cirros.img"
check "an image is uploaded" openstack image create "cirros" --file "$dir/cirros.img" --disk-format raw \
    --container-format bare --public -f json && expect "it is public" '.visibility == "public"'
check "images are listed" openstack image list -f json &&
    expect "it is active" 'any(.Name == "cirros" and .Status == "active")'
check "the image is shown" openstack image show cirros -f json &&
    expect "size and checksum are those of the file" '.size == 8388608 and .checksum == $sum' \
        --arg sum "$(md5sum < "$dir/cirros.img" | cut -d ' ' -f 1)"
check "the image is saved" openstack image save --file "$dir/saved.img" cirros &&
    check "it is the same to the byte" cmp "$dir/cirros.img" "$dir/saved.img"
check "a second image is made" openstack image create --file "$dir/cirros.img" --disk-format raw scratch -f json
check "an image is deleted" openstack image delete scratch
refuse "a deleted image is not there" "no image found|could not find|404|not found" openstack image show scratch

# Placement: https://docs.openstack.org/placement/latest/install/verify.html
check "resource classes are listed" \
    openstack --os-placement-api-version 1.2 resource class list --sort-column name -f json &&
    expect "the standard ones" '[.[].name] as $n | all("VCPU", "MEMORY_MB", "DISK_GB"; IN($n[]))'
check "traits are listed" openstack --os-placement-api-version 1.6 trait list --sort-column name -f json &&
    expect "the standard ones" 'any(.name == "HW_CPU_X86_SSE2")'
check "resource providers are listed" openstack resource provider list -f json &&
    expect "one per host" 'length == 20'
provider=$(value '.[0].uuid')
check "an inventory is listed" openstack resource provider inventory list "$provider" -f json &&
    expect "processors, memory and disk" '[.[].resource_class] as $c | all("VCPU", "MEMORY_MB", "DISK_GB"; IN($c[]))'

# Network: launching an instance, self-service network
check "an external network is created" openstack network create --share --external \
    --provider-physical-network external --provider-network-type flat provider -f json
check "its subnet is created" openstack subnet create --network provider --no-dhcp \
    --allocation-pool start=203.0.113.10,end=203.0.113.200 --gateway 203.0.113.1 \
    --subnet-range 203.0.113.0/24 provider -f json
check "a network is created" openstack network create selfservice -f json
check "its subnet is created" openstack subnet create --network selfservice --dns-nameserver 192.0.2.53 \
    --gateway 172.16.1.1 --subnet-range 172.16.0.0/16 selfservice -f json &&
    expect "with gateway and name server" \
        '.gateway_ip == "172.16.1.1" and (.dns_nameservers | tostring | contains("192.0.2.53"))'
check "a router is created" openstack router create router -f json
check "the subnet is attached" openstack router add subnet router selfservice
check "the gateway is set" openstack router set router --external-gateway provider
check "the router's ports are listed" openstack port list --router router -f json && expect "two of them" 'length == 2'
check "icmp is permitted" openstack security group rule create --proto icmp default -f json
check "ssh is permitted" openstack security group rule create --proto tcp --dst-port 22 default -f json &&
    expect "port 22" '.port_range_min == 22 and .port_range_max == 22'

# Compute
check "a flavor is created" openstack flavor create --id 0 --vcpus 1 --ram 64 --disk 1 m1.nano -f json
ssh-keygen -q -t ed25519 -N '' -f "$dir/key" 2> /dev/null
check "a key is imported" openstack keypair create --public-key "$dir/key.pub" mykey -f json
check "the services are up" openstack compute service list -f json &&
    expect "all of them" 'length > 0 and all(.State == "up")'
check "the hypervisors are listed" openstack hypervisor list -f json && expect "twenty" 'length == 20'
check "the project's quota is raised" openstack quota set --instances 50 --cores 50 --ram 51200 "$admin_project"
check "a server boots" openstack server create --flavor m1.nano --image cirros --network selfservice \
    --security-group default --key-name mykey --wait selfservice-instance -f json &&
    expect "it is active and has an address" '.status == "ACTIVE" and (.addresses | tostring | contains("172.16."))'
check "twenty servers are asked for at once" openstack server create --flavor m1.nano --image cirros \
    --network selfservice --min 20 --max 20 --wait many -f json
# The client waits for the first of them only.
twenty_active() { openstack server list --name many -f json | jq -e 'length == 20 and all(.Status == "ACTIVE")'; }
eventually "all twenty become active" twenty_active
check "servers are listed" openstack server list --name many -f json &&
    expect "all twenty, each with its own name" '[.[].Name] | length == 20 and length == (unique | length)'
expect "no address is given twice" '[.[].Networks | tostring] | length == (unique | length)'
check "a floating address is made" openstack floating ip create provider -f json
address=$(value .floating_ip_address)
check "the server gets it" openstack server add floating ip selfservice-instance "$address"
check "the server shows it" openstack server show selfservice-instance -f json &&
    expect "among its addresses" '.addresses | tostring | contains($a)' --arg a "$address"
check "it stops" openstack server stop selfservice-instance
check "its events are listed" openstack server event list selfservice-instance -f json &&
    expect "create and stop" '[.[].Action] as $a | all("create", "stop"; IN($a[]))'
check "servers are deleted" openstack server delete --wait selfservice-instance
mapfile -t many < <(openstack server list --name many -f value -c ID)
check "twenty servers are deleted" openstack server delete --wait "${many[@]}"
check "nothing is allocated any more" openstack --os-placement-api-version 1.9 resource usage show "$admin_project" -f json &&
    expect "no class of resource is in use" 'all(.usage == 0)'
check "no server port is left" openstack port list --device-owner compute:nova -f json &&
    expect "none" 'length == 0'

stop_cloud "$cloud"
finish
