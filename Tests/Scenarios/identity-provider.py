#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A small OpenID Connect provider for scenarios: codes with PKCE, passwords, client credentials, introspection.

identity-provider.py PORT: everybody's password is `secret`; the client is `apus` with the secret `word`; `/login`
takes the user's name from `login_hint`, or is ada.
"""
import base64
import hashlib
import json
import secrets
import sys
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

PORT = int(sys.argv[1])
ISSUER = f"http://127.0.0.1:{PORT}"
GROUPS = {"ada": ["dev", "ops"], "service": ["dev"]}
codes, tokens = {}, {}


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Key:
    def __init__(self):
        self.id = secrets.token_hex(4)
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def public(self):
        numbers = self.key.public_key().public_numbers()
        modulus = numbers.n.to_bytes(256, "big")
        return {"kty": "RSA", "kid": self.id, "use": "sig", "alg": "RS256", "n": b64(modulus), "e": "AQAB"}

    def sign(self, claims):
        head = b64(json.dumps({"alg": "RS256", "kid": self.id}).encode())
        text = head + "." + b64(json.dumps(claims).encode())
        return text + "." + b64(self.key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))


key = Key()


def person(name):
    return {"sub": "id-" + name, "preferred_username": name, "email": name + "@example.com",
            "groups": GROUPS.get(name, [])}


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, document, status=200, headers=()):
        body = json.dumps(document).encode()
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def bearer(self):
        return tokens.get(self.headers.get("Authorization", "").removeprefix("Bearer "))

    def client(self, form):
        given = self.headers.get("Authorization", "")
        if given.startswith("Basic "):
            name, _, word = base64.b64decode(given[6:]).decode().partition(":")
            return (urllib.parse.unquote(name), urllib.parse.unquote(word)) == ("apus", "word")
        return (form.get("client_id"), form.get("client_secret")) == ("apus", "word")

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if url.path == "/.well-known/openid-configuration":
            return self.answer({
                "issuer": ISSUER, "authorization_endpoint": ISSUER + "/login", "token_endpoint": ISSUER + "/token",
                "jwks_uri": ISSUER + "/keys", "userinfo_endpoint": ISSUER + "/userinfo",
                "introspection_endpoint": ISSUER + "/introspect",
                "grant_types_supported": ["authorization_code", "password", "client_credentials"],
            })
        if url.path == "/keys":
            return self.answer({"keys": [key.public()]})
        if url.path == "/userinfo":
            claims = self.bearer()
            return self.answer(claims) if claims else self.answer({"error": "invalid_token"}, 401)
        if url.path == "/login" and query.get("response_type") == "code" and query.get("client_id") == "apus":
            code = secrets.token_urlsafe(16)
            codes[code] = (query, person(query.get("login_hint", "ada")))
            back = urllib.parse.urlencode({"code": code, "state": query.get("state", ""), "iss": ISSUER})
            return self.answer({}, 302, [("Location", query["redirect_uri"] + "?" + back)])
        return self.answer({"error": "not found"}, 404)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        form = dict(urllib.parse.parse_qsl(body))
        if not self.client(form):
            return self.answer({"error": "invalid_client"}, 401)
        if self.path == "/introspect":
            claims = tokens.get(form.get("token", ""))
            return self.answer({"active": True, "client_id": "apus", **claims} if claims else {"active": False})
        if self.path == "/token":
            return self.token(form)
        return self.answer({"error": "not found"}, 404)

    def token(self, form):
        asked = {}
        if form.get("grant_type") == "authorization_code":
            asked, claims = codes.pop(form.get("code", ""), ({}, None))
            verifier = b64(hashlib.sha256(form.get("code_verifier", "").encode()).digest())
            if claims is None or verifier != asked.get("code_challenge") \
                    or form.get("redirect_uri") != asked.get("redirect_uri"):
                return self.answer({"error": "invalid_grant"}, 400)
        elif form.get("grant_type") == "password" and form.get("password") == "secret":
            claims = person(form.get("username", ""))
        elif form.get("grant_type") == "client_credentials":
            claims = person("service")
        else:
            return self.answer({"error": "invalid_grant"}, 400)
        now = int(time.time())
        access = secrets.token_urlsafe(24)
        tokens[access] = {**claims, "exp": now + 600}
        identity = {**claims, "iss": ISSUER, "aud": "apus", "iat": now, "exp": now + 600}
        if "nonce" in asked:
            identity["nonce"] = asked["nonce"]
        return self.answer({
            "access_token": access, "token_type": "Bearer", "expires_in": 600, "id_token": key.sign(identity),
        })


ThreadingHTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
