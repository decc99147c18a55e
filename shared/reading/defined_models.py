"""Which models does a read name, and what does each touch of some won deals earn under those that the workspace has defined?

The rows of deals hold the shares under the published models alone.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from shared.projection.defined_models import defined_models, shares_of_journey
from shared.projection.sql import sql
from shared.reading.snapshot import NotFound, Snapshot
from shared.rules.models import MODELS, Model, Role

JOURNEYS = sql("""
SELECT cr.deal, cr.event_id, cr.occurred_at_us, cr.roles, d.amount_minor, d.closed_us
FROM {g}.credit cr JOIN {g}.deal d ON d.ws = $1 AND d.deal = cr.deal
WHERE cr.ws = $1 AND cr.deal = ANY($2::bigint[]) ORDER BY cr.deal, cr.step
""")


async def names_known(snapshot: Snapshot) -> list[str]:
    """The names of all models: the published ones, and then those that the workspace has defined."""
    return [*MODELS, *sorted(await defined_models(snapshot))]


async def models_named(snapshot: Snapshot, names: Sequence[str]) -> dict[str, Model]:
    """The models of these names, published or defined by the workspace. Raises `NotFound`."""
    defined = {} if all(name in MODELS for name in names) else await defined_models(snapshot)
    known = {**MODELS, **defined}
    for name in names:
        if name not in known:
            raise NotFound("model", name)
    return {name: known[name] for name in names}


def found_roles(touches: Sequence[Any]) -> dict[Role, int]:
    """The index of each key interaction of a journey, of rows with `roles`."""
    return {Role(role): i for i, touch in enumerate(touches) for role in touch["roles"]}


def shares_minor(model: Model, touches: Sequence[Any], amount_minor: int, closed_us: int) -> list[int]:
    """What each touch of a journey earns under a model, in minor units; all is 0 if no touch is within the model's lookback."""
    ages_us = [closed_us - touch["occurred_at_us"] for touch in touches]
    return shares_of_journey(model, found_roles(touches), amount_minor, ages_us)


async def add_defined(snapshot: Snapshot, rows: Sequence[Any], names: Sequence[str]) -> None:
    """Add the shares under models that the workspace has defined to `shares_minor` of rows of credited touches.

    Rows have `deal`, `event_id` and `shares_minor`, which stays null for a deal without an amount. Raises `NotFound`.
    """
    own = {name: model for name, model in (await models_named(snapshot, names)).items() if name not in MODELS}
    if not own:
        return
    journeys: Mapping[int, list[Any]] = defaultdict(list)
    for row in await snapshot.fetch(JOURNEYS, list({row["deal"] for row in rows})):
        if row["amount_minor"] is not None:
            journeys[row["deal"]].append(row)
    shares: dict[tuple[int, str], dict[str, int]] = defaultdict(dict)
    for deal, touches in journeys.items():
        for name, model in own.items():
            paid = shares_minor(model, touches, touches[0]["amount_minor"], touches[0]["closed_us"])
            for touch, share in zip(touches, paid, strict=True):
                shares[deal, touch["event_id"]][name] = share
    for row in rows:
        if row["shares_minor"] is not None:
            row["shares_minor"].update(shares[row["deal"], row["event_id"]])
