#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A SAML identity provider around pysaml2: it reads, makes and signs all that is SAML; here are two pages and a form.

saml-provider.py metadata FOLDER PORT: prints its metadata. FOLDER has idp.key and idp.pem.
saml-provider.py serve FOLDER PORT LISTEN: answers on LISTEN, as the provider that lives at PORT; FOLDER has sp.xml too.

A login may say what is signed (`signs`: assertion, response, both, nothing) and that the `hash` is sha1.
"""
import html
import sys
import urllib.parse
from http.server import BaseHTTPRequestHandler, HTTPServer

from saml2 import BINDING_HTTP_POST, BINDING_HTTP_REDIRECT
from saml2.authn_context import PASSWORD
from saml2.config import IdPConfig
from saml2.metadata import create_metadata_string
from saml2.saml import NAMEID_FORMAT_TRANSIENT, NAME_FORMAT_URI
from saml2.server import Server
from saml2.xmldsig import DIGEST_SHA1, DIGEST_SHA256, SIG_RSA_SHA1, SIG_RSA_SHA256

MODE, FOLDER, PORT = sys.argv[1:4]
BASE = f"http://127.0.0.1:{PORT}"
PEOPLE = {
    "ada": {"uid": ["ada"], "mail": ["ada@example.com"], "eduPersonAffiliation": ["dev", "staff"]},
    "bob": {"uid": ["bob"], "mail": ["bob@example.com"], "eduPersonAffiliation": ["staff"]},
}
CONFIG = {
    "entityid": BASE + "/metadata",
    "xmlsec_binary": "/usr/bin/xmlsec1",
    "key_file": FOLDER + "/idp.key",
    "cert_file": FOLDER + "/idp.pem",
    "service": {"idp": {
        "endpoints": {"single_sign_on_service": [(BASE + "/sso", BINDING_HTTP_REDIRECT)]},
        "name_id_format": [NAMEID_FORMAT_TRANSIENT],
        "policy": {"default": {"lifetime": {"minutes": 5}, "name_form": NAME_FORMAT_URI}},
    }},
}
LOGIN = """<form method="post" action="/login"><input name="username"/><input name="password" type="password"/>
<input type="hidden" name="SAMLRequest" value="{}"/><input type="hidden" name="RelayState" value="{}"/></form>
"""


class Handler(BaseHTTPRequestHandler):
    def answer(self, page, status=200):
        body = str(page).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        form = dict(urllib.parse.parse_qsl(url.query))
        if url.path != "/sso":
            return self.answer("here is nothing", 404)
        idp.parse_authn_request(form["SAMLRequest"], BINDING_HTTP_REDIRECT)
        return self.answer(LOGIN.format(html.escape(form["SAMLRequest"]), html.escape(form["RelayState"])))

    def do_POST(self):
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = dict(urllib.parse.parse_qsl(text))
        person = PEOPLE.get(form.get("username"))
        if person is None or form.get("password") != "secret":
            return self.answer("wrong password", 403)
        question = idp.parse_authn_request(form["SAMLRequest"], BINDING_HTTP_REDIRECT).message
        terms = idp.response_args(question, bindings=[BINDING_HTTP_POST])
        signs, old = form.get("signs", "assertion"), form.get("hash") == "sha1"
        response = idp.create_authn_response(
            person, terms["in_response_to"], terms["destination"], terms["sp_entity_id"], terms["name_id_policy"],
            userid=form["username"], authn={"class_ref": PASSWORD, "authn_auth": BASE},
            sign_assertion=signs in ("assertion", "both"), sign_response=signs in ("response", "both"),
            sign_alg=SIG_RSA_SHA1 if old else SIG_RSA_SHA256, digest_alg=DIGEST_SHA1 if old else DIGEST_SHA256)
        sent = idp.apply_binding(
            BINDING_HTTP_POST, str(response), terms["destination"], form["RelayState"], response=True)
        return self.answer(sent["data"])


if MODE == "metadata":
    print(create_metadata_string(None, IdPConfig().load(CONFIG)).decode())
else:
    idp = Server(config=IdPConfig().load(CONFIG | {"metadata": {"local": [FOLDER + "/sp.xml"]}}))
    HTTPServer(("127.0.0.1", int(sys.argv[4])), Handler).serve_forever()
