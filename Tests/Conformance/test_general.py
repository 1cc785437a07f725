"""What holds for every route: headers, errors, ids, times, pages, credentials."""

import re
from typing import Any

import httpx2
import pytest

from contract import CONTRACT
from control import Control, Place
from refusals import refused
from strict import TIME

ID = re.compile(r"[a-z]+_01[1-9A-HJ-NP-Za-km-z]{22}")


def walk(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from walk(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner, key)
    else:
        yield key, value


@pytest.mark.behaviour("general-02", "general-03")
def test_ids_and_times(control: Control, place: Place) -> None:
    session = control.session(place, title="t")
    control.turn(session, "hello")
    answers = [control.call("GET", path) for path in (
        f"/v1/agents/{place.agent}", f"/v1/environments/{place.environment}", f"/v1/sessions/{session}", f"/v1/sessions/{session}/events",
        f"/v1/sessions/{session}/threads")]
    for key, value in walk(answers):
        if key.endswith("_at") and value is not None:
            assert TIME.fullmatch(value), (key, value)
        if (key == "id" or key.endswith("_id")) and isinstance(value, str) and "_" in value:
            assert ID.fullmatch(value), (key, value)


@pytest.mark.behaviour("general-06")
def test_every_answer_has_a_request_id(control: Control) -> None:
    good, bad = control.http.get("/v1/agents"), control.http.get("/v1/agents/undefined")
    assert good.headers["request-id"].startswith("req_")
    assert bad.headers["request-id"] == bad.json()["request_id"]
    assert good.headers["request-id"] != bad.headers["request-id"]


@pytest.mark.behaviour("general-10")
@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/nothing/at/all"])
def test_a_route_that_does_not_exist(control: Control, path: str) -> None:
    refused(control.http.get(path), 404, "not_found_error", "Not found", retry=False)


UNBUILT = [e for e in CONTRACT.endpoints if not e.in_scope]
UNKNOWN_ID = "x_011CZkZAtmR3yMPDzynEDxu7"


@pytest.mark.parametrize("endpoint", [e for e in UNBUILT if not e.path.startswith("/v1/sessions/")], ids=lambda e: e.name)
def test_what_is_not_built_says_so(control: Control, endpoint: Any) -> None:
    path = re.sub(r"\{[^}]+\}", UNKNOWN_ID, endpoint.path)
    family = path.split("/")[2].replace("_", " ").capitalize()
    refused(control.http.request(endpoint.method, path), 404, "not_found_error", f"{family} are not built yet in this version of Postern.",
            retry=False)


@pytest.mark.parametrize("endpoint", [e for e in UNBUILT if e.path.startswith("/v1/sessions/")], ids=lambda e: e.name)
def test_resources_of_a_session_that_does_not_exist(control: Control, endpoint: Any) -> None:
    path = re.sub(r"\{[^}]+\}", UNKNOWN_ID, endpoint.path)
    refused(control.http.request(endpoint.method, path), 404, "not_found_error", f"Session {UNKNOWN_ID} not found.", retry=False)


@pytest.mark.behaviour("resource-01", "resource-04")
def test_resources_of_a_session_are_not_built(control: Control, place: Place) -> None:
    root = f"/v1/sessions/{control.session(place)}/resources"
    assert control.call("GET", root) == {"data": []}, "all of them, without a limit too"
    refused(control.http.post(root, json={"type": "file", "file_id": "file_1"}), 400, "invalid_request_error", "resources…not built yet…")
    for method in ("GET", "POST", "DELETE"):
        for identifier in ("sesrsc_1", "memstore_1"):
            refused(control.http.request(method, f"{root}/{identifier}"), 404, "not_found_error", f"Resource not found: {identifier}", retry=False)


@pytest.mark.behaviour("general-04")
def test_the_workspace_is_named_on_answers(control: Control, place: Place) -> None:
    good, gone = control.http.get("/v1/agents"), control.http.get("/v1/sessions/sesn_011CZkZAtmR3yMPDzynEDxu7")
    assert re.fullmatch(r"wrkspc_\w+", good.headers["anthropic-workspace-id"])
    assert gone.status_code == 404 and gone.headers["anthropic-workspace-id"] == good.headers["anthropic-workspace-id"]
    worker = Control(control.url, place.key)
    unnamed = (
        control.http.get("/v1/environments"), worker.http.get(f"/v1/environments/{place.environment}/work/poll"),
        httpx2.get(f"{control.url}/v1/agents", headers={"x-api-key": "wrong"}))
    worker.close()
    for answer in unnamed:
        assert "anthropic-workspace-id" not in answer.headers


@pytest.mark.behaviour("general-05")
@pytest.mark.parametrize("workspace", ["default", "nonsense"])
def test_malformed_workspace_header(control: Control, workspace: str) -> None:
    refused(control.http.get("/v1/agents", headers={"anthropic-workspace-id": workspace}), 400, "invalid_request_error",
            "anthropic-workspace-id header must be a valid workspace ID.")


@pytest.mark.behaviour("general-11")
@pytest.mark.parametrize(("path", "status"), [
    ("/v1/agents/agent_01UnknownAgentIdXXXXXXXX", 400), ("/v1/agents/agent_011CZkZAtmR3yMPDzynEDxu7", 404),
    ("/v1/environments/nonsense", 404), ("/v1/environments/env_011CZkZAtmR3yMPDzynEDxu7", 404),
    ("/v1/sessions/nonsense", 404), ("/v1/sessions/sesn_011CZkZAtmR3yMPDzynEDxu7", 404),
])
def test_malformed_and_absent_ids(control: Control, path: str, status: int) -> None:
    assert control.http.get(path).status_code == status


@pytest.mark.behaviour("general-12")
def test_the_end_of_lists(control: Control, place: Place) -> None:
    session = control.session(place)
    control.turn(session, "hello")
    worker = Control(control.url, place.key)
    for answer in (control.call("GET", "/v1/environments", limit=1000), worker.call("GET", f"/v1/environments/{place.environment}/work")):
        assert answer["next_page"] is None
    for path in ("/v1/sessions", f"/v1/sessions/{session}/events", "/v1/agents", f"/v1/agents/{place.agent}/versions",
                 f"/v1/sessions/{session}/threads"):
        page = control.call("GET", path)
        while page.get("next_page"):
            page = control.call("GET", path, page=page["next_page"])
        assert "next_page" not in page, path


@pytest.mark.behaviour("general-14")
@pytest.mark.parametrize("path", ["/v1/agents", "/v1/sessions"])
def test_unknown_fields(control: Control, path: str) -> None:
    refused(control.http.post(path, json={"zebra": 1, "access_token": 2}), 400, "invalid_request_error",
            'Failed to parse request body: unknown field "access_token"')


@pytest.mark.behaviour("general-01")
@pytest.mark.parametrize(("method", "path"), [("PUT", "/v1/agents"), ("PATCH", "/v1/sessions"), ("DELETE", "/v1/models")])
def test_methods(control: Control, method: str, path: str) -> None:
    refused(control.http.request(method, path), 405, "invalid_request_error", "Method Not Allowed")


@pytest.mark.parametrize("body", [b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b'{"name":"a","name":"b"', b"{" * 100_000, b'{"a":' * 5_000])
@pytest.mark.parametrize("path", ["/v1/agents", "/v1/environments", "/v1/sessions"])
def test_bodies_that_are_no_objects(control: Control, path: str, body: bytes) -> None:
    refused(control.http.post(path, content=body, headers={"content-type": "application/json"}), 400, "invalid_request_error")


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer"}, {"authorization": "Basic eDp5"}, {"x-api-key": "wrong"}, {"x-api-key": ""}])
def test_no_or_wrong_credential(control: Control, headers: dict[str, str]) -> None:
    refused(httpx2.get(f"{control.url}/v1/agents", headers=headers), 401, "authentication_error")


def test_both_header_shapes(control: Control) -> None:
    for headers in ({"x-api-key": control.key}, {"authorization": f"Bearer {control.key}"}):
        assert httpx2.get(f"{control.url}/v1/agents?beta=true", headers=headers).status_code == 200


def test_an_oversize_body(control: Control) -> None:
    refused(control.http.post("/v1/agents", content=b'{"name":"' + b"x" * 70_000_000 + b'"}'), 413, "request_too_large")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes(control: Control, path: str) -> None:
    assert httpx2.get(control.url + path).status_code == 200


def test_metrics(control: Control) -> None:
    text = httpx2.get(f"{control.url}/metrics", headers={"authorization": f"Bearer {control.key}"}).text
    assert re.search(r"^postern_\w+(\{[^}]*\})? [0-9.e+]+$", text, re.MULTILINE)
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE))
    assert all((kind == "counter") == name.endswith("_total") for name, kind in kinds.items()), kinds
    for name in ("process_cpu_seconds_total", "postern_work_items", "postern_sessions", "postern_store_commit_seconds",
                 "postern_store_commit_transactions", "postern_store_failures_total"):
        assert name in kinds
    assert re.search(r'^postern_sessions\{status="idle"\} \d+$', text, re.MULTILINE)
    assert re.search(r"^postern_store_commit_seconds_count [1-9]\d*$", text, re.MULTILINE)


def test_openapi_describes_every_endpoint_in_scope(control: Control) -> None:
    document = httpx2.get(f"{control.url}/openapi.json", headers={"authorization": f"Bearer {control.key}"}).json()
    assert document["openapi"].startswith("3.1")
    described = {(method.upper(), re.sub(r"\{[^}]+\}", "{}", path)) for path, entry in document["paths"].items() for method in entry}
    missing = {(e.method, re.sub(r"\{[^}]+\}", "{}", e.path)) for e in CONTRACT.endpoints if e.in_scope} - described
    assert not missing
