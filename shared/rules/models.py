"""Rule **models**: which share of a deal does each touch of a journey get?

A model gives weights to the key interactions of a journey, and divides the rest among the other touches.
"""

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal, localcontext
from enum import StrEnum
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from shared.events.instants import DAY_US

TIME_DECAY_DIGITS = 12
WORKING_DIGITS = 3 * TIME_DECAY_DIGITS  # so many before rounding that the last one is right
PLACE_BITS = 10  # ages are in microseconds; powers are cached by the digits of the age in base 1024
PLACE = (1 << PLACE_BITS) - 1
POWERS_REMEMBERED = 16_384  # about 3 MB; a half-life of a week has 3,700 digits and a few dozen whole halvings


class Role(StrEnum):
    """A key interaction of a journey."""

    FIRST = "first"
    LEAD_CREATION = "lead_creation"
    DEAL_CREATION = "deal_creation"
    LAST = "last"


class Model(NamedTuple):
    """Weights in percent by role. Touches without a role of the model share `others`; a half-life decays them all."""

    weights: Mapping[Role, Fraction]
    others: Fraction
    half_life_days: int | None = None
    lookback_days: int | None = None


def _percent(others: str = "0", **weights: str) -> Model:
    return Model({Role(role): Fraction(weight) for role, weight in weights.items()}, Fraction(others))


MODELS: dict[str, Model] = {
    "first_interaction": _percent(first="100"),
    "last_interaction": _percent(last="100"),
    "linear": _percent("100"),
    "u_shaped": _percent("20", first="40", lead_creation="40"),
    "w_shaped": _percent("10", first="30", lead_creation="30", deal_creation="30"),
    "full_path": _percent("10", first="22.5", lead_creation="22.5", deal_creation="22.5", last="22.5"),
    "j_shaped": _percent("20", first="20", last="60"),
    "inverse_j_shaped": _percent("20", first="60", last="20"),
    "time_decay": Model({}, Fraction(100), half_life_days=7),
}


class Parts(NamedTuple):
    """Each touch's share, as an integer out of `total`: exact, and faster than fractions."""

    parts: Sequence[int]
    total: int

    def fraction(self, index: int) -> Fraction:
        """One touch's share of the deal."""
        return Fraction(self.parts[index], self.total)


def weights(model: Model, roles: Mapping[Role, int], ages_us: Sequence[int]) -> Parts:
    """Each touch's share of the deal; `total` is 0 only for an empty journey.

    `roles` gives the index of each key interaction that exists, `ages_us` how long before the close each touch was.
    """
    count = len(ages_us)
    out = [0] * count
    key = {roles[role] for role in model.weights if role in roles}
    others = [i for i in range(count) if i not in key]
    if model.half_life_days is None:
        worth = [1] * len(others)
    else:
        worth = decay([ages_us[i] for i in others], model.half_life_days)
    shared = sum(worth) or 1
    unit = math.lcm(model.others.denominator, *(weight.denominator for weight in model.weights.values()))
    for role, weight in model.weights.items():
        if role in roles:
            out[roles[role]] += int(weight * unit) * shared
    if model.others:
        each = int(model.others * unit)
        for i, part in zip(others, worth, strict=True):
            out[i] += each * part
    total = sum(out)
    return Parts(out, total) if total else Parts([1] * count, count)


def decay(ages_us: Sequence[int], half_life_days: int) -> list[int]:
    """`2^(-age / half-life)`, each to 12 significant digits, then exact: as whole numbers of one small unit."""
    half_life_us = half_life_days * DAY_US
    powers = []
    with localcontext() as context:
        for age_us in ages_us:
            context.prec = WORKING_DIGITS
            halvings, rest_us = divmod(age_us, half_life_us)
            power = _power(half_life_us, halvings * half_life_us)
            for place in range(0, rest_us.bit_length(), PLACE_BITS):
                power *= _power(half_life_us, rest_us & PLACE << place)
            context.prec = TIME_DECAY_DIGITS
            powers.append(+power)
    exponents = [int(power.as_tuple().exponent) for power in powers]
    smallest = min(exponents, default=0)
    return [
        int(power.scaleb(-exponent)) * 10 ** (exponent - smallest)
        for power, exponent in zip(powers, exponents, strict=True)
    ]


@lru_cache(POWERS_REMEMBERED)
def _power(half_life_us: int, age_us: int) -> Decimal:
    """One factor of the decay; an age is a sum of a few digits, so a new age needs only multiplications of cached factors."""
    return Decimal(2) ** (-Decimal(age_us) / Decimal(half_life_us))
