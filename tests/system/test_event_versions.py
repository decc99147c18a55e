"""An id is sent again: the version with the latest `as_of` counts, whatever arrives when."""

import asyncio
import itertools
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from services.replay.build import Build, Resources
from services.replay.export import Chosen, Export
from services.replay.sample import Sample
from services.replay.verify import compared, verify
from services.replay.what_if import Changes, ImpossibleChange, what_if
from shared.events.codec import Record, accept, encode_record
from shared.projection.checksums import set_checksums
from shared.projection.generations import Generation, create_generation, live_generation
from shared.projection.sql import Connection
from tests.conftest import Workspace, new_workspace
from tests.properties.test_rows_independent_of_order import at_once, rows
from touchline.compose import Running

MAIL = {"type": "asset_associated", "id": "held", "asset_id": "mail", "campaign_id": "c",
        "occurred_at": "2024-01-01T00:00:00Z"}  # fmt: skip
CLICK = {"type": "email_clicked", "id": "click", "asset_id": "mail", "contact": {"id": "8001"},
         "occurred_at": "2024-02-01T00:00:00Z"}  # fmt: skip
WON = {"type": "deal_closed", "id": "closed", "deal_id": "d", "won": True, "occurred_at": "2024-03-05T00:00:00Z"}


def export(day: int) -> str:
    return f"2024-06-0{day}T12:00:00Z"


def deal(amount: str, day: int | None = None, **more: object) -> dict[str, Any]:
    event = {"type": "deal_created", "id": "deal", "deal_id": "d", "amount": amount, "contacts": [{"id": "8001"}],
            "occurred_at": "2024-03-01T00:00:00Z", **more}  # fmt: skip
    return event if day is None else event | {"as_of": export(day)}


async def revenue(workspace: Workspace) -> str | None:
    answer = (await workspace.get("/v1/campaigns/c/overview")).json()["metrics"]["influenced_revenue"]
    return answer[0]["amount"] if answer else None


async def letters(workspace: Workspace) -> list[str]:
    statement = "SELECT reason FROM touchline.dead_letter WHERE workspace_id = $1"
    return [row["reason"] for row in await workspace.running.pool.fetch(statement, workspace.name)]


async def played(running: Running, *batches: list[dict[str, Any]]) -> Workspace:
    """A workspace into which the batches came one after another, each projected by itself."""
    workspace = await new_workspace(running, "told again")
    for batch in ([MAIL, CLICK, WON], *batches):
        assert (await workspace.send(*batch)).status_code == 202
        await workspace.project()
    return workspace


async def made_at_once(running: Running, workspace: Workspace) -> None:
    live = await rows(running, running.generation.name, workspace.name)
    whole = await at_once(running, workspace)
    assert {name: live[name] ^ whole[name] for name in live if live[name] != whole[name]} == {}


ORDERS = list(itertools.permutations([("100.00", 1), ("250.00", 2), ("100.00", 3)]))


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize("together", [True, False])
def test_a_record_that_goes_back_to_what_it_was_is_what_it_was(
    running: Running, runner: asyncio.Runner, order: tuple[tuple[str, int], ...], together: bool
) -> None:
    async def check() -> None:
        found = [deal(*each) for each in order]
        workspace = await played(running, *([found] if together else [[each] for each in found]))
        assert await revenue(workspace) == "100.00"
        assert await letters(workspace) == []
        await made_at_once(running, workspace)

    runner.run(check())


RETOLD = [
    ("stage back to open", WON, {"type": "deal_reopened", "deal_id": "d"}, None),
    ("won became lost", WON, WON | {"won": False}, None),
    ("contact removed", deal("100.00"), deal("100.00", contacts=[]), None),
    ("amount changed", deal("100.00"), deal("250.00"), "250.00"),
    ("amount taken away", deal("100.00"), {k: v for k, v in deal("").items() if k != "amount"}, None),
    ("other contact", deal("100.00"), deal("100.00", contacts=[{"id": "8002"}]), None),
    ("other deal", deal("100.00"), deal("100.00", deal_id="other"), None),
    ("close moved before the click", WON, WON | {"occurred_at": "2024-01-15T00:00:00Z"}, None),
    ("click of another person", CLICK, CLICK | {"contact": {"id": "8002"}}, None),
    ("click became a mere delivery", CLICK, CLICK | {"type": "email_delivered"}, None),
    ("asset held later", MAIL, MAIL | {"occurred_at": "2024-02-02T00:00:00Z"}, None),
    ("association became a dissociation", MAIL, MAIL | {"type": "asset_dissociated"}, None),
    ("click became the click's retraction", CLICK, {"type": "event_retracted", "event_id": "closed"}, None),
    ("touch became settings", CLICK, {"type": "workspace_configured", "settings": {"currency": "NOK"}}, None),
]


