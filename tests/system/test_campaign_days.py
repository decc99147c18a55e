"""A campaign's days say what its touches say, whatever comes after they were made."""

import asyncio
from typing import Any

from shared.projection.digest_updater import DigestUpdater, Part
from shared.projection.projector import workspace_number
from shared.projection.sql import Connection
from tests.conftest import Workspace

CATALOG: list[dict[str, Any]] = [
    {"type": "campaign_created", "campaign_id": "c", "name": "C", "occurred_at": "2024-01-01T00:00:00Z"},
    {"type": "asset_registered", "asset_id": "p", "asset_type": "landing_page", "url": "https://shop.example/p",
     "occurred_at": "2024-01-01T00:00:00Z"},
    {"type": "asset_associated", "asset_id": "p", "campaign_id": "c", "occurred_at": "2024-01-01T00:00:00Z", "id": "joined"},
]  # fmt: skip


def visit(at: str, path: str, **more: str) -> dict[str, Any]:
    return {"type": "page_visited", "visitor_id": "v", "url": f"https://shop.example{path}", "occurred_at": at, **more}


def identified(at: str) -> dict[str, Any]:
    return {"type": "contact_identified", "visitor_id": "v", "contact": {"id": "7"}, "occurred_at": at}


async def keep(workspace: Workspace) -> None:
    """Make all that the background makes."""
    running = workspace.running
    async with running.pool.acquire() as raw:
        connection = Connection(raw, running.generation.name)
        ws = await workspace_number(connection, workspace.name)
        updater = DigestUpdater(workspace.partition, running.log.partitions)
        for _ in range(100):
            if not await updater.step(connection, ws):
                break
        kept = await raw.fetchval(f"SELECT count(*) FROM {connection.generation}.campaign_kept WHERE ws = $1", ws)
    assert kept == 1


async def by_day(workspace: Workspace, metric: str) -> list[int]:
    """A metric of the campaign on the 1st and on the 2nd of March."""
    asked = f"metric={metric}&interval=day&from=2024-03-01T00:00:00Z&to=2024-03-03T00:00:00Z"
    answer = await workspace.get(f"/v1/campaigns/c/timeline?{asked}")
    return [point["value"] for point in answer.json()["points"]]


async def days_after(workspace: Workspace, *events: dict[str, Any], metric: str = "sessions") -> list[list[int]]:
    """A metric of either day after some events: before and after the background has made what is stale."""
    await workspace.send(*events)
    await workspace.project()
    at_once = await by_day(workspace, metric)
    await keep(workspace)
    return [at_once, await by_day(workspace, metric)]


