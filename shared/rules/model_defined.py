"""Rule **models**: how does a model that a workspace defines itself share out a deal?

It has weights by key interaction like the published models, a half-life if the definition has one, and a lookback of its own.
"""

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import NamedTuple

from shared.events.instants import DAY_US
from shared.rules.data_driven import DATA_DRIVEN
from shared.rules.models import MODELS, Model, Parts, Role, weights
from shared.rules.order import Order

OTHERS = "others"


class Definition(NamedTuple):
    """A `model_defined` event: its place among all events, the model's name, and its fields."""

    order: Order
    name: str
    weights: Mapping[str, str]
    half_life_days: int | None
    lookback_days: int | None


def definitions(events: Iterable[Definition]) -> dict[str, Model]:
    """The models of a workspace by name: the latest definition of each counts. The name of a published model, or of a
    data-driven one, cannot be taken.
    """
    return {
        one.name: Model(
            {Role(role): Fraction(weight) for role, weight in one.weights.items() if role != OTHERS},
            Fraction(one.weights.get(OTHERS, "0")), one.half_life_days, one.lookback_days,
        ) for one in sorted(events, key=lambda one: one.order) if one.name not in MODELS and one.name not in DATA_DRIVEN
    }  # fmt: skip


def parts_within_lookback(model: Model, roles: Mapping[Role, int], ages_us: Sequence[int]) -> Parts | None:
    """As `weights`, for a model that may have a lookback: touches that are older than it get nothing.

    The first touch within it is the model's first key interaction; another key interaction that is older does not exist for it.
    None if every touch is older: then the model shares out nothing.
    """
    if model.lookback_days is None:
        return weights(model, roles, ages_us)
    older = sum(age_us > model.lookback_days * DAY_US for age_us in ages_us)  # touches are in order, the oldest first
    if older == len(ages_us):
        return None
    within = {role: index - older for role, index in roles.items() if index >= older}
    if Role.FIRST in roles:
        within[Role.FIRST] = 0
    parts = weights(model, within, ages_us[older:])
    return Parts([0] * older + list(parts.parts), parts.total)
