#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Users come in from identity providers that others wrote: an OpenID Connect provider of PyPI, and SAML by pysaml2. A
# browser's every step is walked, over https, and what a provider did not say, or not to us, is refused.
. "$(dirname "$0")/harness.sh"
scenario federation-strangers

command -v xmlsec1 > /dev/null || skip "pysaml2 needs xmlsec1: scripts/setup clients"
need_strangers federation-strangers

offset=$(free_offset)
issuer=http://127.0.0.1:$((7000 + offset)) corp=http://127.0.0.1:$((7001 + offset))
cloud_url=https://127.0.0.1:$((5000 + offset))/v3
dashboard=http://horizon.test/auth/websso/
sso=$cloud_url/auth/OS-FEDERATION/identity_providers

# serve NAME ADDRESS COMMAND...: a provider; its process goes with the scenario
serve() {
    setsid "${@:3}" > "$dir/$1.log" 2>&1 < /dev/null &
    clouds+=("$!")
    eventually "$1 answers" answers "$2"
}

answers() { [ "$(curl -s -o "$dir/answer" -w '%{http_code}' "$1")" != 000 ]; }

# --- the OpenID Connect provider, where this cloud is registered as its rules have it
serve oidc-provider-mock "$issuer/jwks" "$strangers/bin/oidc-provider-mock" --port "${issuer##*:}" \
    --require-registration true --require-nonce true \
    --user-claims '{"sub": "id-ada", "preferred_username": "ada", "email": "ada@example.com", "groups": ["dev", "x"]}' \
    --user-claims '{"sub": "id-bob", "preferred_username": "bob", "email": "bob@example.com", "groups": ["x"]}'
redirects=()
for provider in acme wrong-secret wrong-issuer; do redirects+=("$sso/$provider/protocols/openid/oidc/redirect"); done
check "this cloud is registered with it" curl -sf -H 'Content-Type: application/json' "$issuer/oauth2/clients" \
    -d "$(jq -n '{redirect_uris: $ARGS.positional}' --args "${redirects[@]}")"
client=$(value .client_id) secret=$(value .client_secret)

# --- the SAML providers: one, and one that says it is the same but has another key
identity() { openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout "$1.key" -out "$1.pem" "${@:2}" 2> /dev/null; }
mkdir -p "$dir/corp" "$dir/forger" "$dir/cloud"
for provider in corp forger; do identity "$dir/$provider/idp" -subj "/CN=$provider"; done
identity "$dir/cloud/tls" -subj /CN=cloud -addext subjectAltName=IP:127.0.0.1
saml=("$strangers/bin/python" "$top/Tests/Scenarios/saml-provider.py")
check "a SAML provider describes itself" "${saml[@]}" metadata "$dir/corp" "${corp##*:}"
printf '%s' "$answer" > "$dir/corp.xml"

# --- a cloud that knows them
cat > "$dir/cloud/apus.conf" << END
[ssl]
cert_file = $dir/cloud/tls.pem
key_file = $dir/cloud/tls.key
ca_file = $dir/cloud/tls.pem
[federation]
trusted_dashboard = $dashboard
relying_parties = $dir/parties.conf
END
# openid PROVIDER ISSUER SECRET: what is agreed with an OpenID Connect provider
openid() {
    printf '[oidc %s openid]\nbase_url = %s\nissuer = %s\n' "$1" "$cloud_url" "$2"
    printf 'metadata_url = %s/.well-known/openid-configuration\n' "$issuer"
    printf 'client_id = %s\nclient_secret = %s\n' "$client" "$3"
}
{
    openid acme "$issuer" "$secret"
    openid wrong-secret "$issuer" guessed
    openid wrong-issuer "http://localhost:${issuer##*:}" "$secret"
    printf '[saml2 corp saml2]\nbase_url = %s\nentity_id = %s/sp\n' "$cloud_url" "$cloud_url"
    printf 'metadata_file = %s\n' "$dir/corp.xml"
} > "$dir/parties.conf"
start_cloud "$dir/cloud" "$offset" --hosts 1 || finish
use_cloud "$dir/cloud"
browser=(curl -s --cacert "$dir/cloud/tls.pem")
check "it describes itself to SAML's provider" "${browser[@]}" -f -o "$dir/corp/sp.xml" \
    "$cloud_url/OS-FEDERATION/identity_providers/corp/protocols/saml2/saml2/metadata"
cp "$dir/corp/sp.xml" "$dir/forger/sp.xml"
serve pysaml2 "$corp/" "${saml[@]}" serve "$dir/corp" "${corp##*:}" "${corp##*:}"
forged_port=$((7002 + offset))
serve "its forger" "http://127.0.0.1:$forged_port/" "${saml[@]}" serve "$dir/forger" "${corp##*:}" "$forged_port"

