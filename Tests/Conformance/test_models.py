"""The list of models."""

from typing import Any

import pytest

from control import Control


def test_list_and_retrieve(api: Any) -> None:
    models = api.items(lambda c: c.beta.models.list(limit=2))
    assert models and len({m.id for m in models}) == len(models)
    assert api.call(lambda c: c.beta.models.retrieve(models[0].id)).display_name == models[0].display_name


def test_cursors(control: Control) -> None:
    everything = control.call("GET", "/v1/models", limit=1000)
    assert everything["has_more"] is False
    ids = [m["id"] for m in everything["data"]]
    assert (everything["first_id"], everything["last_id"]) == (ids[0], ids[-1])
    if len(ids) > 1:
        assert [m["id"] for m in control.call("GET", "/v1/models", after_id=ids[0])["data"]] == ids[1:]
        assert [m["id"] for m in control.call("GET", "/v1/models", before_id=ids[-1])["data"]] == ids[:-1]


@pytest.mark.parametrize("name", ["no-such-model"])
def test_a_model_that_does_not_exist(control: Control, name: str) -> None:
    answer = control.http.get(f"/v1/models/{name}")
    assert answer.status_code == 404 and answer.json()["error"]["type"] == "not_found_error"
