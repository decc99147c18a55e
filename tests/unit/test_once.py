"""Which of several tellings of one id counts, in whatever order they are given?"""

import itertools
import random

import pytest

from shared.rules.once import Telling, latest, winner

DIGESTS = {1: b"\x09", 2: b"\x05", 3: b"\x05"}
"""By the hash of what was sent: 2 and 3 are the same content in other bytes, and smaller than 1."""


def counts(*tellings: Telling) -> Telling:
    return winner(latest(tellings), lambda telling: DIGESTS[telling.sent_hash])


@pytest.mark.parametrize(
    ("tellings", "wanted"),
    [
        ([Telling(None, 2, 0, 0), Telling(0, 1, 0, 1)], 1),
        ([Telling(None, 2, 0, 0), Telling(-(10**15), 1, 0, 1)], 1),
        ([Telling(5, 1, 0, 0), Telling(4, 2, 0, 1)], 0),
        ([Telling(5, 1, 0, 0), Telling(5, 2, 0, 1)], 1),
        ([Telling(None, 1, 0, 0), Telling(None, 2, 0, 1)], 1),
        ([Telling(5, 2, 7, 0), Telling(5, 3, 6, 1)], 1),
        ([Telling(5, 2, 7, 0), Telling(5, 3, 7, 1)], 0),
        ([Telling(1, 1, 0, 0), Telling(2, 2, 0, 1), Telling(3, 1, 0, 2)], 2),
        ([Telling(1, 1, 0, 0), Telling(3, 1, 0, 1), Telling(2, 2, 0, 2)], 1),
        ([Telling(3, 1, 0, 0), Telling(3, 1, 0, 1), Telling(3, 1, 0, 2)], 0),
    ],
)
def test_the_telling_that_counts(tellings: list[Telling], wanted: int) -> None:
    for order in itertools.permutations(tellings):
        assert counts(*order).offset == wanted


def test_a_telling_counts_the_same_whether_settled_at_once_or_one_by_one() -> None:
    rng = random.Random(7)
    for _ in range(500):
        told = [
            Telling(rng.choice([None, 1, 2]), rng.choice(list(DIGESTS)), rng.choice([0, 1]), n)
            for n in range(rng.randint(1, 6))
        ]
        shuffled = rng.sample(told, len(told))
        one_by_one = shuffled[0]
        for telling in shuffled[1:]:
            one_by_one = counts(one_by_one, telling)
        assert one_by_one == counts(*told)