# --- who may come, and as what
cat > "$dir/people.json" << END
[{"local": [{"user": {"id": "{0}", "name": "{1}", "email": "{2}"}},
            {"groups": "{3}", "domain": {"id": "default"}}],
  "remote": [{"type": "OIDC-sub"}, {"type": "OIDC-preferred_username"}, {"type": "OIDC-email"},
             {"type": "OIDC-groups", "whitelist": ["dev"]}, {"type": "OIDC-groups", "any_one_of": ["dev"]}]}]
END
cat > "$dir/staff.json" << END
[{"local": [{"user": {"id": "{0}", "name": "{0}", "email": "{1}"}},
            {"groups": "{2}", "domain": {"id": "default"}}],
  "remote": [{"type": "uid"}, {"type": "MELLON_urn:oid:0.9.2342.19200300.100.1.3"},
             {"type": "eduPersonAffiliation", "whitelist": ["dev"]}, {"type": "MELLON_eduPersonAffiliation",
              "any_one_of": ["dev"]}]}]
END
check "a group is made" openstack group create dev -f json
group=$(value .id)
check "a project is made" openstack project create --domain default shared -f json
check "the group works in it" openstack role add --group dev --project shared member
check "a mapping of claims" openstack mapping create people --rules "$dir/people.json"
check "a mapping of attributes" openstack mapping create staff --rules "$dir/staff.json"
check "the provider acme" openstack identity provider create acme --remote-id "$issuer" -f json
check "the provider corp" openstack identity provider create corp --remote-id "$corp/metadata" -f json
for provider in wrong-secret wrong-issuer; do
    check "the provider $provider" openstack identity provider create "$provider" -f json
done
for provider in acme wrong-secret wrong-issuer; do
    check "$provider's protocol" openstack federation protocol create openid --identity-provider "$provider" \
        --mapping people
done
check "corp's protocol" openstack federation protocol create saml2 --identity-provider corp --mapping staff
unset OS_CLOUD OS_CLIENT_CONFIG_FILE

# start JAR PROVIDER PROTOCOL: a new browser is sent to the provider; where to is in $there
start() {
    there=$("${browser[@]}" -c "$dir/$1" -D "$dir/headers" -o "$dir/page" -w '%{redirect_url}' \
        "$sso/$2/protocols/$3/websso?origin=$dashboard")
}

# status COMMAND...: the HTTP status is the answer, the page is in $dir/page
status() { answer=$("$@" -o "$dir/page" -w '{"status": %{http_code}}'); }

# field NAME: a hidden field of the last page
field() { sed -n "s/.*name=\"$1\"[^>]* value=\"\([^\"]*\)\".*/\1/p" "$dir/page" | head -n 1; }

# has_token WHO PROVIDER PROTOCOL: the last page hands a token to the dashboard, and it is worth something
has_token() {
    check "$1: the page has a form for the dashboard" grep -q "action=\"$dashboard\" method=\"post\"" "$dir/page"
    check "$1: which posts itself" grep -q "document.forms\['sso'\].submit()" "$dir/page"
    token=$(field token)
    check "$1: its token is valid" "${browser[@]}" -f -H "X-Auth-Token: $token" -H "X-Subject-Token: $token" \
        "$cloud_url/auth/tokens" && expect "$1: it is ada's, by the mapping" '.token | .user.name == "ada" and
            (.user."OS-FEDERATION" | .protocol.id == $protocol and .identity_provider.id == $provider
                and .groups == [{id: $group}]) and .methods == [$protocol]' \
        --arg provider "$2" --arg protocol "$3" --arg group "$group"
    check "$1: the stock client makes it one for the project" openstack --os-auth-type v3token --os-auth-url \
        "$cloud_url" --os-cacert "$dir/cloud/tls.pem" --os-token "$token" --os-project-name shared \
        --os-project-domain-id default token issue -f json && expect "$1: of the group's" '.project_id | length == 32'
}

# --- OpenID Connect by browser
# authorize JAR PROVIDER USER: to the login page, through it, and where the provider sends the browser is in $back
authorize() {
    start "$1" "$2" openid
    back=$(curl -s -o "$dir/page" -w '%{redirect_url}' -d "sub=$3" "$there")
}
# come_back JAR: a browser goes where the provider sent it
come_back() {
    [ -n "$back" ] || miss "the provider sent nobody back"
    status "${browser[@]}" -b "$dir/$1" "$back"
}
start ada acme openid
check "openid: the browser is sent to the provider's page" grep -q "^$issuer/oauth2/authorize?" <<< "$there"
check "openid: which asks who it is" curl -sf -o "$dir/page" "$there" &&
    check "openid: with a form" grep -q 'name="sub" value="id-ada"' "$dir/page"
