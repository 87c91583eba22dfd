#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Users of an OpenID Connect provider come in by browser and by the stock client; users of one cloud come into another.
. "$(dirname "$0")/harness.sh"
scenario federation

home_offset=$(free_offset)
away_offset=$home_offset
until [ "$away_offset" != "$home_offset" ]; do away_offset=$(free_offset); done
issuer_port=$((7000 + away_offset))
home=http://127.0.0.1:$((5000 + home_offset))/v3
away=http://127.0.0.1:$((5000 + away_offset))/v3
dashboard=http://horizon.test/auth/websso/

# --- a provider of OpenID Connect, and a cloud that knows it and the first cloud
"$venv/bin/python" "$(dirname "$0")/identity-provider.py" "$issuer_port" > "$dir/issuer.out" 2>&1 &
clouds+=("$!")
issuer=http://127.0.0.1:$issuer_port
eventually "the identity provider answers" curl -sf "$issuer/keys"

mkdir -p "$dir/home" "$dir/away"
openssl req -x509 -newkey rsa:2048 -nodes -keyout "$dir/saml.key" -out "$dir/saml.pem" -days 2 -subj /CN=home \
    2> /dev/null
cat > "$dir/home/apus.conf" << END
[saml]
certfile = $dir/saml.pem
keyfile = $dir/saml.key
idp_entity_id = $home/OS-FEDERATION/saml2/idp
idp_sso_endpoint = $home/OS-FEDERATION/saml2/sso
END
start_cloud "$dir/home" "$home_offset" --hosts 1 || finish
check "the first cloud describes itself" curl -sf "$home/OS-FEDERATION/saml2/metadata"
printf '%s' "$answer" > "$dir/home.xml"

cat > "$dir/away/apus.conf" << END
[federation]
trusted_dashboard = $dashboard
relying_parties = $dir/parties.conf
END
cat > "$dir/parties.conf" << END
[oidc acme openid]
base_url = $away
issuer = $issuer
client_id = apus
client_secret = word
bearer = introspection

[saml2 home mapped]
base_url = $away
entity_id = $away
metadata_file = $dir/home.xml
unsolicited = true
END
start_cloud "$dir/away" "$away_offset" --hosts 1 || finish
use_cloud "$dir/away"

# --- who may come, and as what, with the stock client
cat > "$dir/people.json" << END
[{"local": [{"user": {"id": "{0}", "name": "{1}", "email": "{2}"}},
            {"groups": "{3}", "domain": {"id": "default"}}],
  "remote": [{"type": "OIDC-sub"}, {"type": "HTTP_OIDC_PREFERRED_USERNAME"}, {"type": "OIDC-email"},
             {"type": "OIDC-groups", "whitelist": ["dev"]}]}]
END
cat > "$dir/homers.json" << END
[{"local": [{"user": {"name": "{0}"}}, {"group": {"name": "dev", "domain": {"id": "default"}}}],
  "remote": [{"type": "openstack_user"}, {"type": "openstack_project", "any_one_of": ["admin"]}]}]
END
check "a group is made" openstack group create dev -f json
check "a project is made" openstack project create --domain default shared -f json
check "the group works in it" openstack role add --group dev --project shared member
check "a mapping is made" openstack mapping create people --rules "$dir/people.json"
check "a provider is made" openstack identity provider create acme --remote-id "$issuer" -f json
check "a protocol is made" openstack federation protocol create openid --identity-provider acme --mapping people
check "a mapping for the other cloud is made" openstack mapping create homers --rules "$dir/homers.json"
check "the other cloud is made a provider" openstack identity provider create home \
    --remote-id "$home/OS-FEDERATION/saml2/idp" -f json
check "with its protocol" openstack federation protocol create mapped --identity-provider home --mapping homers
check "the provider is shown" openstack identity provider show acme -f json &&
    expect "with its remote id" '.remote_ids | tostring | contains("http://127.0.0.1")'

# --- the stock client's own plugins
unset OS_CLOUD OS_CLIENT_CONFIG_FILE
stock=(openstack --os-auth-url "$away" --os-identity-api-version 3 --os-identity-provider acme --os-protocol openid
    --os-client-id apus --os-client-secret word --os-discovery-endpoint "$issuer/.well-known/openid-configuration"
    --os-openid-scope openid --os-project-name shared --os-project-domain-id default)
