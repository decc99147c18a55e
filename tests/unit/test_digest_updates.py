"""Steps of one workspace do not keep those of another from running."""

import asyncio
import time
from typing import Any

from services.projector import digest_updates
from services.projector.digest_updates import DigestUpdates
from shared.projection.digest_updater import Part


class Updater:
    """Two workspaces which always have unions to make, as under live batches."""

    partition = 0

    def __init__(self) -> None:
        self.steps: list[int] = []

    async def workspaces(self, connection: Any) -> list[int]:
        return [1, 2]

    async def step(self, connection: Any, ws: int, parts: Any, round_: Any) -> Part | None:
        if Part.UNIONS not in parts:
            return None
        await asyncio.sleep(0.01)
        self.steps.append(ws)
        return Part.UNIONS


class Pool:
    def acquire(self) -> "Pool":
        return self

    async def __aenter__(self) -> None: ...
    async def __aexit__(self, *_: object) -> None: ...


def test_each_workspace_has_its_turn(monkeypatch: Any) -> None:
    monkeypatch.setattr(digest_updates, "PAUSE_S", 0.01)

    async def check() -> list[int]:
        updater, projected = Updater(), asyncio.Event()
        updates = DigestUpdates(Pool(), "g", updater, asyncio.Lock(), projected, lambda: False)  # type: ignore[arg-type]
        running = asyncio.create_task(updates.run())
        until = time.monotonic() + 2
        while time.monotonic() < until:
            projected.set()
            await asyncio.sleep(0.002)
        running.cancel()
        return updater.steps

    steps = asyncio.run(check())
    assert steps.count(2) >= steps.count(1) // 2 > 0, (steps.count(1), steps.count(2))
