"""Is all that decides content part of the shape, and nothing that does not?"""

import inspect
from typing import Any

import pytest

from shared.events.registry import EVENT_TYPES
from shared.projection import content
from shared.projection import tables as projection
from shared.projection.content import content_parts, data_files, vocabulary
from shared.projection.tables import shape
from shared.rules import keys
from shared.rules.keys import answers

KEY_FUNCTIONS = sorted(
    name for name, found in vars(keys).items()
    if callable(found) and inspect.getmodule(found) is keys and not inspect.isclass(found)
    and name != "answers" and not name.startswith("_")
)  # fmt: skip


def fresh() -> str:
    return shape.__wrapped__()


@pytest.mark.parametrize("name", KEY_FUNCTIONS)
def test_every_key_function_decides_the_shape(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    known = answers()
    monkeypatch.setattr(keys, name, lambda *_: b"" if name == "event_key" else () if name == "identifiers" else 0)
    assert answers() != known


@pytest.mark.parametrize(
    ("where", "name", "value"),
    [
        (projection, "CONTENT", -1), (content, "LIMITS", (1,)), (content, "MODELS", {"linear": None}),
        (content, "vocabulary", lambda: {"page_visited.url"}), (content, "data_files", lambda: [("click_ids.toml", {})]),
    ],
)  # fmt: skip
def test_what_decides_content_decides_the_shape(
    where: Any, name: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = fresh()
    monkeypatch.setattr(where, name, value)
    assert fresh() != known


def test_the_versions_of_lists_do_not_decide_the_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    known = fresh()
    monkeypatch.setattr(content, "version", lambda _: "0")
    assert content.lists()["crawler-user-agents"] == "0"
    assert fresh() == known


def test_the_shape_knows_every_event_type_and_the_fields_within_fields() -> None:
    result = vocabulary()
    assert {field.partition(".")[0] for field in result} == set(EVENT_TYPES)
    assert {"deal_created.contacts.email", "workspace_configured.settings.machine_rules.never"} <= result


def test_where_a_fact_is_published_is_no_part_of_the_shape() -> None:
    result = dict(data_files())
    assert set(result["click_ids.toml"]["gclid"]) == {"network", "medium", "paid"}
    assert not any("https://" in part for part in content_parts())


def test_the_shape_is_the_same_in_every_process() -> None:
    assert fresh() == fresh() == shape()
