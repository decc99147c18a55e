"""Long chains and circles of retractions, through the store."""

import asyncio
import random
from collections.abc import Sequence

import pytest

from shared.projection.pipeline import Context
from shared.projection.stages.admission import apply
from shared.rules.retracted import Retraction
from tests.conftest import Workspace

LENGTH = 5_000
READ_IN_ORDER = "SELECT coalesce(sum(seq_tup_read), 0) FROM pg_stat_xact_user_tables WHERE relname = 'retraction'"
"""Rows that sequential scans of the open transaction have read."""


@pytest.mark.parametrize("closed", [False, True])
def test_a_long_chain_and_one_more_link_are_followed_by_index(
    workspace: Workspace, runner: asyncio.Runner, closed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = [
        {"type": "event_retracted", "id": f"r{n}", "event_id": f"r{n - 1}" if n or not closed else f"r{LENGTH - 1}",
         "occurred_at": f"2024-01-01T00:00:00.{n:06d}Z"} for n in range(LENGTH)
    ]  # fmt: skip
    random.Random(5).shuffle(links)
    read: list[int] = []
    near = apply.retractions_near

    async def counted(context: Context, ids: Sequence[str]) -> list[Retraction]:
        before = await context.connection.raw.fetchval(READ_IN_ORDER)
        found = await near(context, ids)
        read.append(await context.connection.raw.fetchval(READ_IN_ORDER) - before)
        return found

    monkeypatch.setattr(apply, "retractions_near", counted)

    async def check() -> None:
        for begin in range(0, LENGTH, 1_000):
            await workspace.send(*links[begin : begin + 1_000])
        await workspace.project(batch=2_500)
        await workspace.send({"type": "event_retracted", "id": "more", "event_id": f"r{LENGTH - 1}"})
        await workspace.project()
        assert len(read) >= 3
        assert max(read) <= 10 * LENGTH, "a step along the chain reads the whole table"
        explanation = (await workspace.get(f"/v1/events/r{LENGTH - 1}/explain")).json()
        assert explanation["reason"] == "retracted"

    runner.run(check())
