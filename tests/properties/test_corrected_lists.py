"""A batch corrects the lists of cells whose touches pass to another session or contact; cells, months and days of campaigns say what the touches say."""

import asyncio
from typing import Any

import pytest

from tests.properties.test_digests_match_touches import (
    EMAIL,
    KNOWN_BY_NUMBER,
    MERGE,
    NUMBER,
    PAGES,
    STEPS_MAX,
    WITH_PAGES,
    B,
    event_on,
    play_in_order,
    visit,
)
from touchline.compose import Running

OTHER = "page-3"  # of no campaign
BY_NUMBER = [*KNOWN_BY_NUMBER, event_on(7, "email_opened", 40, asset_id=EMAIL, contact=NUMBER)]


@pytest.mark.parametrize("steps", [0, STEPS_MAX])
@pytest.mark.parametrize(
    ("batches", "sessions", "new"),
    [
        # the visit at 0:30 passes to the session that began at 23:50, and back
        pytest.param([[visit(10, 710, OTHER), visit(11, 750, PAGES[0])], [visit(12, 730, OTHER)]], 1, 1, id="carried now"),
        pytest.param([[visit(10, 710, OTHER), visit(11, 750, PAGES[0]), visit(12, 730, OTHER)],
            [event_on(13, "event_retracted", 6, event_id="e12")]], 1, 0, id="carried no more"),
        pytest.param([[visit(9, -300, PAGES[0])], [visit(10, 0, PAGES[0])], [visit(11, -5, OTHER)]], 2, 1, id="of an addition"),
        pytest.param([[visit(10, 0, PAGES[0])], [visit(11, -50, OTHER)]], 1, 0, id="new no more"),
        # a visit that is added, and one that is stored, are carried by the same session
        pytest.param([[visit(10, 710, OTHER), visit(11, 755, PAGES[0])], [visit(12, 730, PAGES[0])]], 1, 1, id="added and stored"),
        pytest.param([[visit(10, 0, PAGES[0]), visit(11, 20, PAGES[0]), visit(12, 45, PAGES[0])], [event_on(13, "event_retracted", 6, event_id="e11")]], 2, 1, id="loses some"),
    ],
)  # fmt: skip
def test_lists_are_corrected(
    running: Running, runner: asyncio.Runner, batches: list[list[dict[str, Any]]], sessions: int, new: int, steps: int
) -> None:
    all_steps = [STEPS_MAX, STEPS_MAX, *(steps for _ in batches[1:])]
    found, _ = runner.run(play_in_order(running, [WITH_PAGES, *batches], all_steps, [*PAGES, OTHER]))
    assert (found.sessions, found.new_sessions) == ([sessions], [new])


@pytest.mark.parametrize("steps", [0, STEPS_MAX])
@pytest.mark.parametrize(
    ("others", "influenced"),
    [
        pytest.param([], 1, id="a former key"),  # which leaves the list
        # of a month that is read as a whole: the asset has been held since an earlier one
        pytest.param([event_on(8, "email_opened", 40, asset_id=EMAIL, contact=B)], 2, id="a month"),
    ],
)
def test_contacts_of_a_merge_that_parts_again_leave_lists(
    running: Running, runner: asyncio.Runner, others: list[dict[str, Any]], influenced: int, steps: int
) -> None:
    batches = [[*BY_NUMBER, *others], [MERGE], [event_on(11, "event_retracted", 8, event_id="e6")]]
    found, _ = runner.run(play_in_order(running, batches, [STEPS_MAX, 0, steps], [EMAIL]))
    assert found.influenced_contacts == [influenced]


async def carried_visits(running: Running) -> list[Any]:
    async with running.pool.acquire() as raw:
        ws = await raw.fetchval(f"SELECT max(ws) FROM {running.generation.name}.workspace_rows")
        return await raw.fetch(
            f"SELECT key_set, day, occurred_at_us, session FROM {running.generation.name}.carried_visit WHERE ws = $1",
            ws,
        )


def test_a_carried_visit_is_stored_once(running: Running, runner: asyncio.Runner) -> None:
    batches = [WITH_PAGES, [visit(10, 710, OTHER), visit(11, 755, PAGES[0])], [visit(12, 730, PAGES[0])]]
    runner.run(play_in_order(running, batches, [STEPS_MAX, STEPS_MAX, 0], PAGES))
    rows = runner.run(carried_visits(running))
    assert len(rows) == len(set(rows)) == 2
