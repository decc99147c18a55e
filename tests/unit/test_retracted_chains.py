"""Retractions of retractions, however long their chain or circle: decided in a time that grows with their number."""

import random
import time

import pytest

from shared.rules.order import Order
from shared.rules.retracted import Retraction, retracted


def chain(length: int, *, closed: bool) -> list[Retraction]:
    """The n-th takes the one before it out; closed, the first takes out the last."""
    told = [Retraction(Order(n, f"r{n}"), f"r{n - 1}" if n or not closed else f"r{length - 1}") for n in range(length)]
    random.Random(length).shuffle(told)
    return told


def test_of_a_chain_every_other_one_stands() -> None:
    assert retracted(chain(6, closed=False)) == {"r4", "r2", "r0"}
    assert retracted(chain(5, closed=False)) == {"r3", "r1", "r-1"}


def test_of_a_circle_the_last_stands_and_what_follows_follows() -> None:
    assert retracted(chain(4, closed=True)) == {"r2", "r0"}


def test_one_that_names_itself_stands_and_is_out() -> None:
    assert retracted([Retraction(Order(1, "a"), "a")]) == {"a"}


@pytest.mark.parametrize("closed", [False, True])
def test_fifty_thousand_take_seconds_at_most(closed: bool) -> None:
    told = chain(50_000, closed=closed)
    began_s = time.process_time()
    retracted(told)
    assert time.process_time() - began_s < 5
