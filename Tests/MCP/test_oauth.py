"""Tokens by OAuth: the client credentials grant, against servers of the official SDK that check their tokens, and against servers that cheat."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from authorization_server import AuthorizationServer
from peers import MODERN, Hostile, HostileServer, command, postern, serving


@pytest.fixture
def issuer() -> Iterator[AuthorizationServer]:
    with AuthorizationServer() as server:
        yield server


def options(issuer: AuthorizationServer, folder: Path, secret: str | None = None) -> list[str]:
    file = folder / "secret"
    file.write_text((secret or issuer.secret) + "\n")
    return ["--oauth-issuer", issuer.issuer, "--oauth-client-id", issuer.client_id, "--oauth-client-secret-file", str(file)]


@pytest.mark.parametrize("sdk", ["1", "2"])
def test_tokens_are_got_renewed_and_given_more_scopes(issuer: AuthorizationServer, tmp_path: Path, sdk: str) -> None:
    with serving(tmp_path, command(sdk, "http", "--oauth", issuer.issuer)) as server:
        flags = options(issuer, tmp_path)
        none = postern("probe", server.url)
        assert none.status == 77 and issuer.issuer in none.error and "--oauth-client-id" in none.error and '"docs"' in none.error, none.error
        assert issuer.asked == [], "whom the server names is not asked for anything"

        probe = postern("probe", server.url, *flags, "--json")
        assert probe.status == 0, probe.error
        names = [step["step"] for step in probe.json["steps"]]
        assert names[:4] == ["connect", "protected resource metadata", "authorization server metadata", "token"], names
        assert issuer.forms == [
            {"grant_type": "client_credentials", "resource": server.url, "scope": "docs", "by": "client_secret_basic"}], "one token for all requests"

        # The first token is taken once only: the second request gets another one.
        issuer.forms.clear()
        issuer.uses = [1]
        renewed = postern("call", server.url, "echo", '{"text": "let in"}', *flags)
        assert (renewed.status, renewed.output, len(issuer.forms)) == (0, "let in\n", 2), renewed.error

        issuer.forms.clear()
        stepped = postern("call", server.url, "add", '{"a": 1, "b": 2}', *flags)
        assert (stepped.status, stepped.output) == (0, "3\n"), stepped.error
        assert [form["scope"] for form in issuer.forms] == ["docs", "docs docs.write"]

        issuer.scopes = ("docs",)
        refused = postern("call", server.url, "add", '{"a": 1, "b": 2}', *flags, "--json")
        assert refused.status == 77 and "invalid_scope" in refused.error, refused.error
        kept = postern("call", server.url, "add", '{"a": 1, "b": 2}', *flags, "--oauth-scope", "docs")
        assert kept.status == 77 and "--oauth-scope does not allow" in kept.error, kept.error

        issuer.metadata["token_endpoint_auth_methods_supported"] = ["client_secret_post"]
        issuer.forms.clear()
        posted = postern("call", server.url, "echo", '{"text": "by post"}', *flags)
        assert (posted.status, posted.output, issuer.forms[0]["by"]) == (0, "by post\n", "client_secret_post"), posted.error

        issuer.metadata["token_endpoint_auth_methods_supported"] = ["private_key_jwt"]
        key = ec.generate_private_key(ec.SECP256R1())
        issuer.key = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
        file = tmp_path / "key.pem"
        file.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        issuer.uses, flags[4:] = [1], ["--oauth-client-key-file", str(file)]
        signed = postern("call", server.url, "echo", '{"text": "signed"}', *flags)
        assert (signed.status, signed.output, issuer.forms[-1]["by"]) == (0, "signed\n", "private_key_jwt"), signed.error
        assert len(issuer.assertions) == 2, "each is used once"
        issuer.metadata.clear()

        wrong = postern("call", server.url, "echo", '{"text": "x"}', *options(issuer, tmp_path, secret="canary-of-a-secret"))
        assert wrong.status == 77 and "invalid_client" in wrong.error and "--oauth-client-secret-file" in wrong.error
        assert "canary" not in wrong.error and "<redacted>" in wrong.error, wrong.error


def test_what_was_refused_after_two_steps_is_told(issuer: AuthorizationServer, tmp_path: Path) -> None:
    """A server that always wants another scope ends with its own refusal, and is asked so often and no more."""
    issuer.scopes = tuple(f"s{n}" for n in range(9))

    def handle(handler: Hostile, method: str, headers: dict[str, str], message: Any) -> None:
        if described(handler, method, issuer) or asks_for_token(handler, headers, "s0"):
            return
        if not handler.hello(method, message, MODERN):
            number = len(issuer.forms)
            handler.send(403, WWW_Authenticate=f'Bearer error="insufficient_scope", scope="s{number}"')

    with HostileServer(handle) as server:
        done = postern("call", server.url, "tool", "{}", *options(issuer, tmp_path))
        assert done.status == 77 and "403 insufficient_scope" in done.error and '"s3"' in done.error, done.error
        assert [form["scope"] for form in issuer.forms] == ["s0", "s0 s1", "s0 s1 s2"]
        assert server.count("tools/call") == 3


def test_a_call_that_may_have_run_is_not_made_again(issuer: AuthorizationServer, tmp_path: Path) -> None:
    def handle(handler: Hostile, method: str, headers: dict[str, str], message: Any) -> None:
        if described(handler, method, issuer) or asks_for_token(handler, headers, "docs") or handler.hello(method, message, MODERN):
            return
        handler.close_connection = True
        handler.connection.close()

    with HostileServer(handle) as server:
        done = postern("call", server.url, "tool", "{}", *options(issuer, tmp_path))
        assert done.status == 1 and "not known whether" in done.error, done.error
        assert server.count("tools/call") == 1


def described(handler: Hostile, method: str, issuer: AuthorizationServer, **metadata: Any) -> bool:
    """Answers what asks for the resource's metadata; whether it did."""
    if not handler.path.startswith("/.well-known/oauth-protected-resource"):
        return False
    resource = f"http://{handler.headers['Host']}/mcp"
    handler.send(200, json.dumps({"resource": resource, "authorization_servers": [issuer.issuer]} | metadata).encode())
    return True