authorize ada acme id-ada
check "openid: it is sent back with a code" grep -q "^$sso/acme/protocols/openid/oidc/redirect?.*code=" <<< "$back"
: > "$dir/nobody"
come_back nobody
expect "openid: another browser has no use for it" '.status == 401'
come_back ada
expect "openid: the one that left is let in" '.status == 200'
has_token openid acme openid
come_back ada
expect "openid: once" '.status == 401'
authorize bob acme id-bob
come_back bob
expect "openid: somebody outside the group is not" '.status == 401'
start denied acme openid
back=$(curl -s -o "$dir/page" -w '%{redirect_url}' -d action=deny "$there")
come_back denied
expect "openid: nor is who says no at the provider" '.status == 401'
authorize guessed wrong-secret id-ada
check "openid: with a wrong secret the browser comes back" grep -q 'code=' <<< "$back"
come_back guessed
expect "openid: and the code is worth nothing" '.status == 401'
check "openid: as the provider says of the secret" grep -q invalid_client "$dir/oidc-provider-mock.log"
status "${browser[@]}" "$sso/wrong-issuer/protocols/openid/websso?origin=$dashboard"
expect "openid: a provider with another name than agreed is not asked" '.status == 503'

# --- SAML by browser
# assert JAR PORT FIELD...: through the provider's login page; its answer is in $response and $relay
assert() {
    local fields=()
    start "$1" corp saml2
    curl -s -o "$dir/page" "${there/:${corp##*:}/:$2}"
    for part in SAMLRequest RelayState; do fields+=(--data-urlencode "$part=$(field "$part")"); done
    for part in "${@:3}"; do fields+=(--data-urlencode "$part"); done
    curl -s -o "$dir/page" "${fields[@]}" "http://127.0.0.1:$2/login"
    response=$(field SAMLResponse) relay=$(field RelayState)
}
acs=$cloud_url/OS-FEDERATION/identity_providers/corp/protocols/saml2/saml2/acs
# bring JAR RESPONSE: the form that the provider's page posts by itself
bring() {
    [ -n "$2" ] || miss "the provider gave no assertion to bring"
    status "${browser[@]}" -b "$dir/$1" --data-urlencode "SAMLResponse=$2" --data-urlencode "RelayState=$relay" "$acs"
}
ada=(username=ada password=secret)
assert sam "${corp##*:}" username=ada password=wrong
answer="\"$response\""
expect "saml: a wrong password gets no assertion" '. == ""'
check "saml: the browser's cookie goes with another site's form" \
    grep -q -i '^set-cookie: .*; SameSite=None; Secure' "$dir/headers"
assert sam "${corp##*:}" "${ada[@]}"
check "saml: the page posts its form to this cloud" grep -q "action=\"$acs\"" "$dir/page"
check "saml: the assertion can be read" base64 -d <<< "$response" && printf '%s' "$answer" > "$dir/response.xml"
check "saml: it is signed, by pysaml2" grep -q SignatureValue "$dir/response.xml"
# change SENTENCE SCRIPT: the assertion, changed by sed, is refused
change() {
    sed -z -E "$2" "$dir/response.xml" > "$dir/changed.xml"
    cmp -s "$dir/response.xml" "$dir/changed.xml" && miss "$1" "nothing was changed"
    bring sam "$(base64 -w 0 "$dir/changed.xml")"
    expect "$1" '.status == 401'
}
change "saml: with another group in it it is refused" 's/>staff</>root</'
change "saml: with another name in it it is refused" 's/>ada</>eve</'
change "saml: with another end to it it is refused" 's/NotOnOrAfter="2/NotOnOrAfter="3/g'
change "saml: without its signature it is refused" 's/<([a-z0-9]+):Signature .*<\/\1:Signature>//'
bring nobody "$response"
expect "saml: another browser has no use for it" '.status == 401'
bring sam "$response"
expect "saml: as it was it is taken" '.status == 200'
has_token saml corp saml2
bring sam "$response"
expect "saml: once" '.status == 401'
for signs in response both; do
    assert "$signs" "${corp##*:}" "${ada[@]}" "signs=$signs"
    bring "$signs" "$response"
    expect "saml: signed in the other place, $signs, it is taken" '.status == 200'
done
assert unsigned "${corp##*:}" "${ada[@]}" signs=nothing
bring unsigned "$response"
expect "saml: not signed at all it is refused" '.status == 401'
assert sha1 "${corp##*:}" "${ada[@]}" hash=sha1
bring sha1 "$response"
expect "saml: signed as pysaml2 does by itself, with SHA-1, it is refused" '.status == 401'
assert bob "${corp##*:}" username=bob password=secret
bring bob "$response"
expect "saml: nobody outside the group is let in" '.status == 401'
assert forged "$forged_port" "${ada[@]}"
bring forged "$response"
expect "saml: somebody else's signature is refused" '.status == 401'
finish
