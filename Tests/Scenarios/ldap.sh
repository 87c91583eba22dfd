#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A domain whose users and groups are on a real OpenLDAP server, seen through the stock client: set up through the API
# and from a file, logins over TLS, roles through nested groups, and what happens while the server is away.
. "$(dirname "$0")/harness.sh"
scenario ldap

slapd=$(command -v slapd || echo /usr/sbin/slapd)
[ -x "$slapd" ] && [ -x "${slapd%/*}/slapadd" ] || skip "OpenLDAP's slapd is not there: apt-get install slapd ldap-utils"
suffix=dc=corp,dc=test

# make_directory: a server's configuration, its certificate and its people, under $dir
make_directory() {
    mkdir -p "$dir/db"
    openssl req -x509 -nodes -days 2 -newkey rsa:2048 -subj /CN=corp -keyout "$dir/ca.key" -out "$dir/ca.pem" &&
        openssl req -nodes -days 2 -newkey rsa:2048 -subj /CN=127.0.0.1 -keyout "$dir/key.pem" -out "$dir/csr" &&
        openssl x509 -req -in "$dir/csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial -days 2 \
            -extfile <(echo subjectAltName=IP:127.0.0.1) -out "$dir/cert.pem"
    cat > "$dir/slapd.conf" << CONFIGURATION
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile $dir/slapd.pid
argsfile $dir/slapd.args
TLSCACertificateFile $dir/ca.pem
TLSCertificateFile $dir/cert.pem
TLSCertificateKeyFile $dir/key.pem
database mdb
suffix "$suffix"
rootdn "cn=root,$suffix"
rootpw rootpw
directory $dir/db
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="cn=search,$suffix" read by * none
CONFIGURATION
    {
        printf 'dn: %s\nobjectClass: dcObject\nobjectClass: organization\ndc: corp\no: Corp\n\n' "$suffix"
        printf 'dn: cn=search,%s\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\n' "$suffix"
        printf 'cn: search\nuserPassword: searching\n\n'
        for tree in people groups; do
            printf 'dn: ou=%s,%s\nobjectClass: organizationalUnit\nou: %s\n\n' "$tree" "$suffix" "$tree"
        done
        for user in ann bob eve; do
            printf 'dn: uid=%s,ou=people,%s\nobjectClass: inetOrgPerson\nuid: %s\n' "$user" "$suffix" "$user"
            printf 'cn: %s\nsn: %s\nmail: %s@corp.test\n' "$user" "$user" "$user"
            printf 'employeeType: %s\nuserPassword: pw-%s\n\n' "$([ "$user" = eve ] && echo 514 || echo 512)" "$user"
        done
        printf 'dn: cn=night,ou=groups,%s\nobjectClass: groupOfNames\ncn: night\n' "$suffix"
        printf 'member: uid=bob,ou=people,%s\nmember: uid=eve,ou=people,%s\n\n' "$suffix" "$suffix"
        printf 'dn: cn=operators,ou=groups,%s\nobjectClass: groupOfNames\ncn: operators\n' "$suffix"
        printf 'member: uid=ann,ou=people,%s\nmember: cn=night,ou=groups,%s\n' "$suffix" "$suffix"
    } > "$dir/people.ldif"
    "${slapd%/*}/slapadd" -q -f "$dir/slapd.conf" -l "$dir/people.ldif"
}

start_directory() {
    setsid "$slapd" -d 0 -f "$dir/slapd.conf" -h "ldap://127.0.0.1:$ldap_port" > "$dir/slapd.log" 2>&1 < /dev/null &
    directory=$!
    clouds+=("$directory")
    eventually "the directory answers" ldapsearch -x -LLL -H "ldap://127.0.0.1:$ldap_port" -b '' -s base 1.1
}

# The [ldap] options, one "name value" to a line.
options() {
    cat << OPTIONS
url ldap://127.0.0.1:$ldap_port
use_tls true
tls_cacertfile $dir/ca.pem
user cn=search,$suffix
password searching
page_size 2
query_scope sub
user_tree_dn ou=people,$suffix
user_id_attribute uid
user_name_attribute uid
user_enabled_attribute employeeType
user_enabled_mask 2
user_enabled_default 512
group_tree_dn ou=groups,$suffix
group_name_attribute cn
OPTIONS
}

offset=$(free_offset)
ldap_port=$((3389 + offset))
identity=http://127.0.0.1:$((5000 + offset))/v3
# as USER PASSWORD ARGUMENT...: the stock client as somebody of the domain
cat > "$dir/as" << SCRIPT
#!/usr/bin/env bash
user=\$1 password=\$2
shift 2
exec env -u OS_CLOUD -u OS_CLIENT_CONFIG_FILE openstack --os-auth-url "$identity" --os-identity-api-version 3 \\
    --os-username "\$user" --os-password "\$password" --os-user-domain-name corp --os-auth-type password "\$@"
SCRIPT
chmod +x "$dir/as"
make_directory >> "$log" 2>&1 || fail "the directory could not be made" "read $log"
start_directory

mkdir -p "$dir/cloud"
printf '[identity]\ndomain_specific_drivers_enabled = true\ndomain_configurations_from_database = true\ncache_time = 1s\n' \
    > "$dir/cloud/apus.conf"