@pytest.mark.parametrize(("first", "then", "wanted"), [r[1:] for r in RETOLD], ids=[r[0] for r in RETOLD])
def test_a_newer_version_undoes_all_that_the_older_one_did(
    running: Running, runner: asyncio.Runner, first: dict[str, Any], then: dict[str, Any], wanted: str | None
) -> None:
    newer = {"occurred_at": first["occurred_at"], **then, "id": first["id"], "as_of": export(2)}

    async def check() -> None:
        workspace = await played(running, [deal("100.00")])
        assert await revenue(workspace) == "100.00"
        await workspace.send(newer)
        await workspace.project()
        assert await revenue(workspace) == wanted
        assert await letters(workspace) == []
        await made_at_once(running, workspace)
        other = await played(running, [newer, deal("100.00")])
        assert await revenue(other) == wanted

    runner.run(check())


@pytest.mark.parametrize("day", [None, 1])
def test_other_content_as_of_the_same_instant_conflicts_whichever_comes_first(
    running: Running, runner: asyncio.Runner, day: int | None
) -> None:
    async def check() -> None:
        one = await played(running, [deal("100.00", day)], [deal("250.00", day)])
        other = await played(running, [deal("250.00", day)], [deal("100.00", day)])
        assert await revenue(one) == await revenue(other)
        for workspace in (one, other):
            assert await letters(workspace) == ["conflicting_duplicate"]
            explained = (await workspace.get("/v1/events/deal/explain")).json()
            assert explained["conflicting_duplicates"] == 1

    runner.run(check())