def test_a_session_counts_on_the_day_on_which_it_began_with_another_page(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        await days_after(workspace, *CATALOG, visit("2024-03-01T23:50:00Z", "/other"))
        assert await days_after(workspace, visit("2024-03-02T00:10:00Z", "/p")) == [[1, 0], [1, 0]]

    runner.run(check())


def test_a_session_counts_once_where_a_visit_of_it_is_on_a_day_that_waits_to_be_made_again(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        whole = visit("2024-03-01T23:50:00Z", "/p"), visit("2024-03-02T00:10:00Z", "/p")
        assert await days_after(workspace, *CATALOG, *whole) == [[1, 0], [1, 0]]
        assert await days_after(workspace, visit("2024-03-02T10:00:00Z", "/p")) == [[1, 1], [1, 1]]

    runner.run(check())


def test_a_contact_is_new_on_the_day_of_its_creation_also_where_the_campaign_has_no_touch(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        known = identified("2024-03-02T00:10:00Z")
        await workspace.send(*CATALOG, visit("2024-03-01T23:50:00Z", "/p"), known)
        await workspace.project()
        for metric in ("new_contacts_first_touch", "new_contacts_last_touch"):
            assert await days_after(workspace, metric=metric) == [[0, 1], [0, 1]]

    runner.run(check())


def test_a_contact_is_not_new_any_more_where_a_late_visit_of_something_else_was_its_first(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        known = identified("2024-03-02T12:00:00Z")
        first = "new_contacts_first_touch"
        assert await days_after(workspace, *CATALOG, visit("2024-03-01T10:00:00Z", "/p"), known, metric=first) == [
            [0, 1],
            [0, 1],
        ]
        assert await days_after(workspace, visit("2024-02-01T10:00:00Z", "/other", id="late"), metric=first) == [
            [0, 0],
            [0, 0],
        ]
        back = {"type": "event_retracted", "event_id": "late", "occurred_at": "2024-03-05T00:00:00Z"}
        assert await days_after(workspace, back, metric=first) == [[0, 1], [0, 1]]

    runner.run(check())


def test_a_session_counts_on_another_day_when_a_late_visit_divides_it_and_on_its_own_when_that_is_taken_back(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        whole = visit("2024-03-01T23:50:00Z", "/other"), visit("2024-03-02T00:10:00Z", "/p")
        assert await days_after(workspace, *CATALOG, *whole) == [[1, 0], [1, 0]]
        late = visit("2024-03-02T00:05:00Z", "/other?utm_source=news&utm_medium=email&utm_campaign=x", id="late")
        assert await days_after(workspace, late) == [[0, 1], [0, 1]]
        back = {"type": "event_retracted", "event_id": "late", "occurred_at": "2024-03-05T00:00:00Z"}
        assert await days_after(workspace, back) == [[1, 0], [1, 0]]

    runner.run(check())


async def listed(workspace: Workspace, asked: str) -> list[tuple[str, int]]:
    """When the sessions of a page began, and how many page views each has."""
    answer = await workspace.get(f"/v1/campaigns/c/sessions?{asked}")
    return [(item["at"], item["page_views"]) for item in answer.json()["items"]]


def test_a_day_has_a_session_whose_only_visit_of_the_campaign_is_on_the_next_day_since_a_late_visit_joined_it(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def sessions() -> int:
        answer = await workspace.get("/v1/campaigns/c/overview?from=2024-03-01T00:00:00Z&to=2024-03-02T00:00:00Z")
        return int(answer.json()["metrics"]["sessions"])

    async def check() -> None:
        apart = visit("2024-03-01T23:50:00Z", "/other"), visit("2024-03-02T00:25:00Z", "/p")
        assert await days_after(workspace, *CATALOG, *apart) == [[0, 1], [0, 1]]
        await workspace.send(visit("2024-03-02T00:05:00Z", "/other"))
        await workspace.project()
        assert await sessions() == 1
        await keep(workspace)
        assert await sessions() == 1

    runner.run(check())


def test_a_page_of_sessions_has_their_visits_of_the_next_day(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        whole = visit("2024-03-01T23:50:00Z", "/p"), visit("2024-03-02T00:10:00Z", "/p")
        other = visit("2024-03-01T23:55:00Z", "/p") | {"visitor_id": "w"}
        later = visit("2024-03-03T10:00:00Z", "/p"), visit("2024-03-04T10:00:00Z", "/p")
        await days_after(workspace, *CATALOG, *whole, other, *later)
        assert await listed(workspace, "limit=1") == [("2024-03-01T23:50:00Z", 2)]
        assert len(await listed(workspace, "limit=3")) == 3

    runner.run(check())


def test_a_page_of_sessions_has_those_whose_only_visit_is_on_a_dirty_day_after_the_range(
    workspace: Workspace, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        await days_after(workspace, *CATALOG, visit("2024-03-01T23:50:00Z", "/other"))
        known = identified("2024-03-02T00:20:00Z")
        await workspace.send(visit("2024-03-02T00:10:00Z", "/p"), known)
        await workspace.project()
        march_1 = "from=2024-03-01T00:00:00Z&to=2024-03-02T00:00:00Z"
        assert await listed(workspace, march_1) == [("2024-03-01T23:50:00Z", 1)]

    runner.run(check())


def test_a_campaigns_days_follow_its_associations(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        visits = visit("2024-03-01T10:00:00Z", "/p"), visit("2024-03-02T10:00:00Z", "/p")
        assert await days_after(workspace, *CATALOG, *visits) == [[1, 1], [1, 1]]
        ended = {"type": "asset_dissociated", "asset_id": "p", "campaign_id": "c"}
        assert await days_after(workspace, ended | {"occurred_at": "2024-03-02T00:00:00Z", "id": "end"}) == [
            [1, 0],
            [1, 0],
        ]
        back = {"type": "event_retracted", "event_id": "joined", "occurred_at": "2024-03-05T00:00:00Z"}
        assert await days_after(workspace, back) == [[0, 0], [0, 0]]

    runner.run(check())


def test_nothing_is_added_to_rows_that_others_have_superseded(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        running = workspace.running
        await workspace.send(*CATALOG, visit("2024-03-01T10:00:00Z", "/p"))
        await workspace.project()
        async with running.pool.acquire() as raw:
            connection = Connection(raw, running.generation.name)
            ws = await workspace_number(connection, workspace.name)
            updater = DigestUpdater(workspace.partition, running.log.partitions)
            assert ws in await updater.workspaces(connection)
            await raw.execute(f"""
                INSERT INTO {connection.generation}.rows_of
                SELECT workspace, nextval(pg_get_serial_sequence('touchline.workspace', 'number')), 1
                FROM {connection.generation}.workspace_rows WHERE ws = {ws}
            """)
            assert not await updater.step(connection, ws)

    runner.run(check())


def test_new_contacts_are_counted_again_in_every_round(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        await days_after(workspace, *CATALOG, visit("2024-03-01T10:00:00Z", "/p"), identified("2024-03-02T12:00:00Z"))
        await workspace.send(visit("2024-02-01T10:00:00Z", "/other"))
        await workspace.project()
        running = workspace.running
        async with running.pool.acquire() as raw:
            connection = Connection(raw, running.generation.name)
            ws = await workspace_number(connection, workspace.name)
            marked = f"SELECT count(*) FROM {connection.generation}.stale_campaign_day WHERE ws = $1 AND NOT of_touches"
            assert await raw.fetchval(marked, ws) == 1
            updater = DigestUpdater(workspace.partition, running.log.partitions)
            for _ in range(100):
                if not await updater.step(connection, ws, []):
                    break
            assert await raw.fetchval(marked, ws) == 0
        assert await by_day(workspace, "new_contacts_first_touch") == [0, 0]

    runner.run(check())


def identified_after(n: int, at: str) -> list[dict[str, Any]]:
    """A visitor's visit of the page, and who the visitor is."""
    known = {"type": "contact_identified", "visitor_id": f"v{n}", "contact": {"id": f"{n}"}, "occurred_at": at}
    return [visit(at, "/p", visitor_id=f"v{n}", id=f"visit-{n}"), known]


async def numbers(workspace: Workspace, from_: str, to: str) -> tuple[int, int, int]:
    """Page views, sessions and influenced contacts between two midnights."""
    answer = await workspace.get(f"/v1/campaigns/c/overview?from={from_}T00:00:00Z&to={to}T00:00:00Z")
    metrics = answer.json()["metrics"]
    return metrics["page_views"], metrics["sessions"], metrics["influenced_contacts"]


async def in_all(workspace: Workspace, *events: dict[str, Any]) -> tuple[int, int, int]:
    """The numbers of some years after some events, which are the same before and after the background has made what is stale."""
    await workspace.send(*events)
    await workspace.project()
    at_once = await numbers(workspace, "2020-01-01", "2030-01-01")
    await keep(workspace)
    later = await numbers(workspace, "2021-01-01", "2030-01-01")  # another address: the first answer is kept
    assert at_once == later
    return at_once


async def forget_days(workspace: Workspace) -> None:
    """Delete all days of campaigns, so that only their months are left."""
    async with workspace.running.pool.acquire() as raw:
        connection = Connection(raw, workspace.running.generation.name)
        ws = await workspace_number(connection, workspace.name)
        await raw.execute(f"DELETE FROM {connection.generation}.campaign_day WHERE ws = $1", ws)


IN_FEBRUARY = [*identified_after(1, "2024-02-03T10:00:00Z"), *identified_after(2, "2024-02-05T10:00:00Z")]


def test_whole_months_are_read_from_their_union(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        assert await in_all(workspace, *CATALOG, *IN_FEBRUARY, *identified_after(3, "2024-03-01T10:00:00Z")) == (
            3,
            3,
            3,
        )
        await forget_days(workspace)
        assert await numbers(workspace, "2024-01-01", "2024-04-01") == (3, 3, 3)
        assert await numbers(workspace, "2024-02-01", "2024-03-01") == (2, 2, 2)
        assert await numbers(workspace, "2024-02-04", "2024-03-01") == (
            0,
            0,
            0,
        )  # a part of the month is read from its days

    runner.run(check())


def test_a_range_within_a_month_has_what_is_within_it(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        await in_all(workspace, *CATALOG, *IN_FEBRUARY, *identified_after(3, "2024-03-01T10:00:00Z"))
        assert await numbers(workspace, "2024-02-04", "2024-04-01") == (2, 2, 2)
        assert await numbers(workspace, "2024-01-01", "2024-02-04") == (1, 1, 1)
        at_the_end = [visit(f"2024-02-29T{hour}:00:00Z", "/p", visitor_id=f"u{hour}") for hour in (10, 14)]
        await in_all(workspace, *at_the_end)
        for edge, views in (("2024-02-05T09", 1), ("2024-02-05T11", 2), ("2024-02-29T12", 3)):  # within days
            answer = await workspace.get(f"/v1/campaigns/c/overview?from=2024-01-01T00:00:00Z&to={edge}:00:00Z")
            assert answer.json()["metrics"]["page_views"] == views

    runner.run(check())


def test_months_follow_what_comes_late_or_is_taken_back(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        assert await in_all(workspace, *CATALOG, *IN_FEBRUARY) == (2, 2, 2)
        late = visit("2024-02-03T10:05:00Z", "/p", visitor_id="v1", id="late")
        assert await in_all(workspace, late) == (3, 2, 2)
        merged = {
            "type": "contact_merged",
            "contact": {"id": "1"},
            "into": {"id": "2"},
            "occurred_at": "2024-03-01T10:00:00Z",
            "id": "merged",
        }
        assert await in_all(workspace, merged) == (3, 2, 1)
        back = {"type": "event_retracted", "event_id": "visit-2", "occurred_at": "2024-03-05T00:00:00Z"}
        assert await in_all(workspace, back) == (2, 1, 1)
        parted = {"type": "event_retracted", "event_id": "merged", "occurred_at": "2024-03-05T00:00:00Z"}
        assert await in_all(workspace, parted) == (2, 1, 1)
        assert await in_all(workspace, *identified_after(3, "2024-02-29T23:59:59Z")) == (3, 2, 2)
        left = {"type": "event_retracted", "event_id": "joined", "occurred_at": "2024-03-05T00:00:00Z"}
        assert await in_all(workspace, left) == (0, 0, 0)

    runner.run(check())


def test_stale_days_are_made_again_while_months_of_key_sets_wait(workspace: Workspace, runner: asyncio.Runner) -> None:
    async def check() -> None:
        await days_after(
            workspace, *CATALOG, visit("2024-03-01T10:00:00Z", "/p", id="wrong"), visit("2024-03-02T10:00:00Z", "/p")
        )
        await workspace.send({"type": "event_retracted", "event_id": "wrong", "occurred_at": "2024-03-05T00:00:00Z"})
        await workspace.project()
        running = workspace.running
        async with running.pool.acquire() as raw:
            connection = Connection(raw, running.generation.name)
            ws = await workspace_number(connection, workspace.name)
            updater = DigestUpdater(workspace.partition, running.log.partitions)
            found = []
            for _ in range(100):
                if (part := await updater.step(connection, ws, [Part.DAYS])) is None:
                    break
                found.append(part)
            stale = [
                await raw.fetchval(f"SELECT count(*) FROM {connection.generation}.{table} WHERE ws = $1", ws)
                for table in ("dirty_cell", "stale_campaign_day", "stale_campaign_month", "stale_month")
            ]
            assert await updater.step(connection, ws) is Part.UNIONS
        assert (found[0], found[-1]) == (Part.CELLS, Part.DAYS)
        assert stale[:3] == [0, 0, 0]
        assert stale[3] > 0
        assert await by_day(workspace, "sessions") == [0, 1]

    runner.run(check())
