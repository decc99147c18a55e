"""The order in which `make chaos` injects faults, and what it makes of what readers met."""

import asyncio
import random
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from tests.chaos import world as chaos
from tests.chaos.world import Fault, Reads, World, Wrong, fail, spread

NAMES = tuple("abcdefg")


class Clock:
    """A clock that only pauses move, so that no busy machine makes a fault take time."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s

    async def sleep(self, pause_s: float) -> None:
        self.now_s += pause_s
        await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(chaos, "time", clock)
    monkeypatch.setattr(chaos, "asyncio", SimpleNamespace(sleep=clock.sleep, timeout=asyncio.timeout))
    for name, value in (("FIRST_CALM_S", (0, 0)), ("CALM_S", (0, 0.002)), ("CALM_AT_THE_END_S", 0.0)):
        monkeypatch.setattr(chaos, name, value)


def injected(seed: int, seconds: float, times_max: int = 1_000) -> list[str]:
    """The names of the faults that are injected, in their order."""
    done: list[str] = []

    def fault(name: str) -> Fault:
        async def inject(_: World) -> str:
            done.append(name)
            return name

        return Fault(name, inject, times_max)

    async def play() -> None:
        world = World(Path(), random.Random(seed), seconds, 0)
        await fail(world, [fault(name) for name in NAMES])
        assert world.over.is_set()
        assert sum(world.faults.values()) == len(done)

    asyncio.run(play())
    return done


def test_every_fault_is_injected_once_though_there_is_no_time() -> None:
    assert sorted(injected(1, 0)) == list(NAMES)


def test_the_first_round_has_each_fault_once_and_then_they_come_by_chance() -> None:
    done = injected(2, 1.0)
    assert sorted(done[: len(NAMES)]) == list(NAMES)
    assert len(done) > len(NAMES)


def test_the_same_seed_makes_the_same_order() -> None:
    (one, other), third = (injected(3, 0.1) for _ in range(2)), injected(4, 0.1)
    both = min(len(one), len(other))
    assert one[:both] == other[:both]
    assert third[: len(NAMES)] != one[: len(NAMES)]


def test_a_fault_is_injected_no_more_often_than_it_may_be() -> None:
    assert sorted(injected(5, 0.1, times_max=2)) == sorted(NAMES * 2)


def test_a_fault_that_hangs_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chaos, "FAULT_S_MAX", 0.01)

    async def hang(_: World) -> str:
        await asyncio.sleep(60)
        return ""

    with pytest.raises(Wrong, match="h: it hangs"):
        asyncio.run(fail(World(Path(), random.Random(1), 0, 0), [Fault("h", hang)]))


@pytest.mark.parametrize(
    ("answer", "counted"),
    [
        (httpx.Response(200, json={}), (1, 0, 0)),
        (httpx.Response(503, json={"code": "busy"}, headers={"retry-after": "2"}), (0, 1, 0)),
        (httpx.Response(503, json={"code": "busy"}), (0, 0, 1)),
        (httpx.Response(503, text="no", headers={"retry-after": "2"}), (0, 0, 1)),
        (httpx.Response(503, json={}, headers={"retry-after": "2"}), (0, 0, 1)),
        (httpx.Response(500, json={"code": "internal_error"}), (0, 0, 1)),
        (httpx.Response(404, json={"code": "not_found"}), (0, 0, 1)),
    ],
)
def test_a_read_is_good_or_a_503_with_a_code_or_has_failed(
    answer: httpx.Response, counted: tuple[int, int, int]
) -> None:
    reads = Reads()
    reads.add("", 0.1, answer)
    assert (reads.good, reads.unavailable.total(), len(reads.failed)) == counted


def test_percentiles_are_of_those_that_were_met() -> None:
    assert spread([n / 1_000 for n in range(1, 101)]) == "p50 50 ms, p99 99 ms, worst 100 ms of 100"
    assert spread([0.007]) == "p50 7 ms, p99 7 ms, worst 7 ms of 1"
    assert spread([]) == "none"
