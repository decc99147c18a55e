"""Rule **models**: what is each touch of a journey worth?

A model weighs the key interactions of a journey and shares the rest among the others.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal, localcontext
from enum import StrEnum
from fractions import Fraction
from typing import NamedTuple

from shared.events.instants import DAY_US

TIME_DECAY_DIGITS = 12


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


def weights(model: Model, roles: Mapping[Role, int], ages_us: Sequence[int]) -> list[Fraction]:
    """Each touch's part of the deal, adding up to 1; empty for an empty journey.

    `roles` gives the index of each key interaction that exists, `ages_us` how long before the close each touch was.
    """
    out = [Fraction(0)] * len(ages_us)
    for role, weight in model.weights.items():
        if role in roles:
            out[roles[role]] += weight
    key = {roles[role] for role in model.weights if role in roles}
    others = [i for i in range(len(ages_us)) if i not in key]
    if others and model.others:
        if model.half_life_days is None:
            worth = [Fraction(1)] * len(others)
        else:
            worth = [decay(ages_us[i], model.half_life_days) for i in others]
        total = sum(worth)
        for i, part in zip(others, worth, strict=True):
            out[i] += model.others * part / total
    whole = sum(out)
    if not whole:
        return [Fraction(1, len(out))] * len(out)
    return out if whole == 1 else [weight / whole for weight in out]


def decay(age_us: int, half_life_days: int) -> Fraction:
    """`2^(-age / half-life)`, to 12 significant digits, then exact."""
    with localcontext() as context:
        context.prec = 4 * TIME_DECAY_DIGITS
        power = Decimal(2) ** (-Decimal(age_us) / Decimal(half_life_days * DAY_US))
        context.prec = TIME_DECAY_DIGITS
        return Fraction(+power)
