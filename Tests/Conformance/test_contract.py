"""The reduced contract and the pinned SDK agree, so that a new SDK cannot change the suite's meaning unseen."""

import anthropic
import pytest

import strict
from contract import BEHAVIOURS, CONTRACT
from tally import TALLY


def test_the_sdk_is_the_pinned_one() -> None:
    assert CONTRACT.raw["sdk"] == f"anthropic {anthropic.__version__}"


@pytest.mark.parametrize("name", sorted(CONTRACT.raw["models"]))
def test_the_sdk_has_the_model_with_these_fields(name: str) -> None:
    expected = CONTRACT.raw["models"][name]
    model = strict.named(name)
    fields = {(field.alias or key) + ("" if field.is_required() else "?") for key, field in model.model_fields.items()}
    assert fields == set(expected)


def test_every_stream_event_is_known_to_the_sdk() -> None:
    union = strict.named("BetaManagedAgentsStreamSessionEvents")
    assert set(strict.tags(union, "type")) == set(CONTRACT.raw["events"]["session_stream"])


def test_the_strict_check_sees_what_is_wrong() -> None:
    good = {"id": "sesn_1", "type": "session_deleted"}
    model = strict.named("BetaManagedAgentsDeletedSession")
    assert strict.problems(good, model) == []
    assert strict.problems({"id": "sesn_1"}, model)
    assert strict.problems(good | {"more": 1}, model)
    assert strict.problems(good | {"id": 1}, model)
    assert strict.problems(good | {"type": "session"}, model)
    events = strict.named("BetaManagedAgentsStreamSessionEvents")
    running = {"id": "sevt_1", "type": "session.status_running", "processed_at": "2026-01-02T03:04:05.000006Z"}
    assert strict.problems(running, events) == []
    assert strict.problems(running | {"processed_at": "2026-01-02T03:04:05Z"}, events)
    assert strict.problems(running | {"type": "session.strange"}, events)


def test_behaviours_have_one_id_each() -> None:
    assert len(BEHAVIOURS.all) == 220
    assert {b.scope for b in BEHAVIOURS.all.values()} == {"now", "later", "overruled"}
    assert TALLY.summary()["endpoints"]["in_contract"] == 109
