"""Pauses grow between tries, are bounded, and begin anew after a time without failures."""

import asyncio
from collections.abc import Sequence
from typing import Never

import pytest
from structlog.testing import capture_logs

from services.projector.worker import Worker
from services.replay.sending import append_patiently
from shared.log.port import LogDamaged, LogUnavailable, Position
from shared.projection.projector import Fenced
from touchline import compose as composing
from touchline.configuration import Configuration


class Failing(Worker):
    """A worker to whom these happen, one after another; the last one ends it."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__(None, None, "g1", 3, lambda *_: None)  # type: ignore[arg-type]
        self._errors = list(errors)

    async def _follow(self) -> Never:
        self._began_s = 0.0 if str(self._errors[0]) == "after a long time" else float("inf")
        raise self._errors.pop(0)


def paused(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float]]:
    """Why a worker pauses, and for how long, until it is ended by a damaged log."""
    monkeypatch.setattr("services.projector.worker.BACKOFF_S", (0.001, 0.002, 0.003))
    with capture_logs() as logs, pytest.raises(LogDamaged, match="the end"):
        asyncio.run(worker.run())
    assert {(log["event"], log["partition"]) for log in logs} == {("projection failed; it is tried again", 3)}
    return [(log["why"], log["again_in_s"]) for log in logs]


def test_a_projector_pauses_longer_and_longer_and_never_longer_than_the_last_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    worker = Failing(Fenced(), LogUnavailable("away"), *[ConnectionError("away")] * 3, LogDamaged("the end"))
    assert paused(worker, monkeypatch) == [
        ("fenced", 0.001), ("log_unavailable", 0.002), *[("database_away", 0.003)] * 3,
    ]  # fmt: skip


def test_a_failure_after_a_long_time_without_one_is_a_first_one(monkeypatch: pytest.MonkeyPatch) -> None:
    away, later = ConnectionError("away"), ConnectionError("after a long time")
    worker = Failing(away, away, away, later, away, LogDamaged("the end"))
    assert [pause_s for _, pause_s in paused(worker, monkeypatch)] == [0.001, 0.002, 0.003, 0.001, 0.002]


def test_a_cancelled_projector_ends_at_once() -> None:
    class Working(Worker):
        async def _follow(self) -> Never:
            await asyncio.sleep(100)
            raise AssertionError

    async def check() -> None:
        task = asyncio.create_task(Working(None, None, "g1", 0, lambda *_: None).run())  # type: ignore[arg-type]
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(check())


class AwayLog:
    """A log that is away for a number of calls."""

    def __init__(self, times: int) -> None:
        self.times, self.calls = times, 0

    async def append(self, workspace: str, values: Sequence[bytes]) -> Position:
        self.calls += 1
        if self.calls <= self.times:
            raise LogUnavailable(f"away {self.calls}")
        return Position(len(workspace), len(values))


def test_history_is_appended_again_where_the_log_was_away() -> None:
    log = AwayLog(2)
    assert asyncio.run(append_patiently(log, "abc", [b"1", b"2"])) == Position(3, 2)  # type: ignore[arg-type]
    assert log.calls == 3


def test_a_log_that_stays_away_is_reported_with_its_own_words_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    log, slept_s = AwayLog(100), []

    async def sleep(pause_s: float) -> None:
        slept_s.append(pause_s)

    monkeypatch.setattr(append_patiently.retry, "sleep", sleep)  # type: ignore[attr-defined]
    with pytest.raises(LogUnavailable, match=r"^away 11$"):
        asyncio.run(append_patiently(log, "abc", [b"1"]))  # type: ignore[arg-type]
    assert slept_s == sorted(slept_s)
    assert 30 < sum(slept_s) < 60


def test_a_start_waits_for_what_is_away_and_raises_what_a_person_must_decide_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    errors = [ConnectionError("a"), LogUnavailable("b"), ConnectionError("c"), LogDamaged("a person must look")]

    async def compose(*_: object) -> Never:
        raise errors.pop(0)

    monkeypatch.setattr(composing, "compose", compose)
    monkeypatch.setattr(composing, "START_AGAIN_S", (0.001, 0.002))
    with capture_logs() as logs, pytest.raises(LogDamaged, match="a person must look"):
        asyncio.run(composing.compose_patiently("postgresql://nowhere", Configuration(), ()))
    assert [(log["event"], log["away"], log["error"], log["again_in_s"]) for log in logs] == [
        ("cannot start yet", "database", "a", 0.001), ("cannot start yet", "log", "b", 0.002),
        ("cannot start yet", "database", "c", 0.002),
    ]  # fmt: skip
