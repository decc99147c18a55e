"""Which models has a workspace defined itself, and what does each touch of the deals won in spans of time earn under them?

No row of a deal holds these shares: a definition would change all deals. They are worked out of the journeys, by the rules that work out those of
the published models.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from shared.events.codec import decode_event
from shared.events.registry import name_of
from shared.events.types import ModelDefined
from shared.projection.campaign_cells import Rows
from shared.projection.rows import SETTINGS_SUBJECT
from shared.projection.spans import DEALS, IN_CURRENCY, SPANS, Span, columns_of
from shared.projection.sql import sql
from shared.rules import exact
from shared.rules.model_defined import Definition, definitions, parts_within_lookback
from shared.rules.models import Model, Role
from shared.rules.order import Order

_DEFINING = f"subject = {SETTINGS_SUBJECT} AND type = '{name_of(ModelDefined)}' AND live"
DEFINED = sql(f"SELECT occurred_at_us, event_id, body FROM {{g}}.entity_event WHERE ws = $1 AND {_DEFINING}")


def digest_of_definitions(ws: str) -> str:
    """SQL for a digest of the events that define the models of the workspace whose rows stand under `ws`; it is '' if there are none."""
    return f"""(SELECT coalesce(md5(string_agg(int8send(d.occurred_at_us) || convert_to(d.event_id, 'UTF8') || d.body, '\\x00'::bytea
        ORDER BY d.occurred_at_us, d.event_id)), '') FROM {{g}}.entity_event d WHERE d.ws = {ws} AND {_DEFINING})"""


DEFINED_BY = sql(f"SELECT {digest_of_definitions('$1')} AS defined_by")

# The journeys of the deals with an amount won in the spans between $2 and $3, in the currency $4 (null: in each). One row a deal; the touches are in order.
JOURNEYS = sql(f"""
SELECT d.deal, d.amount_minor, d.closed_us, array_agg(cr.occurred_at_us ORDER BY cr.step) AS touches_us,
    array_agg(array_to_string(cr.roles, ' ') ORDER BY cr.step) AS roles
FROM {SPANS} {DEALS} AND {IN_CURRENCY} AND d.amount_minor IS NOT NULL
CROSS JOIN LATERAL (SELECT * FROM {{g}}.credit WHERE ws = $1 AND deal = d.deal OFFSET 0) cr
GROUP BY d.deal, d.amount_minor, d.closed_us
""")

Models = Mapping[str, Model]
"""Models by name."""


class OwnShares(NamedTuple):
    """What touches earn under a workspace's own models, as columns: the deal, the touch's place in its journey, and minor units, a column a model."""

    deals: list[int]
    steps: list[int]
    minor: list[list[int]]


async def defined_models(store: Rows) -> dict[str, Model]:
    """The models that a workspace has defined, by name (rule **models**)."""
    found = []
    for row in await store.fetch(DEFINED):
        event = decode_event(row["body"])
        assert isinstance(event, ModelDefined)
        found.append(
            Definition(
                Order(row["occurred_at_us"], row["event_id"]), event.model,
                {role: str(weight) for role, weight in event.weights.items()}, event.half_life_days, event.lookback_days,
            )
        )  # fmt: skip
    return definitions(found)


def shares_of_journey(model: Model, roles: Mapping[Role, int], amount_minor: int, ages_us: Sequence[int]) -> list[int]:
    """What each touch of a journey earns under a model, in minor units; all is 0 if no touch is within the model's lookback.

    `roles` gives the index of each key interaction, `ages_us` how long before the close each touch was.
    """
    parts = parts_within_lookback(model, roles, ages_us)
    return [0] * len(ages_us) if parts is None else exact.shares(amount_minor, parts)


async def own_shares(store: Rows, spans: Sequence[Span], models: Sequence[Model], currency: str | None) -> OwnShares:
    """What each touch in the journeys of the deals won in spans of time, in a currency (None: in each), earns under models."""
    out = OwnShares([], [], [[] for _ in models])
    for row in await store.fetch(JOURNEYS, *columns_of(spans), currency):
        found = {Role(role): step for step, names in enumerate(row["roles"]) for role in names.split()}
        ages_us = [row["closed_us"] - at_us for at_us in row["touches_us"]]
        out.deals.extend([row["deal"]] * len(ages_us))
        out.steps.extend(range(len(ages_us)))
        for model, minor in zip(models, out.minor, strict=True):
            minor.extend(shares_of_journey(model, found, row["amount_minor"], ages_us))
    return out


def as_arguments(shares: OwnShares) -> tuple[Any, ...]:
    """Shares as arguments of a statement that has the table of `own_table`."""
    return shares.deals, shares.steps, *shares.minor


def own_table(first: int, models: int) -> str:
    """SQL for a table `own` of shares under so many models, whose arguments begin with `$first`: columns `deal`, `step`, `minor_0`, …"""
    names = ", ".join(["deal", "step", *(f"minor_{n}" for n in range(models))])
    types = ["bigint[]", "int[]", *["bigint[]"] * models]
    return f"unnest({', '.join(f'${first + n}::{kind}' for n, kind in enumerate(types))}) own({names})"