def test_what_lost_to_a_later_as_of_is_no_conflict_and_explain_shows_as_of_when_the_event_is(
    running: Running, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        workspace = await played(running, [deal("1.00")], [deal("2.00", 2), deal("3.00", 1)], [deal("4.00")])
        explained = (await workspace.get("/v1/events/deal/explain")).json()
        assert (explained["version_as_of"], explained["conflicting_duplicates"]) == (export(2), 0)
        assert await letters(workspace) == []
        assert await revenue(workspace) == "2.00"

    runner.run(check())


def test_an_event_without_an_instant_of_its_own_occurred_as_of_its_latest_version(
    running: Running, runner: asyncio.Runner
) -> None:
    async def check() -> None:
        event = {"type": "contact_created", "id": "x", "contact": {"id": "9"}}
        first, later = event | {"as_of": export(1)}, event | {"as_of": export(3)}
        for batches in ([[first], [later]], [[later], [first]], [[first, later, first]]):
            workspace = await played(running, *batches)
            assert (await workspace.get("/v1/contacts/9")).json()["created_at"] == export(3)
            await made_at_once(running, workspace)

    runner.run(check())


def test_an_unchanged_version_moves_only_the_row_of_its_id(
    running: Running, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        workspace = await played(running, [deal("100.00", 1)])
        before = await rows(running, running.generation.name, workspace.name)
        read: list[object] = []
        monkeypatch.setattr(running.log, "entries", lambda *asked: read.append(asked))
        await workspace.send(deal("100.00", 2))
        await workspace.project()
        after = await rows(running, running.generation.name, workspace.name)
        assert {name for name in after if after[name] != before[name]} == {"event_index"}
        assert read == []

    runner.run(check())


def test_a_live_event_that_an_export_sends_again_no_longer_counts_as_late_or_punctual(
    running: Running, runner: asyncio.Runner
) -> None:
    now_us = time.time_ns() // 1000

    async def check() -> None:
        visit = {"type": "page_visited", "id": "v", "visitor_id": "v", "url": "https://x.example/",
                 "occurred_at": "2026-01-01T00:00:00Z"}  # fmt: skip
        values = []
        for event, received_us in ((visit, 1_767_225_601_000_000), (visit | {"as_of": "2026-01-01T12:00:00Z"}, now_us)):
            record = accept(orjson.dumps(event), 0, "server", received_us, None)
            assert isinstance(record, Record)
            values.append(encode_record(record))
        for n in (1, 2):
            workspace = await new_workspace(running, "late")
            for value in values[:n]:
                await running.log.append(workspace.name, [value])
                await workspace.project()
            result = (await rows(running, running.generation.name, workspace.name))["lateness"]
            assert len(result) == 2 - n
            await made_at_once(running, workspace)

    runner.run(check())


def test_an_export_carries_as_of_so_that_another_store_settles_its_ids_alike(
    running: Running, runner: asyncio.Runner, tmp_path: Path
) -> None:
    async def check() -> None:
        agent = {"user_agent": "Mozilla/5.0 Firefox/130.0"}
        timeless = {"type": "contact_created", "id": "t", "contact": {"id": "9"}, "as_of": export(2)}
        found = [
            deal("1.00", 1),
            deal("2.00", 3),
            deal("3.00", 2),
            timeless,
            CLICK | agent,
            CLICK | {"as_of": export(1)},
        ]
        one = await played(running, found)
        exported = tmp_path / "all.ndjson"
        await Export(Resources(running.pool, running.log), one.name, Chosen(), lambda _: None, lambda _: None).run(
            exported
        )
        lines = exported.read_bytes().splitlines()
        assert orjson.dumps(timeless) in lines
        other = await new_workspace(running, "imported")
        await other.send(*map(orjson.loads, lines))
        await other.send(deal("4.00", 2), deal("5.00"))
        await other.project()
        assert (await revenue(one), await revenue(other)) == ("2.00", "2.00")
        async with running.pool.acquire() as raw:
            sums = [
                await set_checksums(raw, running.generation.name, await raw.fetchval("SELECT number FROM touchline.workspace WHERE workspace_id = $1", w.name))
                for w in (one, other)
            ]  # fmt: skip
        assert sums[0] == sums[1]

    runner.run(check())


def test_a_sample_is_compared_by_the_ids_of_its_snapshot_while_they_are_sent_again(
    own_database: str, runner: asyncio.Runner
) -> None:
    """A version that arrives while the sample is made takes no event away from it."""

    async def check(running: Running) -> None:
        workspace = await new_workspace(running, "sampled")
        events = [CLICK | {"id": f"click-{n}", "contact": {"id": f"{n}"}, "as_of": export(1)} for n in range(200)]
        await workspace.send(MAIL, *events)
        await workspace.project()
        live = await live_generation(running.pool)
        sample = Generation("sampled_1", live.log, live.partitions)
        async with running.pool.acquire() as raw, raw.transaction():
            await create_generation(raw, sample, live=False)
        draw = Sample.draw

        async def drawn(connection: Connection, of: int, place: int | None) -> Sample:
            found = await draw(connection, of, place)
            await workspace.send(*(event | {"as_of": export(2)} for event in events))
            await workspace.project()
            return found

        Sample.draw = drawn  # type: ignore[method-assign]
        try:
            traffic_class = await compared(Resources(running.pool, running.log), live, Build(Resources(running.pool, running.log), sample, lambda _: None), sample=(3, 0))  # fmt: skip
        finally:
            Sample.draw = draw  # type: ignore[method-assign]
        assert traffic_class.tables["touch"][0].rows > 0
        assert traffic_class.differing == []
        whole = await verify(Resources(running.pool, running.log), "2", lambda _: None, lambda _: None)
        assert whole.differing == []

    runner.run(on_its_own(own_database, check))


async def on_its_own(url: str, check: Any) -> None:
    from touchline.compose import compose
    from touchline.configuration import Configuration

    running = await compose(url, Configuration(kafka_bootstrap_servers=None))
    try:
        await check(running)
    finally:
        await running.close()


def test_a_what_if_may_add_another_version_of_an_event_and_refuses_what_would_not_count(
    own_database: str, runner: asyncio.Runner
) -> None:
    import datetime as dt

    def record(event: dict[str, Any]) -> Record:
        made = accept(orjson.dumps(event), 0, "server", time.time_ns() // 1000, None)
        assert isinstance(made, Record)
        return made

    async def check(running: Running) -> None:
        workspace = await new_workspace(running, "what if")
        await workspace.send(MAIL, CLICK, WON, deal("100.00", 2))
        await workspace.project()
        resources = Resources(running.pool, running.log)

        async def made(name: str, event: dict[str, Any]) -> None:
            changes = Changes({}, [record(event)], [])
            await what_if(
                resources, name, workspace.name, changes, dt.timedelta(hours=1), lambda _: None, lambda _: None
            )

        for older in (deal("7.00", 2), deal("7.00", 1), deal("7.00")):
            with pytest.raises(ImpossibleChange, match="later `as_of`"):
                await made("older", older)
        await made("newer", deal("7.00", 3))
        got = await workspace.get("/v1/campaigns/c/overview?generation=newer")
        assert got.json()["metrics"]["influenced_revenue"][0]["amount"] == "7.00"
        assert await revenue(workspace) == "100.00"

    runner.run(on_its_own(own_database, check))
