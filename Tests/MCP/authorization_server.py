"""An authorization server for the suite: RFC 8414 metadata, the client credentials grant, and introspection for the servers that take its tokens."""

from __future__ import annotations

import base64
import json
import secrets
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlsplit

import jwt


@dataclass
class Issued:
    scopes: list[str]
    resource: str
    #: How often it is still taken; None for as often as one likes.
    uses: int | None = None


@dataclass
class AuthorizationServer:
    """One client, whose id and secret have to be form-encoded to arrive. What it answers can be changed by a test."""

    client_id: str = "client:one"
    secret: str = "s3cret %+&=/ü"
    #: The client's public key as PEM, in place of the secret.
    key: str | None = None
    assertions: set[str] = field(default_factory=set)
    #: What the client may have.
    scopes: tuple[str, ...] = ("docs", "docs.write")
    path: str = ""
    #: Over what the metadata says.
    metadata: dict[str, Any] = field(default_factory=dict)
    #: Over what a token's answer says.
    answer: dict[str, Any] = field(default_factory=dict)
    #: How often each token is taken, in the order in which they are given; more of them are taken always.
    uses: list[int] = field(default_factory=list)
    #: Answers in place of its own, by path: called with the handler.
    instead: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)
    issued: dict[str, Issued] = field(default_factory=dict)
    #: Where `instead` may send to.
    moved_to: str = ""

    def __enter__(self) -> AuthorizationServer:
        owner = self

        class Bound(Handler):
            server_of_test = owner

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Bound)
        self._server.daemon_threads = True
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.issuer = self.origin + self.path
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of_test: AuthorizationServer

    def do_GET(self) -> None:
        server, url = self.server_of_test, urlsplit(self.path)
        server.asked.append(f"GET {url.path}")
        if instead := server.instead.get(url.path):
            return instead(self)
        if url.path == f"/.well-known/oauth-authorization-server{server.path}":
            return self.send(200, {
                "issuer": server.issuer, "token_endpoint": f"{server.origin}/token", "grant_types_supported": ["client_credentials"],
                "response_types_supported": [], "token_endpoint_auth_methods_supported": ["client_secret_basic"]} | server.metadata)
        if url.path == "/introspect":
            found = server.issued.get(parse_qs(url.query)["token"][0])
            if found is None or found.uses == 0:
                return self.send(200, {"active": False})
            if found.uses is not None and "take" in parse_qs(url.query):
                found.uses -= 1
            return self.send(200, {"active": True, "scope": " ".join(found.scopes), "aud": found.resource})
        return self.send(404, {})

    def do_POST(self) -> None:
        server = self.server_of_test
        server.asked.append(f"POST {self.path}")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        form = {name: values[0] for name, values in parse_qs(body, strict_parsing=True).items()}
        client, secret = form.pop("client_id", None), form.pop("client_secret", None)
        scheme, _, value = (self.headers.get("Authorization") or "").partition(" ")
        if scheme == "Basic":
            assert client is None, "one way at a time"
            client, _, secret = base64.b64decode(value).decode().partition(":")
            client, secret = unquote_plus(client), unquote_plus(secret)
        by = "client_secret_basic" if scheme == "Basic" else "client_secret_post"
        if assertion := form.pop("client_assertion", None):
            assert form.pop("client_assertion_type") == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
            claims = jwt.decode(assertion, server.key, algorithms=["ES256"], audience=server.issuer, options={"require": ["exp", "iat", "jti"]})
            assert claims["iss"] == claims["sub"] == client and claims["jti"] not in server.assertions
            server.assertions.add(claims["jti"])
            by, secret = "private_key_jwt", server.secret
        server.forms.append(form | {"by": by})
        if instead := server.instead.get(self.path):
            return instead(self)
        if (client, secret) != (server.client_id, server.secret):
            return self.send(401, {"error": "invalid_client", "error_description": f"I do not know the secret {secret}"})
        if form.get("grant_type") != "client_credentials" or "resource" not in form:
            return self.send(400, {"error": "invalid_request"})
        scopes = form.get("scope", "").split()
        if not set(scopes) <= set(server.scopes):
            return self.send(400, {"error": "invalid_scope"})
        token = secrets.token_urlsafe(24)
        server.issued[token] = Issued(scopes, form["resource"], server.uses.pop(0) if server.uses else None)
        return self.send(200, {"access_token": token, "token_type": "Bearer", "expires_in": 600, "scope": " ".join(scopes)} | server.answer)

    def send(self, status: int, body: Any, **headers: str) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass
