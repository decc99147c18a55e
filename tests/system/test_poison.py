"""Events that no rule can take: each is kept aside at about the cost of an event, with who sent it, and nothing beside it is lost."""

import asyncio
import random
import re
import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest

from services.replay.build import Build, Resources, scratch
from services.replay.verify import compared
from shared.events.codec import Record, encode_record
from shared.projection import projector as projector_module
from shared.projection.batch import decode
from shared.projection.changes import Changes, EventsArrived
from shared.projection.generations import live_generation
from shared.projection.pipeline import Context
from shared.projection.poison import project_or_dead_letter
from shared.projection.projector import Projector
from shared.projection.sql import Connection
from shared.projection.stage_order import PIPELINE
from tests.conftest import Workspace, new_workspace
from touchline.compose import compose
from touchline.configuration import Configuration

VISIT = {"type": "page_visited", "visitor_id": "v", "url": "https://x.example/"}
NOW_US = 1_800_000_000_000_000


def records(count: int, poison: set[int], key: Any = "collect") -> list[bytes]:
    """Log records as an earlier release may have written them; those of `poison` tell a U+0000 by their URL."""
    out = []
    for n in range(count):
        url = "https://x.example/?tl_via=%00" if n in poison else "https://x.example/?tl_via=ad"
        event = msgspec.json.encode({**VISIT, "id": f"e{n}", "visitor_id": f"v{n % 50}", "url": url})
        out.append(
            encode_record(Record(1, key, NOW_US + n, msgspec.Raw(event), occurred_at=NOW_US + n, key_hint="tlc_abcd"))
        )
    return out


def own_numbers(changes: Sequence[EventsArrived]) -> set[int]:
    """The numbers of `records` that a part of a batch holds; other workspaces share the partition."""
    found = (re.fullmatch(r"collect:e(\d+)", a.event_id) for change in changes for a in change.arrived)
    return {int(match[1]) for match in found if match is not None}


async def take(workspace: Workspace) -> int:
    """Project all that waits, as a projector does; answers how many were found by trial."""
    log, dead_lettered = workspace.running.log, 0
    async with Connection.of(workspace.running.pool, workspace.running.generation.name) as connection:
        projector = Projector(log, workspace.partition)
        await projector.take(connection)
        while entries := await log.read(workspace.partition, projector.offset, 10_000):
            dead_lettered += await project_or_dead_letter(connection, projector, decode(entries))
    return dead_lettered


@pytest.fixture
def alone(own_database: str, runner: asyncio.Runner) -> Iterator[Workspace]:
    """A workspace in a database where there is no other: what is compared with a rebuild is its events alone."""
    running = runner.run(compose(own_database, Configuration(kafka_bootstrap_servers=None)))
    yield runner.run(new_workspace(running, "alone"))
    runner.run(running.close())


async def letters(workspace: Workspace) -> list[Any]:
    return await workspace.running.pool.fetch(
        "SELECT key_class, key_hint, reason, event_id FROM touchline.dead_letter WHERE workspace_id = $1 ORDER BY 4",
        workspace.name,
    )


async def projected(workspace: Workspace) -> int:
    generation = workspace.running.generation.name
    return await workspace.running.pool.fetchval(
        f"SELECT count(*) FROM {generation}.touch t JOIN touchline.workspace w ON w.number = t.ws WHERE w.workspace_id = $1",
        workspace.name,
    )


def test_a_thousand_texts_that_no_table_can_keep_take_seconds_in_the_projection_and_in_verify(
    alone: Workspace, runner: asyncio.Runner
) -> None:
    workspace = alone
    poison = set(range(0, 9_000, 9))

    async def check() -> None:
        running = workspace.running
        values = records(9_186, poison)
        for begin in range(0, len(values), 1_000):
            await running.log.append(workspace.name, values[begin : begin + 1_000])
        began_s = time.perf_counter()
        assert await take(workspace) == 0
        assert time.perf_counter() - began_s < 30
        assert await projected(workspace) == 8_186
        found = await letters(workspace)
        assert len(found) == 1_000
        assert {tuple(row)[:3] for row in found} == {("collect", "tlc_abcd", "cannot_be_projected")}
        assert {row["event_id"] for row in found} == {f"collect:e{n}" for n in poison}
        live = await live_generation(running.pool)
        began_s = time.perf_counter()
        async with scratch(running.pool, "verify", "poison", live) as rebuilt:
            resources = Resources(running.pool, running.log)
            comparison = await compared(resources, live, Build(resources, rebuilt, lambda _: None))
        assert comparison.differing == []
        assert time.perf_counter() - began_s < 60

    runner.run(check())


