"""Long chains and circles of retractions, through the store."""

import asyncio
import random
import time

import pytest

from tests.conftest import Workspace

LENGTH = 5_000


@pytest.mark.parametrize("closed", [False, True])
def test_a_long_chain_and_one_more_link_take_seconds(
    workspace: Workspace, runner: asyncio.Runner, closed: bool
) -> None:
    links = [
        {"type": "event_retracted", "id": f"r{n}", "event_id": f"r{n - 1}" if n or not closed else f"r{LENGTH - 1}",
         "occurred_at": f"2024-01-01T00:00:00.{n:06d}Z"} for n in range(LENGTH)
    ]  # fmt: skip
    random.Random(5).shuffle(links)

    async def check() -> None:
        for begin in range(0, LENGTH, 1_000):
            await workspace.send(*links[begin : begin + 1_000])
        began_s = time.perf_counter()
        await workspace.project(batch=2_500)
        chain_s = time.perf_counter() - began_s
        await workspace.send({"type": "event_retracted", "id": "more", "event_id": f"r{LENGTH - 1}"})
        began_s = time.perf_counter()
        await workspace.project()
        link_s = time.perf_counter() - began_s
        assert chain_s < 10
        assert link_s < 4
        said = (await workspace.get(f"/v1/events/r{LENGTH - 1}/explain")).json()
        assert said["reason"] == "retracted"

    runner.run(check())