start_cloud "$dir/cloud" "$offset" --hosts 1 || finish
use_cloud "$dir/cloud"
check "a domain" openstack domain create corp -f json
domain=$(value .id)
check "a project in it" openstack project create ship --domain corp -f json
token=$(openstack token issue -f value -c id 2>> "$log")
settings=$(options | jq -R 'capture("^(?<key>[^ ]+) (?<value>.*)$")' |
    jq -s '{config: {identity: {driver: "ldap"}, ldap: from_entries}}')
check "its settings, through the API" curl -sf -X PUT "$identity/domains/$domain/config" -H "X-Auth-Token: $token" \
    -H 'Content-Type: application/json' -d "$settings" &&
    expect "do not show the password" '.config.ldap | has("password") | not'

check "its users are listed" openstack user list --domain corp --long -f json &&
    expect "all three" 'map(.Name) | sort == ["ann", "bob", "eve"]' &&
    expect "one is disabled by the mask" 'map(select(.Enabled | not) | .Name) == ["eve"]' &&
    expect "with mail addresses" 'all(.Email | endswith("@corp.test"))'
check "the cloud's own are not among them" openstack user list --domain default -f json &&
    expect "nor these among the cloud's" 'map(.Name) | index("ann") == null'
check "one is shown" openstack user show ann --domain corp -f json &&
    expect "with an id of 64 digits" '.id | test("^[0-9a-f]{64}$")'
ann=$(value .id)
check "its groups are listed" openstack group list --domain corp -f json &&
    expect "both" 'map(.Name) | sort == ["night", "operators"]'
operators=$(value '.[] | select(.Name == "operators").ID')

check "she logs in" "$dir/as" ann pw-ann token issue -f json && expect "as herself" '.user_id == $a' --arg a "$ann"
refuse "a wrong password is refused" '401' "$dir/as" ann wrong token issue
refuse "a disabled user is refused" '401' "$dir/as" eve pw-eve token issue
refuse "without a role there is no project for her" '401' \
    "$dir/as" ann pw-ann --os-project-name ship --os-project-domain-name corp token issue
check "a role for a group of the directory" openstack role add --project ship --project-domain corp \
    --group operators --group-domain corp member
check "is hers" "$dir/as" ann pw-ann --os-project-name ship --os-project-domain-name corp token issue -f json
refuse "not that of a group's group, as upstream has it" '401' \
    "$dir/as" bob pw-bob --os-project-name ship --os-project-domain-name corp token issue
check "the assignments name her and her group" openstack role assignment list --project ship --project-domain corp \
    --effective --names -f json && expect "by name" 'any(.User == "ann@corp" and .Role == "member")'
check "the members of the group" openstack user list --group "$operators" -f json &&
    expect "are those it names" 'map(.Name) == ["ann"]'
check "she sees her project" "$dir/as" ann pw-ann --os-project-name ship --os-project-domain-name corp \
    network list -f json
check "she makes an application credential" "$dir/as" ann pw-ann --os-project-name ship --os-project-domain-name corp \
    application credential create robot -f json
robot=$(value '.ID // .id') secret=$(value '.Secret // .secret')
check "and it logs in" env -u OS_CLOUD -u OS_CLIENT_CONFIG_FILE openstack --os-auth-url "$identity" \
    --os-auth-type v3applicationcredential --os-application-credential-id "$robot" \
    --os-application-credential-secret "$secret" token issue -f json
refuse "nobody is made in the directory" '403.*write' openstack user create zoe --domain corp
refuse "nor changed" '403.*write' openstack user set "$ann" --email x@y.test
refuse "nor deleted" '403.*write' openstack user delete "$ann"

kill -9 "$directory"
wait_until 20 sh -c "! kill -0 $directory"
refuse "without the directory a login says so" '503' "$dir/as" ann pw-ann token issue
refuse "a list too" '503' openstack user list --domain corp
check "the cloud's own users do not notice" openstack token issue -f json
start_directory
check "it is back, and so is she" "$dir/as" ann pw-ann token issue -f json
stop_cloud "$cloud"

mkdir -p "$dir/domains"
{
    printf '[identity]\ndriver = ldap\n[ldap]\ngroup_ad_nesting = true\n'
    options | sed 's/ / = /'
} > "$dir/domains/keystone.corp.conf"
printf '[identity]\ndomain_specific_drivers_enabled = true\ndomain_config_dir = %s/domains\n' "$dir" \
    > "$dir/cloud/apus.conf"
start_cloud "$dir/cloud" "$offset" --hosts 1 || finish
check "set up from a file, she is who she was" openstack user show ann --domain corp -f json &&
    expect "by id" '.id == $a' --arg a "$ann"
check "with nesting a group's group counts" "$dir/as" bob pw-bob --os-project-name ship --os-project-domain-name corp \
    token issue -f json
check "and its members are members" openstack user list --group "$operators" -f json &&
    expect "all of them" 'map(.Name) | sort == ["ann", "bob", "eve"]'
check "the ids are forgotten" "$apus" identity mapping_purge --data "$dir/cloud" --domain-name corp
refuse "then nobody has hers" 'No user found|404' openstack user show "$ann"
check "they are made again for everybody" "$apus" identity mapping_populate --data "$dir/cloud" --domain-name corp
check "the same as before" openstack user show "$ann" -f json && expect "she is there" '.name == "ann"'
stop_cloud "$cloud"
finish
