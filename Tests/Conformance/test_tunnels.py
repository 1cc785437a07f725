"""Tunnels: the contract's ten endpoints, and what Postern adds to them."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

import anthropic
import httpx2
import pytest

from api import open_api
from authorities import AUTHORITIES, WEAK
from control import Control, secret, unique
from postern_fixture import Postern
from refusals import refused


def make(api: Any, **fields: Any) -> Any:
    return api.call(lambda c: c.beta.tunnels.create(**fields))


def certify(api: Any, tunnel: str, pem: str) -> Any:
    return api.call(lambda c: c.beta.tunnels.certificates.create(tunnel, ca_certificate_pem=pem))


def fingerprint(pem: str) -> str:
    body = "".join(line for line in pem.splitlines() if not line.startswith("-----"))
    return hashlib.sha256(base64.b64decode(body)).hexdigest()


def key_of(control: Control, role: str, **fields: Any) -> Control:
    made = control.call("POST", "/postern/v1/keys", {"name": unique("key"), "role": role} | fields)
    return Control(control.url, secret(made))


@pytest.fixture(scope="module")
def stranger(control: Control) -> Control:
    """An admin of another workspace."""
    workspace = control.call("POST", "/postern/v1/workspaces", {"name": unique("workspace")})["id"]
    return key_of(control, "admin", workspace_id=workspace)


def test_create_and_retrieve(api: Any) -> None:
    made = make(api, display_name="docs of the lab")
    assert re.fullmatch(r"tnl_[0-9A-Za-z]+", made.id) and re.fullmatch(r"[a-z0-9]{8}\.tunnel\.example\.com", made.domain)
    assert (made.type, made.display_name, made.archived_at) == ("tunnel", "docs of the lab", None)
    assert api.call(lambda c: c.beta.tunnels.retrieve(made.id)) == made
    assert make(api).display_name is None and make(api, display_name=None).display_name is None
    assert len({make(api).domain for _ in range(5)}) == 5


def test_list_pages(api: Any) -> None:
    made = [make(api).id for _ in range(3)]
    listed = [t.id for t in api.items(lambda c: c.beta.tunnels.list(limit=1))]
    assert [i for i in listed if i in made] == made[::-1]
    api.call(lambda c: c.beta.tunnels.archive(made[0]))
    assert made[0] not in [t.id for t in api.items(lambda c: c.beta.tunnels.list())]
    assert made[0] in [t.id for t in api.items(lambda c: c.beta.tunnels.list(include_archived=True, limit=1000))]


def test_archive_is_for_good(api: Any, control: Control) -> None:
    made = make(api)
    certificate = certify(api, made.id, AUTHORITIES[0])
    archived = api.call(lambda c: c.beta.tunnels.archive(made.id))
    assert archived.archived_at is not None and archived.domain == made.domain
    assert api.call(lambda c: c.beta.tunnels.archive(made.id)) == archived
    assert api.call(lambda c: c.beta.tunnels.certificates.retrieve(certificate.id, tunnel_id=made.id)).archived_at == archived.archived_at
    for path, body in (("reveal_token", None), ("rotate_token", {}), ("certificates", {"ca_certificate_pem": AUTHORITIES[1]})):
        error = refused(control.http.post(f"/v1/tunnels/{made.id}/{path}", json=body), 400, "invalid_request_error", retry=False)
        assert error["details"]["error_code"] == "tunnel_archived"


def test_tokens(api: Any, control: Control) -> None:
    made = make(api)
    first = api.call(lambda c: c.beta.tunnels.reveal_token(made.id))
    assert first.tunnel_token.startswith("tnlt_") and api.call(lambda c: c.beta.tunnels.reveal_token(made.id)) == first
    second = api.call(lambda c: c.beta.tunnels.rotate_token(made.id, reason="was in a log"))
    third = api.call(lambda c: c.beta.tunnels.rotate_token(made.id))
    assert len({t.id for t in (first, second, third)}) == len({t.tunnel_token for t in (first, second, third)}) == 3
    assert api.call(lambda c: c.beta.tunnels.reveal_token(made.id)) == third
    assert first.tunnel_token not in control.http.get(f"/v1/tunnels/{made.id}").text


def test_certificates(api: Any, control: Control) -> None:
    made = make(api)
    first = certify(api, made.id, AUTHORITIES[0])
    assert (first.tunnel_id, first.fingerprint, first.archived_at) == (made.id, fingerprint(AUTHORITIES[0]), None)
    assert first.expires_at is not None and first.expires_at.year > 2100
    path = f"/v1/tunnels/{made.id}/certificates"
    refused(control.http.post(path, json={"ca_certificate_pem": AUTHORITIES[0]}), 409, "invalid_request_error", retry=False)
    second = certify(api, made.id, AUTHORITIES[1])
    error = refused(control.http.post(path, json={"ca_certificate_pem": AUTHORITIES[2]}), 400, "invalid_request_error", retry=False)
    assert error["details"]["error_code"] == "tunnel_certificate_limit_reached"
    listed = api.items(lambda c: c.beta.tunnels.certificates.list(made.id, limit=1))
    assert [c.id for c in listed] == [second.id, first.id]
    archived = api.call(lambda c: c.beta.tunnels.certificates.archive(first.id, tunnel_id=made.id))
    assert archived.archived_at is not None
    assert api.call(lambda c: c.beta.tunnels.certificates.archive(first.id, tunnel_id=made.id)) == archived
    certify(api, made.id, AUTHORITIES[2])
    assert [c.id for c in api.items(lambda c: c.beta.tunnels.certificates.list(made.id, include_archived=True))][-1] == first.id
    assert api.call(lambda c: c.beta.tunnels.certificates.retrieve(first.id, tunnel_id=made.id)) == archived


@pytest.mark.parametrize(("pem", "words"), [
    ("", "no certificate"), (AUTHORITIES[0] + AUTHORITIES[1], "2 certificates"), (WEAK, "RSA with 1024 bits"), ("x" * 8193, "8192 bytes"),
    (AUTHORITIES[0] + "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "private key"),
], ids=["nothing", "two", "weak", "large", "key"])
def test_a_certificate_that_breaks_a_rule(control: Control, pem: str, words: str) -> None:
    made = control.call("POST", "/v1/tunnels")
    error = refused(control.http.post(f"/v1/tunnels/{made['id']}/certificates", json={"ca_certificate_pem": pem}), 400, "invalid_request_error",
                    retry=False)
    assert words in error["message"] and error["message"].startswith("ca_certificate_pem: ")


@pytest.mark.parametrize("body", [{"display_name": ""}, {"display_name": "x" * 256}, {"display_name": 1}, {"colour": "red"}, []])
def test_what_is_not_a_tunnel(control: Control, body: Any) -> None:
    refused(control.http.post("/v1/tunnels", json=body), 400, "invalid_request_error", retry=False)


@pytest.mark.parametrize("limit", [0, 1001])
def test_pages_have_a_bound(control: Control, limit: int) -> None:
    refused(control.http.get("/v1/tunnels", params={"limit": limit}), 400, "invalid_request_error")


def test_another_workspaces_ids_do_not_exist(api: Any, control: Control, stranger: Control) -> None:
    made = make(api)
    certificate = certify(api, made.id, AUTHORITIES[0])
    with open_api(api.mode, control.url, stranger.key) as other:
        for request in (
            lambda c: c.beta.tunnels.retrieve(made.id), lambda c: c.beta.tunnels.archive(made.id), lambda c: c.beta.tunnels.reveal_token(made.id),
            lambda c: c.beta.tunnels.rotate_token(made.id), lambda c: c.beta.tunnels.certificates.list(made.id),
            lambda c: c.beta.tunnels.certificates.create(made.id, ca_certificate_pem=AUTHORITIES[1]),
            lambda c: c.beta.tunnels.certificates.retrieve(certificate.id, tunnel_id=made.id),
            lambda c: c.beta.tunnels.certificates.archive(certificate.id, tunnel_id=made.id),
        ):
            with pytest.raises(anthropic.NotFoundError):
                other.call(request)
        assert made.id not in [t.id for t in other.items(lambda c: c.beta.tunnels.list(include_archived=True))]
    assert api.call(lambda c: c.beta.tunnels.retrieve(made.id)) == made


def test_roles(control: Control) -> None:
    made = control.call("POST", "/v1/tunnels")["id"]
    root, own = f"/v1/tunnels/{made}", f"/postern/v1/tunnels/{made}"
    writes = ["/v1/tunnels", *(f"{root}/{name}" for name in ("archive", "reveal_token", "rotate_token", "certificates")), f"{own}/settings"]
    for role in ("viewer", "developer"):
        key = key_of(control, role)
        for path in ("/v1/tunnels", root, f"{root}/certificates", f"{own}/settings", f"{own}/connectors", f"{own}/connector_keys"):
            assert key.http.get(path).status_code == 200
        for path in writes:
            refused(key.http.post(path, json={}), 403, "permission_error")


def test_a_key_of_an_edge_opens_nothing_else(control: Control, stranger: Control) -> None:
    edge = key_of(control, "edge")
    document = control.call("GET", "/openapi.json")
    opened = set()
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if operation["x-postern-access"] in ("anybody", "anybody on loopback, else an API key"):
                continue
            answer = edge.http.request(method.upper(), re.sub(r"\{[^}]+\}", "x", path), json=None if method == "get" else {})
            if answer.status_code not in (401, 403):
                opened.add(f"{method.upper()} {path}")
    assert opened == {
        "GET /postern/v1/edge/tunnels", "POST /postern/v1/edge/enrolments", "POST /postern/v1/edge/authorizations",
        "PUT /postern/v1/edge/connectors", "POST /postern/v1/edge/principals",
        "GET /postern/v1/edge/tunnels/{tunnel_id}/registrations",
    }
    for key in (key_of(control, "developer"), key_of(control, "viewer"), stranger):
        refused(key.http.get("/postern/v1/edge/tunnels"), 403, "permission_error")
    refused(stranger.http.post("/postern/v1/keys", json={"name": "e", "role": "edge"}), 403, "permission_error")


def test_an_edge_waits_for_changes(control: Control) -> None:
    edge = key_of(control, "edge")
    made = control.call("POST", "/v1/tunnels")
    before = edge.call("GET", "/postern/v1/edge/tunnels")
    assert made["domain"] in [t["domain"] for t in before["tunnels"]]
    control.call("POST", f"/postern/v1/tunnels/{made['id']}/settings", {"splice": True})
    after = edge.http.get("/postern/v1/edge/tunnels", params={"after": before["revision"]}, headers={"postern-poll-seconds": "60"}).json()
    assert after["revision"] > before["revision"]
    assert [t["splice"] for t in after["tunnels"] if t["id"] == made["id"]] == [True]
    control.call("POST", f"/v1/tunnels/{made['id']}/archive")
    last = edge.call("GET", "/postern/v1/edge/tunnels", after=after["revision"])
    assert made["id"] not in [t["id"] for t in last["tunnels"]]


def test_a_forged_token_enrols_nothing(control: Control) -> None:
    edge = key_of(control, "edge")
    made = control.call("POST", "/v1/tunnels")["id"]
    token = control.call("POST", f"/v1/tunnels/{made}/reveal_token")["tunnel_token"]
    forged = token[:-2] + ("A" if token[-2] != "A" else "B") + token[-1]
    # A point of the curve, so that the key is a good one: the base point of P-256.
    point = bytes.fromhex(
        "04" "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296" "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5")
    key = base64.b64encode(bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200") + point).decode()
    answer = edge.http.post("/postern/v1/edge/enrolments", json={"tunnel_token": forged, "connector_key": key})
    assert (answer.status_code, answer.json()["reason"]) == (401, "token_unknown")
    enrolled = edge.http.post("/postern/v1/edge/enrolments", json={"tunnel_token": token, "connector_key": key})
    assert enrolled.status_code == 200 and enrolled.json()["tunnel_id"] == made
    fingerprint = enrolled.json()["connector_key"]
    assert fingerprint == hashlib.sha256(base64.b64decode(key)).hexdigest()
    control.call("POST", f"/postern/v1/tunnels/{made}/connector_keys/{fingerprint}/revoke")
    live = edge.call("GET", "/postern/v1/edge/tunnels")
    assert [t["connector_keys"] for t in live["tunnels"] if t["id"] == made] == [[]]


def test_without_a_domain_no_tunnel_is_made() -> None:
    with Postern("postern-no-domain") as other:
        other.serve()
        answer = httpx2.post(f"{other.url}/v1/tunnels", headers={"authorization": f"Bearer {other.admin_key}"})
        error = refused(answer, 400, "invalid_request_error")
        assert "--tunnel-domain" in error["message"]