def asks_for_token(handler: Hostile, headers: dict[str, str], scope: str = "docs", **parameters: str) -> bool:
    if headers.get("authorization", "").startswith("Bearer "):
        return False
    more = "".join(f', {name}="{value}"' for name, value in parameters.items())
    handler.send(401, WWW_Authenticate=f'Bearer scope="{scope}"{more}')
    return True


def endless(handler: Any) -> None:
    handler.close_connection = True
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b" " * 65536)
    except OSError:
        pass


METADATA = "/.well-known/oauth-authorization-server"
LINK_LOCAL = "169.254.169.254"


@pytest.mark.parametrize(
    ("kind", "challenge", "resource", "metadata", "answer", "says"),
    [
        ("oauth_resource_mismatch", {}, {"resource": "https://bank.example.com/mcp"}, {}, {}, "https://bank.example.com/mcp"),
        ("oauth_metadata_elsewhere", {"resource_metadata": f"http://{LINK_LOCAL}/latest"}, {}, {}, {}, LINK_LOCAL),
        ("oauth_metadata_elsewhere", {"resource_metadata": "TRAP/mcp"}, {}, {}, {}, "not asked for"),
        ("oauth_issuer_not_offered", {}, {"authorization_servers": ["TRAP"]}, {}, {}, "--oauth-issuer"),
        ("oauth_issuer_mismatch", {}, {}, {"issuer": "https://other.example.com"}, {}, "https://other.example.com"),
        ("oauth_token_endpoint", {}, {}, {"token_endpoint": "http://as.example.com/token"}, {}, "http://as.example.com/token"),
        ("oauth_token_endpoint", {}, {}, {"token_endpoint": f"https://{LINK_LOCAL}/token"}, {}, LINK_LOCAL),
        ("oauth_token_endpoint", {}, {}, {"token_endpoint": "https://localhost/token"}, {}, "this machine"),
        ("oauth_unsupported", {}, {}, {"grant_types_supported": ["authorization_code"]}, {}, "client_credentials"),
        ("oauth_token", {}, {}, {}, {"token_type": "mac"}, "no bearer"),
        ("oauth_token", {}, {}, {}, {"access_token": "canary\r\nX-Evil: 1"}, "visible ASCII"),
    ],
)
def test_who_cheats_gets_neither_secret_nor_token(
    issuer: AuthorizationServer, tmp_path: Path, kind: str, challenge: Any, resource: Any, metadata: Any, answer: Any, says: str
) -> None:
    with HostileServer(lambda handler, *_: handler.send(200, b"{}")) as trap:
        place = trap.url.removesuffix("/mcp")
        challenge, resource = json.loads(json.dumps([challenge, resource]).replace("TRAP", place))
        issuer.metadata, issuer.answer = metadata, answer

        def handle(handler: Hostile, method: str, headers: dict[str, str], message: Any) -> None:
            if not described(handler, method, issuer, **resource):
                assert asks_for_token(handler, headers, **challenge)

        with HostileServer(handle) as server:
            done = postern("probe", server.url, *options(issuer, tmp_path), "--json")
            assert done.status == 77 and done.json["error"]["kind"] == kind and says in done.error, (done.output, done.error)
            assert "canary" not in done.output + done.error
            assert trap.asked == [] and not any("authorization" in headers for headers in server.headers)
        assert issuer.forms == [] or kind == "oauth_token", "the secret was shown"


def moved(handler: Any) -> None:
    handler.send_response(307)
    handler.send_header("Location", handler.server_of_test.moved_to)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


@pytest.mark.parametrize(("path", "behaviour", "says"), [
    (METADATA, moved, "redirect"), ("/token", moved, "redirect"), (METADATA, endless, "more than 65536 bytes"), ("/token", endless, "more than 65536 bytes")])
def test_nothing_is_followed_and_no_body_is_read_for_ever(issuer: AuthorizationServer, tmp_path: Path, path: str, behaviour: Any, says: str) -> None:
    def handle(handler: Hostile, method: str, headers: dict[str, str], message: Any) -> None:
        if not described(handler, method, issuer):
            assert asks_for_token(handler, headers)

    with HostileServer(handle) as server, HostileServer(lambda handler, *_: handler.send(200, b"{}")) as trap:
        issuer.instead[path], issuer.moved_to = behaviour, trap.url
        done = postern("probe", server.url, *options(issuer, tmp_path), "--json")
        assert done.status == 77 and done.json["error"]["kind"] == "oauth_answer" and says in done.error, (done.output, done.error)
        assert trap.asked == []