@pytest.mark.parametrize("poison", [{0}, {499}, {250}, set(range(100, 200)), {7, 8, 300}, set(range(500))])
def test_events_on_which_a_rule_fails_are_found_and_all_others_projected(
    workspace: Workspace, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch, poison: set[int]
) -> None:
    tried = 0

    class Broken:
        async def run(self, context: Context, changes: Sequence[EventsArrived]) -> Changes:
            nonlocal tried
            tried += 1
            if own_numbers(changes) & poison:
                raise ZeroDivisionError("a rule is broken \0")
            return await PIPELINE.run(context, changes)

    async def check() -> None:
        await take(workspace)  # what other tests have left in the partition
        await workspace.running.log.append(workspace.name, records(500, set()))
        monkeypatch.setattr(projector_module, "PIPELINE", Broken())
        assert await take(workspace) == len(poison)
        assert await projected(workspace) == 500 - len(poison)
        found = await letters(workspace)
        assert {row["event_id"] for row in found} == {f"collect:e{n}" for n in poison}
        assert {tuple(row)[:3] for row in found} == {("collect", "tlc_abcd", "cannot_be_projected")}
        assert tried <= 25 * (1 + min(len(poison), 3)) + len(poison)

    runner.run(check())


def breaks_on(monkeypatch: pytest.MonkeyPatch, poison: set[int]) -> list[int]:
    """Let a rule fail on some of the events; answers a list that gets the size of every trial."""
    trials: list[int] = []

    class Broken:
        async def run(self, context: Context, changes: Sequence[EventsArrived]) -> Changes:
            numbers = own_numbers(changes)
            trials.append(len(numbers))
            result = await PIPELINE.run(context, changes)
            if numbers & poison:
                raise ZeroDivisionError("a rule is broken")
            return result

    monkeypatch.setattr(projector_module, "PIPELINE", Broken())
    return trials


@pytest.mark.parametrize("how", ["at random", "every tenth"])
def test_many_scattered_events_on_which_a_rule_fails_are_found_in_about_as_few_trials_as_can_be(
    workspace: Workspace, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """One in ten is bad, which is 0.47 bits of news an event; a trial tells at most one bit."""
    events = 2_000
    poison = set(range(0, events, 10)) if how == "every tenth" else set(random.Random(14).sample(range(events), 200))

    async def check() -> None:
        await take(workspace)  # what other tests have left in the partition
        await workspace.running.log.append(workspace.name, records(events, set()))
        trials = breaks_on(monkeypatch, poison)
        assert await take(workspace) == 200
        assert await projected(workspace) == events - 200
        assert {row["event_id"] for row in await letters(workspace)} == {f"collect:e{n}" for n in poison}
        assert len(trials) <= 0.6 * events

    runner.run(check())


def test_a_record_that_no_decoder_takes_stops_nobody(workspace: Workspace, runner: asyncio.Runner) -> None:
    odd = [b'{"type":"model_defined","model":"m","weights":{"first":"abc"}}', b'{"type":"page_visited","x":"\xe5"}', b"[" * 5_000,
           b'{"type":"deal_created","id":"d","deal_id":"d","amount":"7\\n"}', b'{"type":"nothing","id":"n"}', b"\xff"]  # fmt: skip
    values = [b'{"v":1,"key":"collect","received_at":1,"key_hint":"tlc_abcd","event":' + event + b"}" for event in odd]

    async def check() -> None:
        await workspace.running.log.append(workspace.name, [*values, *records(3, set())])
        await take(workspace)
        assert await projected(workspace) == 3
        found = await letters(workspace)
        assert [row["reason"] for row in found] == ["cannot_be_decoded"] * len(odd)
        assert {row["event_id"] for row in found} >= {"collect:d", "collect:n"}

    runner.run(check())
