"""The rows of a fixed set of events are those that are committed: who changes what they mean says so by `CONTENT`."""

import asyncio
from typing import Any

import msgspec
import pytest

from shared.events.codec import decode_record
from shared.events.registry import EVENT_TYPES
from shared.events.types import EventRetracted, SettingsField, WorkspaceConfigured
from shared.projection.checksums import UNCOMPARED
from shared.projection.tables import CONTENT, projection
from tests.golden_world.world import (
    Digest,
    Golden,
    GoldenDigests,
    changed,
    digest_of_events,
    found_in,
    golden,
    lines,
    verdict,
)

COMMITTED = Golden(7, "e1", {"touch": Digest(2, "aa"), "deal": Digest(1, "bb")})


@pytest.fixture(scope="module")
def found(database_url_of_module: str, runner: asyncio.Runner) -> GoldenDigests:
    return runner.run(found_in(database_url_of_module))


def test_rows_that_change_count_up_content(found: GoldenDigests) -> None:
    problem = verdict(golden(), CONTENT, digest_of_events(), found.live)
    assert problem is None, problem


def test_a_history_made_at_once_has_the_golden_rows(found: GoldenDigests) -> None:
    assert changed(found.live, found.at_once) == []


def test_every_table_has_golden_rows() -> None:
    result = golden().tables
    assert [name for name, table in result.items() if not table.rows] == []
    assert len(result) == len(projection.tables) - len(UNCOMPARED)


def test_the_golden_world_meets_every_event_type_and_setting() -> None:
    events = [decode_record(bytes(line.record)).event for line in lines()]
    assert {str(type(event).__struct_config__.tag) for event in events} == set(EVENT_TYPES)
    settings = [event.settings for event in events if isinstance(event, WorkspaceConfigured)]
    result = {name for s in settings for name in SettingsField.__struct_fields__ if _is_set(getattr(s, name))}
    assert result == set(SettingsField.__struct_fields__)


def test_the_golden_world_meets_retracted_events_of_every_kind() -> None:
    arrived = [(line.workspace, decode_record(bytes(line.record))) for line in lines()]
    taken_back = {(ws, a.event.event_id) for ws, a in arrived if isinstance(a.event, EventRetracted)}
    kinds = {type(a.event).__name__ for ws, a in arrived if (ws, a.event_id) in taken_back}
    wanted = {
        "PageVisited",
        "AssetAssociated",
        "ContactMerged",
        "ContactIdentified",
        "DealClosed",
        "WorkspaceConfigured",
    }
    assert wanted <= kinds


def _is_set(value: Any) -> bool:
    return value is not None and value is not msgspec.UNSET


def test_other_rows_of_the_same_content_name_the_table_and_what_to_do() -> None:
    problem = verdict(COMMITTED, 7, "e1", COMMITTED.tables | {"touch": Digest(2, "cc")})
    assert problem is not None
    assert "touch" in problem
    assert "deal" not in problem
    assert "count CONTENT up" in problem


def test_other_rows_of_another_content_are_to_be_noted() -> None:
    problem = verdict(COMMITTED, 8, "e1", COMMITTED.tables | {"touch": Digest(2, "cc")})
    assert problem is not None
    assert "make golden" in problem
    assert "count CONTENT up" not in problem


def test_a_table_that_is_only_renamed_has_the_golden_rows() -> None:
    assert verdict(COMMITTED, 7, "e1", {"visit": Digest(2, "aa"), "deal": Digest(1, "bb")}) is None


def test_a_table_that_is_no_more_is_named() -> None:
    assert changed(COMMITTED.tables, {"touch": Digest(2, "aa")}) == ["deal (is no more)"]
