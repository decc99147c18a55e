"""A sealed store answers as the oracle does, and to forget contacts changes no answer and no row."""

import asyncio
import datetime as dt
import os
import random
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from shared.events.codec import Record, accept, canonical, encode_record
from shared.projection.batch import decode
from shared.projection.projector import Projector
from shared.projection.sql import Connection
from tests.conftest import Workspace
from tests.properties.compare import differences
from tests.properties.oracle import Oracle, order
from tests.properties.test_rows_follow_from_the_set import at_once, rows
from tests.properties.test_store_agrees_with_oracle import play
from tests.properties.worlds import SOCIAL_POSTS_MAX, world
from tests.sealed import sealed_store
from touchline.compose import Running

EXAMPLES = int(os.environ.get("TOUCHLINE_STORE_EXAMPLES", "200")) // 20
LISTS = ("/v1/campaigns", "/v1/reports/attribution?model=linear")


@pytest.fixture(scope="module")
def sealed_running(database_url_of_module: str, runner: asyncio.Runner) -> Iterator[Running]:
    running = runner.run(sealed_store(database_url_of_module)).running
    yield running
    runner.run(running.close())


async def forget_some(workspace: Workspace, rng: random.Random) -> int:
    """Forget some of the contacts that the store knows, by one of their identifiers each; returns how many."""
    async with workspace.client() as client:
        items = (await client.get("/v1/contacts?limit=200")).json()["items"]
        named = [item["contact"] for item in items if rng.random() < 0.5]
        told = [(await client.get(f"/v1/contacts/{name}")).json() for name in named]
    values = []
    for contact in told:
        id_or_email = rng.choice(
            [{"id": text} for text in contact["ids"]] + [{"email": text} for text in contact["emails"]]
        )
        event = encoded({"type": "contact_forgotten", "contact": id_or_email, "occurred_at": "2024-05-01T00:00:00Z"})
        values.append(event)
    await workspace.running.log.append(workspace.name, values)
    async with workspace.running.pool.acquire() as raw:
        projector = Projector(workspace.running.log, workspace.partition, social_posts_max=SOCIAL_POSTS_MAX)
        await projector.take(connection := Connection(raw, workspace.running.generation.name))
        while entries := await workspace.running.log.read(workspace.partition, projector.offset, 20):
            await projector.project(connection, decode(entries))
    return len(values)


def encoded(event: dict[str, Any]) -> bytes:
    record = accept(orjson.dumps(event), 0, "server", 1_720_000_000_000_000, None, forgets=True)
    assert isinstance(record, Record), record
    return encode_record(record)


def in_conflict(events: list[dict[str, Any]]) -> bool:
    """Whether two events have one id, the same `as_of` or none, and other content (rule **once**)."""
    contents: dict[tuple[str, dt.datetime | None], set[bytes]] = {}
    for event in events:
        as_of = None if "as_of" not in event else dt.datetime.fromisoformat(event["as_of"])
        contents.setdefault((event["id"], as_of), set()).add(canonical(orjson.dumps(event)))
    return any(len(told) > 1 for told in contents.values())


async def numbers(workspace: Workspace, campaigns: list[str]) -> list[Any]:
    """The numbers of all campaigns and the credit of all deals."""
    async with workspace.client() as client:
        paths = [*LISTS, *(f"/v1/campaigns/{campaign}/overview" for campaign in campaigns)]
        answers = [(await client.get(path)).json() for path in paths]
    return [
        {key: value for key, value in answer.items() if key not in ("as_of", "settled_through")} for answer in answers
    ]


@given(rng=st.randoms(note_method_calls=False, use_true_random=True), size=st.integers(5, 60))
@settings(
    max_examples=EXAMPLES, deadline=None, print_blob=True, database=None,
    suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate],
)  # fmt: skip
def check(running: Running, runner: asyncio.Runner, forgotten: list[int], rng: random.Random, size: int) -> None:
    events = world(rng, size)
    seed = rng.randrange(2**32)

    async def run() -> list[str]:
        workspace = await play(running, events, random.Random(seed))
        oracle = Oracle(events, SOCIAL_POSTS_MAX)
        found: list[str] = []
        if not in_conflict(
            events
        ):  # which of two contents counts follows from their bytes, and sealed bytes are others
            async with workspace.client() as client:
                found = await differences(client, oracle, random.Random(seed))
        campaigns = sorted(oracle.campaigns)
        before = await numbers(workspace, campaigns)
        forgotten.append(await forget_some(workspace, random.Random(seed)))
        after = await numbers(workspace, campaigns)
        found += [
            f"forgetting changed {was!r} to {now!r}" for was, now in zip(before, after, strict=True) if was != now
        ]
        live, whole = await rows(running, running.generation.name, workspace.name), await at_once(running, workspace)
        return found + [
            f"{name}: live has {live[name] - whole[name]}, at once has {whole[name] - live[name]}"
            for name in live
            if live[name] != whole[name]
        ]

    found = runner.run(run())
    assert not found, "\n".join([*found, *map(repr, sorted(events, key=order))])


@pytest.mark.timeout(7200)
def test_sealed_worlds_give_the_oracles_answers_and_forgetting_changes_none(
    sealed_running: Running, runner: asyncio.Runner
) -> None:
    forgotten: list[int] = []
    check(sealed_running, runner, forgotten)
    assert sum(forgotten), "no contact was forgotten"
