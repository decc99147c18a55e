"""Which of several versions of one id counts, in whatever order they are given?"""

import itertools
import random

import pytest

from shared.rules.once import Version, latest, winner

DIGESTS = {1: b"\x09", 2: b"\x05", 3: b"\x05"}
"""By the hash of what was sent: 2 and 3 are the same content in other bytes, and smaller than 1."""


def counts(*versions: Version) -> Version:
    return winner(latest(versions), lambda version: DIGESTS[version.sent_hash])


@pytest.mark.parametrize(
    ("versions", "wanted"),
    [
        ([Version(None, 2, 0, 0), Version(0, 1, 0, 1)], 1),
        ([Version(None, 2, 0, 0), Version(-(10**15), 1, 0, 1)], 1),
        ([Version(5, 1, 0, 0), Version(4, 2, 0, 1)], 0),
        ([Version(5, 1, 0, 0), Version(5, 2, 0, 1)], 1),
        ([Version(None, 1, 0, 0), Version(None, 2, 0, 1)], 1),
        ([Version(5, 2, 7, 0), Version(5, 3, 6, 1)], 1),
        ([Version(5, 2, 7, 0), Version(5, 3, 7, 1)], 0),
        ([Version(1, 1, 0, 0), Version(2, 2, 0, 1), Version(3, 1, 0, 2)], 2),
        ([Version(1, 1, 0, 0), Version(3, 1, 0, 1), Version(2, 2, 0, 2)], 1),
        ([Version(3, 1, 0, 0), Version(3, 1, 0, 1), Version(3, 1, 0, 2)], 0),
    ],
)
def test_the_version_that_counts(versions: list[Version], wanted: int) -> None:
    for order in itertools.permutations(versions):
        assert counts(*order).offset == wanted


def test_a_version_counts_the_same_whether_settled_at_once_or_one_by_one() -> None:
    rng = random.Random(7)
    for _ in range(500):
        found = [
            Version(rng.choice([None, 1, 2]), rng.choice(list(DIGESTS)), rng.choice([0, 1]), n)
            for n in range(rng.randint(1, 6))
        ]
        shuffled = rng.sample(found, len(found))
        one_by_one = shuffled[0]
        for version in shuffled[1:]:
            one_by_one = counts(one_by_one, version)
        assert one_by_one == counts(*found)
