"""Retractions of retractions, however long their chain or circle: decided in a time that grows with their number."""

import random

import pytest

from shared.rules.order import Order
from shared.rules.retracted import Retraction, retracted
from tests.cpu_time import within_cpu_s


def chain(length: int, *, closed: bool) -> list[Retraction]:
    """The n-th takes the one before it out; closed, the first takes out the last."""
    found = [Retraction(Order(n, f"r{n}"), f"r{n - 1}" if n or not closed else f"r{length - 1}") for n in range(length)]
    random.Random(length).shuffle(found)
    return found


def test_in_a_chain_of_retractions_every_second_one_takes_effect() -> None:
    assert retracted(chain(6, closed=False)) == {"r4", "r2", "r0"}
    assert retracted(chain(5, closed=False)) == {"r3", "r1", "r-1"}


def test_in_a_circle_of_retractions_the_last_one_takes_effect_and_decides_the_others() -> None:
    assert retracted(chain(4, closed=True)) == {"r2", "r0"}


def test_a_retraction_of_itself_takes_effect_and_is_retracted() -> None:
    assert retracted([Retraction(Order(1, "a"), "a")]) == {"a"}


@pytest.mark.parametrize("closed", [False, True])
def test_fifty_thousand_take_seconds_at_most(closed: bool) -> None:
    result = chain(50_000, closed=closed)
    with within_cpu_s(5):
        retracted(result)
