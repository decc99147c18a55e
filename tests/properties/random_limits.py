"""Random worlds are small. With limits at random, their days are divided and united, too, and their cells are corrected or digested again."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from shared.projection import credit_days
from shared.projection.stages.cells import corrections


@contextmanager
def limits_at_random(rng: random.Random) -> Iterator[None]:
    """Use other limits in place of the usual ones, mostly from one deal or cell on."""
    small_slices = {
        "DEALS_MAX": rng.choice([1, 2, 100]),  # with few, steps leave days without sums
        "DIVIDED_FROM": rng.choice([1, 2, 3]),
        "SLICE_DEALS": rng.choice([1, 2]),
        "WHOLE_DEALS_MAX": rng.choice([1, 2, 4]),
        "OPEN_DEALS_MAX": rng.choice([2, 4]),
        "OPEN_SLICES_MIN": rng.choice([2, 3]),
        "OPEN_SLICES_LEFT": 1,
    }
    with pytest.MonkeyPatch.context() as patched:
        if rng.random() < 0.8:
            for name, value in small_slices.items():
                patched.setattr(credit_days, name, value)
        if rng.random() < 0.3:
            patched.setattr(corrections, "CELLS_MAX", rng.choice([0, 1, 2]))
        if rng.random() < 0.3:
            patched.setattr(corrections, "LOOKUPS_MAX", rng.choice([0, 2]))
        yield