check "a password at the provider buys a token here" "${stock[@]}" --os-auth-type v3oidcpassword \
    --os-username ada --os-password secret token issue -f json &&
    expect "for the project" '.project_id | length == 32'
refuse "a wrong one does not" "401|unauthorized|400" "${stock[@]}" --os-auth-type v3oidcpassword \
    --os-username ada --os-password wrong token issue
refuse "nobody outside the group gets in" "401|requires authentication" "${stock[@]}" --os-auth-type v3oidcpassword \
    --os-username bob --os-password secret token issue
check "a client's own credentials do" "${stock[@]}" --os-auth-type v3oidcclientcredentials token issue -f json
access=$(curl -s -u apus:word -d 'grant_type=password&username=ada&password=secret' "$issuer/token" |
    jq -r .access_token)
bearer=(openstack --os-auth-url "$away" --os-identity-api-version 3 --os-identity-provider acme --os-protocol openid
    --os-project-name shared --os-project-domain-id default --os-auth-type v3oidcaccesstoken)
check "an access token does" "${bearer[@]}" --os-access-token "$access" token issue -f json
check "and it works: its bearer sees the catalog" "${bearer[@]}" --os-access-token "$access" catalog list -f json
refuse "a made-up one does not" "401|requires authentication" "${bearer[@]}" --os-access-token made-up token issue

# --- a browser
walk=(curl -sf -L -b "$dir/jar" -c "$dir/jar" -o "$dir/page")
sso=$away/auth/OS-FEDERATION/websso/openid
check "a browser walks to the provider and back" "${walk[@]}" "$sso?origin=$dashboard"
check "and holds a form for the dashboard" grep -q "action=\"$dashboard\" method=\"post\"" "$dir/page"
token=$(sed -n 's/.*id="token" value="\([^"]*\)".*/\1/p' "$dir/page")
check "with a token of ada's" curl -sf -H "X-Auth-Token: $token" -H "X-Subject-Token: $token" "$away/auth/tokens" &&
    expect "who came from the provider" '.token.user | .name == "ada" and ."OS-FEDERATION".protocol.id == "openid"'
back=$(curl -s -o /dev/null -w '%{redirect_url}' -c "$dir/other" "$sso?origin=$dashboard")
answer=$(curl -s -o /dev/null -w '{"status": %{http_code}}' -L "$back")
expect "another browser cannot end what this one began" '.status == 401'
answer=$(curl -s -o /dev/null -w '{"status": %{http_code}}' "$sso?origin=http://evil.test/")
expect "no browser is sent to a page that nobody named" '.status == 401'

# --- from cloud to cloud
use_cloud "$dir/home"
check "the first cloud knows the second" openstack service provider create beta \
    --auth-url "$away/OS-FEDERATION/identity_providers/home/protocols/mapped/auth" \
    --service-provider-url "$away/OS-FEDERATION/identity_providers/home/protocols/mapped/saml2/ecp" -f json
cat > "$dir/k2k.py" << 'END'
import json
import os
import sys

import openstack
from keystoneauth1 import session
from keystoneauth1.identity.v3 import Keystone2Keystone

home = openstack.connect()
plugin = Keystone2Keystone(home.session.auth, "beta", project_name="shared", project_domain_id="default")
away = session.Session(auth=plugin)
print(json.dumps({"project": plugin.get_project_id(away), "user": plugin.get_access(away).username,
                  "roles": plugin.get_access(away).role_names}))
END
check "its administrator has a token of the second's" "$venv/bin/python" "$dir/k2k.py" &&
    expect "as a member there, no more" '.user == "admin" and (.roles | sort) == ["member", "reader"]'

# --- what a mapping does, without a cloud
printf 'OIDC-sub: 1\nHTTP_OIDC_PREFERRED_USERNAME: ada\nOIDC-email: a@b\nOIDC-groups: dev;ops\n' > "$dir/input"
check "a mapping can be tried" "$apus" identity mapping_engine --rules "$dir/people.json" --input "$dir/input" &&
    expect "and says whom it sees" '.user.name == "ada" and (.group_names | map(.name)) == ["dev"]'
finish
