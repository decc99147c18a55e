"""Random worlds have few deals. With small slices, their days are divided and united, too."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

from shared.projection import credit_days

USUAL = {
    name: getattr(credit_days, name)
    for name in ("DEALS_MAX", "DIVIDED_FROM", "SLICE_DEALS", "UNITED_DEALS_MAX", "OPEN_SLICES_MIN", "OPEN_SLICES_LEFT")
}


@contextmanager
def slices_of_size(rng: random.Random) -> Iterator[None]:
    """Divide and unite the days of sums of credit as usual, or at random from one deal on."""
    small = {
        "DEALS_MAX": rng.choice([1, 2, 100]),  # with few, steps leave days without sums
        "DIVIDED_FROM": rng.choice([1, 2, 3]),
        "SLICE_DEALS": rng.choice([1, 2]),
        "UNITED_DEALS_MAX": rng.choice([1, 2, 4]),
        "OPEN_SLICES_MIN": rng.choice([2, 3]),
        "OPEN_SLICES_LEFT": 1,
    }
    assert small.keys() == USUAL.keys()
    try:
        for name, value in (small if rng.random() < 0.8 else USUAL).items():
            setattr(credit_days, name, value)
        yield
    finally:
        for name, value in USUAL.items():
            setattr(credit_days, name, value)
