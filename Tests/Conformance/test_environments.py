"""Environments."""

from typing import Any

import pytest

from control import Control, Place, unique
from hands import Hands
from refusals import refused


def make(api: Any, **fields: Any) -> Any:
    return api.call(lambda c: c.beta.environments.create(name=unique("environment"), **fields))


@pytest.mark.parametrize("config", [{}, {"config": {"type": "self_hosted"}}], ids=["left out", "self_hosted"])
def test_create(api: Any, config: dict[str, Any]) -> None:
    made = make(api, **config)
    assert (made.type, made.config.type, made.metadata, made.archived_at) == ("environment", "self_hosted", {}, None)
    assert api.call(lambda c: c.beta.environments.retrieve(made.id)).name == made.name


def test_cloud_is_refused_with_the_reason(control: Control) -> None:
    body = {"name": unique("e"), "config": {"type": "cloud", "networking": {"type": "unrestricted"}}}
    error = refused(control.http.post("/v1/environments", json=body), 400, "invalid_request_error")
    assert "self_hosted" in error["message"]


def test_a_self_hosted_config_is_its_type_alone(control: Control) -> None:
    assert control.call("POST", "/v1/environments", {"name": unique("e")})["config"] == {"type": "self_hosted"}


def test_update(api: Any) -> None:
    made = make(api, description="d", metadata={"keep": "1", "drop": "2", "empty": "3"})
    changed = api.call(lambda c: c.beta.environments.update(made.id, name=made.name + "x", metadata={"drop": None, "empty": "", "new": "4"}))
    assert (changed.name, changed.description, changed.metadata) == (made.name + "x", "d", {"keep": "1", "new": "4"})


def test_names_are_unique(api: Any, control: Control) -> None:
    made = make(api)
    answer = control.http.post("/v1/environments", json={"name": made.name})
    assert (answer.status_code, answer.headers.get("x-should-retry")) == (409, "false")


def test_archive(api: Any, control: Control) -> None:
    made = make(api)
    assert api.call(lambda c: c.beta.environments.archive(made.id)).archived_at is not None
    assert made.id not in [e.id for e in api.items(lambda c: c.beta.environments.list())]
    assert made.id in [e.id for e in api.items(lambda c: c.beta.environments.list(include_archived=True))]
    error = refused(control.http.post(f"/v1/environments/{made.id}", json={"description": "x"}), 400, "invalid_request_error")
    assert error["details"]["error_code"] == "environment_archived"


def test_delete(api: Any, control: Control) -> None:
    made = make(api)
    gone = api.call(lambda c: c.beta.environments.delete(made.id))
    assert (gone.id, gone.type) == (made.id, "environment_deleted")
    assert control.http.get(f"/v1/environments/{made.id}").status_code == 404


def test_list_pages(api: Any) -> None:
    made = [make(api).id for _ in range(3)]
    listed = [e.id for e in api.items(lambda c: c.beta.environments.list(limit=1))]
    assert [i for i in listed if i in made] == made[::-1]


@pytest.mark.behaviour("environment-01")
@pytest.mark.parametrize(("beta", "keys"), [
    (None, {"data", "next_page"}), ("managed-agents-2026-04-01", {"data", "next_page"}),
    ("environments-2026-03-01", {"data", "has_more", "next_page"}), ("environments-2025-11-01", {"data", "has_more", "first_id", "last_id"}),
])
def test_list_envelope_by_beta_header(control: Control, beta: str | None, keys: set[str]) -> None:
    answer = control.http.get("/v1/environments", headers={"anthropic-beta": beta} if beta else {})
    assert set(answer.json()) == keys


@pytest.mark.behaviour("environment-02")
def test_unknown_config_type(control: Control) -> None:
    refused(control.http.post("/v1/environments", json={"name": "e", "config": {"type": "bogus"}}), 400, "invalid_request_error",
            "config: Input tag 'bogus' found using 'type' does not match any of the expected tags: 'cloud', 'self_hosted'", retry=False)


@pytest.mark.behaviour("environment-04")
def test_name_is_required(control: Control) -> None:
    refused(control.http.post("/v1/environments", json={}), 400, "invalid_request_error", "name: Field required", retry=False)


@pytest.mark.behaviour("general-13")
def test_unknown_field(control: Control) -> None:
    refused(control.http.post("/v1/environments", json={"name": "e", "colour": "red"}), 400, "invalid_request_error",
            "colour: Extra inputs are not permitted")


@pytest.mark.behaviour("environment-05")
@pytest.mark.parametrize("identifier", ["env_011CZkZAtmR3yMPDzynEDxu7", "undefined"])
def test_delete_of_what_does_not_exist(control: Control, identifier: str) -> None:
    refused(control.http.delete(f"/v1/environments/{identifier}"), 404, "not_found_error", f"Environment {identifier} not found.", retry=False)


@pytest.mark.behaviour("environment-08")
def test_delete_while_work_is_queued(control: Control, place: Place) -> None:
    control.session(place)
    path = f"/v1/environments/{place.environment}"
    refused(control.http.delete(path), 409, "invalid_request_error",
            "Cannot delete self-hosted environment with work in the queue. Either archive the environment first to allow the queue to drain, or use "
            "force=true to delete immediately.", retry=False)
    assert control.http.get(path).status_code == 200


@pytest.mark.behaviour("environment-06")
def test_delete_while_sessions_exist(control: Control, postern: Any, place: Place) -> None:
    control.session(place)
    hands = Hands(postern.url, place)
    hands.stop()
    refused(control.http.delete(f"/v1/environments/{place.environment}"), 409, "invalid_request_error",
            "Environment has 1 active sessions. Use force=true to delete anyway.", retry=False)


@pytest.mark.behaviour("environment-10")
def test_type_cannot_change(control: Control) -> None:
    made = control.environment()
    error = refused(control.http.post(f"/v1/environments/{made}", json={"config": {"type": "cloud"}}), 400, "invalid_request_error",
                    "Cannot change environment type from BYOC to Cloud")
    assert error["details"]["error_code"] == "invalid_config_type_change"
