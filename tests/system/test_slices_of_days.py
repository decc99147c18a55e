"""The sums of a day with many deals are made, and become stale, slice by slice; small slices of a day are united."""

import asyncio
from typing import Any

import pytest

from shared.events.instants import BEGINNING_US, END_US, to_rfc3339
from shared.projection import credit_days
from shared.reading.credit_compared import earned_otherwise
from shared.reading.snapshot import snapshot
from tests.conftest import Workspace
from tests.system.test_sums_of_credit import CATALOG, KNOWN, keep, report, run_on_rows, sale, step, visit

MET = [*CATALOG, KNOWN, visit("2024-03-01T10:00:00Z")]


def sales(day: str, numbers: range) -> list[dict[str, Any]]:
    """Deals that are won on a day, each of another number of minutes after 12 o'clock."""
    return [event for n in numbers for event in sale(f"{day}-{n}", f"{day}T{12 + n // 60}:{n % 60:02}:00Z")]


async def slices(workspace: Workspace) -> list[tuple[str, str, int | None]]:
    """The slices of divided days: when they begin and end, in hours and minutes of UTC, and how many deals they have."""
    found = await run_on_rows(
        workspace, "SELECT from_us, to_us, deals FROM {g}.credit_slice WHERE ws = $1 ORDER BY day, from_us"
    )
    return [(to_rfc3339(from_us)[5:16], to_rfc3339(to_us)[5:16], deals) for from_us, to_us, deals in found]


async def stale_slices(workspace: Workspace) -> int:
    """How many slices have a mark."""
    joined = "{g}.stale_credit m JOIN {g}.credit_slice s ON s.ws = m.ws AND m.closed_us >= s.from_us AND m.closed_us < s.to_us"
    ((number,),) = await run_on_rows(workspace, f"SELECT count(DISTINCT s.from_us) FROM {joined} WHERE m.ws = $1")
    return int(number)


async def add(workspace: Workspace, *events: dict[str, Any]) -> None:
    await workspace.send(*events)
    await workspace.project()


async def equal(workspace: Workspace) -> None:
    """Sums say what the touches say."""
    async with snapshot(workspace.running.pool, workspace.name) as seen:
        assert await earned_otherwise(seen, [BEGINNING_US, END_US]) == []


def test_a_changed_deal_makes_only_the_sums_of_its_slice_stale(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        await add(workspace, *MET, *sales("2024-03-02", range(10)))
        await keep(workspace)
        assert await slices(workspace) == []
        await add(workspace, *sales("2024-03-02", range(10, 11)))
        await equal(workspace)
        await keep(workspace)
        assert await slices(workspace) == [
            ("03-02T00:00", "03-02T12:04", 4), ("03-02T12:04", "03-02T12:08", 4), ("03-02T12:08", "03-03T00:00", 3),
        ]  # fmt: skip
        await equal(workspace)
        late = {
            "type": "deal_updated",
            "deal_id": "2024-03-02-5",
            "amount": "101.00",
            "occurred_at": "2024-03-02T13:00:00Z",
        }
        await add(workspace, late)
        assert await stale_slices(workspace) == 1
        assert (await report(workspace, "campaign"))["c"] == (11, 1, "1101.00")
        # deals counted one too many by the sums of the two other slices are seen; by those of the stale one, they are not
        await run_on_rows(
            workspace, "UPDATE {g}.credit_day SET deals = deals + 1 WHERE ws = $1 AND group_by = 'campaign'"
        )
        assert (await report(workspace, "campaign", "&from=2024-01-01T00:00:00Z"))["c"] == (13, 1, "1101.00")
        day = "&from=2024-03-02T12:05:00Z&to=2024-03-03T12:00:00Z"  # of a day that the range divides, all is read from touches
        assert (await report(workspace, "campaign", day))["c"] == (6, 1, "601.00")
        hours = "from=2024-03-02&to=2024-03-03&interval=hour"  # which divide the day that has sums
        timeline = (await workspace.get(f"/v1/campaigns/c/timeline?metric=closed_deals&{hours}")).json()
        assert [point["value"] for point in timeline["points"]] == [0] * 12 + [11] + [0] * 11

    runner.run(check())


def test_the_slices_of_a_day_are_united_once_a_later_day_is_divided(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        await add(workspace, *MET)
        for day in ("2024-03-02", "2024-03-03"):
            await add(workspace, *sales(day, range(1)))
            await keep(workspace)
            await add(workspace, *sales(day, range(1, 10)))
            await keep(workspace)
        assert [deals for _, _, deals in await slices(workspace)] == [4, 4, 2]
        assert {at for at, _, _ in await slices(workspace)} == {"03-03T00:00", "03-03T12:04", "03-03T12:08"}
        found = await run_on_rows(workspace, "SELECT deals FROM {g}.won_day WHERE ws = $1 ORDER BY day, slice_us")
        assert list(map(list, found)) == [[10], [4], [4], [2]]
        await equal(workspace)

    runner.run(check())


def test_slices_of_the_last_day_are_united_but_for_the_latest(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        await add(workspace, *MET)
        for some in (range(1), range(1, 200), range(200, 250)):
            await add(workspace, *sales("2024-03-02", some))
            await keep(workspace)
        await equal(workspace)
        of_slices = [deals for _, _, deals in await slices(workspace)]
        assert sum(filter(None, of_slices)) == 250
        assert len(of_slices) < 25
        assert max(n or 0 for n in of_slices[-credit_days.OPEN_SLICES_LEFT :]) < credit_days.DIVIDED_FROM

    runner.run(check())


def test_a_day_with_very_many_deals_is_added_up_in_several_steps(
    workspace: Workspace, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credit_days, "WHOLE_DEALS_MAX", 20)
    monkeypatch.setattr(credit_days, "DEALS_MAX", 10)

    async def check() -> None:
        await add(workspace, *MET, *sales("2024-03-02", range(35)))
        while not await slices(workspace):
            assert await step(workspace)
        assert [deals for _, _, deals in await slices(workspace)] == [None] * 4  # no sums are made
        for left in (4, 3, 2, 1, 0):
            await equal(workspace)
            assert await stale_slices(workspace) == left
            assert await step(workspace) or left == 0
        assert [deals for _, _, deals in await slices(workspace)] == [10, 10, 10, 5]

    runner.run(check())


def test_deals_that_were_won_at_the_same_instant_stay_in_one_slice(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        at_once = [event for n in range(40) for event in sale(f"s{n}", "2024-03-02T12:00:00Z")]
        await add(workspace, *MET, *at_once)
        await keep(workspace)
        await add(workspace, *sale("later", "2024-03-02T13:00:00Z"), *sale("before", "2024-03-02T11:00:00Z"))
        await keep(workspace)
        assert [deals for _, _, deals in await slices(workspace)] == [1, 41]
        await add(workspace, *sale("again", "2024-03-02T12:00:00Z"))
        await keep(workspace)
        await equal(workspace)

    runner.run(check())
