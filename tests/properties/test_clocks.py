"""However often, by whatever clocks and in whatever order events are sent again: each counts once, at its best-known instant."""

import asyncio
import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.dead_letters import list_letters
from shared.events.codec import Record, accept, encode_record
from shared.events.instants import DAY_US, SECOND_US, to_rfc3339
from tests.conftest import Workspace, new_workspace
from tests.properties.test_rows_independent_of_order import at_once, rows
from tests.properties.test_store_agrees_with_oracle import _json, _project_some
from tests.properties.worlds import random_worlds
from touchline.compose import Running

EXAMPLES = max(10, int(os.environ.get("TOUCHLINE_STORE_EXAMPLES", "200")) // 5)
RIGHT_US = range(
    -2 * SECOND_US, 8 * SECOND_US + 1
)  # how much earlier than its receipt a request of a right clock was sent
BEGAN_US = 1_709_280_000 * SECOND_US
SKEWS_US = (0, 0, SECOND_US, -3 * SECOND_US, 20 * 3600 * SECOND_US, 26 * 3600 * SECOND_US, -9 * DAY_US, 365 * DAY_US)


def attempts(rng: random.Random, n: int) -> tuple[int, list[bytes]]:
    """When an event happened as it is best known, and the records of every attempt to send it."""
    happened_us, skew_us = BEGAN_US + rng.randrange(3600) * SECOND_US, rng.choice(SKEWS_US)
    event = {"type": "email_clicked", "id": f"e{n}", "asset_id": "m", "contact": {"id": "7"}}
    event["occurred_at"] = to_rfc3339(happened_us + skew_us)
    records, best_us, held_us = [], 2**62, 0
    for _ in range(rng.choice([1, 2, 2, 4])):
        held_us += rng.randrange(600) * SECOND_US
        delay_us = rng.choice([0, 1, 1, rng.randrange(30 * SECOND_US)])
        sent_us, received_us = happened_us + skew_us + held_us, happened_us + held_us + delay_us
        by_request = rng.random() < 0.5
        result = event if by_request else {**event, "sent_at": to_rfc3339(sent_us)}
        record = accept(_json(result), 0, "server", received_us, None, sent_at_us=sent_us if by_request else None)
        assert isinstance(record, Record), record
        records.append(encode_record(record))
        kept = received_us - sent_us in RIGHT_US
        best_us = min(best_us, received_us if kept else 2**62, happened_us + (skew_us if kept else delay_us))
    return best_us, records


async def play(running: Running, rng: random.Random) -> tuple[Workspace, dict[str, str]]:
    workspace = await new_workspace(running, "clocks")
    wanted, records = {}, []
    for n in range(rng.randint(1, 8)):
        best_us, sent = attempts(rng, n)
        wanted[f"e{n}"] = to_rfc3339(best_us)
        records += [r for r in sent for _ in range(rng.choice([1, 1, 2]))]
    rng.shuffle(records)
    while records:
        n = rng.randint(1, 10)
        await running.log.append(workspace.name, records[:n])
        records = records[n:]
        if rng.random() < 0.5:
            await _project_some(running, workspace, rng)
    while await _project_some(running, workspace, rng):
        pass
    return workspace, wanted


@given(seed=st.integers(0, 2**32))
@random_worlds(EXAMPLES)
def check(running: Running, runner: asyncio.Runner, seed: int) -> None:
    async def run() -> None:
        workspace, wanted = await play(running, random.Random(seed))
        items = (await workspace.get("/v1/contacts/7/journey?limit=1000")).json()["items"]
        assert {i["event_id"]: i["occurred_at"] for i in items} == wanted
        assert len(items) == len(wanted)
        assert await list_letters(running.pool, workspace.name, None, 0, 10) == []
        assert await rows(running, running.generation.name, workspace.name) == await at_once(running, workspace)

    runner.run(run())


@pytest.mark.timeout(3600)
def test_an_event_that_is_sent_again_counts_once_at_its_best_known_instant(
    running: Running, runner: asyncio.Runner
) -> None:
    check(running, runner)
