"""What did each touch of a won deal earn, and for which campaigns?"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from shared.projection.generations import WrongShape, lacks_model
from shared.reading.attribution import SHARES, SHARES_OF
from shared.reading.defined_models import add_defined
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import TimeRange
from shared.rules.exact import split


@dataclass(frozen=True, slots=True)
class Share:
    """What one touch of a won deal earned under a model, in minor units of the currency.

    `parts` is how that is split among the campaigns that the touch counts for, by id; it is empty if it counts for none. Of a
    deal without an amount (`has_amount` is false) all of it is 0.
    """

    deal: int
    contact: int
    currency: str
    closed_us: int
    has_amount: bool
    share_minor: int
    parts: Sequence[tuple[str, int]]
    event_id: str
    type: int
    occurred_at_us: int


async def shares(
    snapshot: Snapshot, span: TimeRange, model: str, campaigns: Collection[int] | None = None
) -> list[Share]:
    """The shares of all touches in the journeys of the deals that were won in the range.

    With `campaigns`, by their keys, only those of touches that count for one of them. Raises as `shares_by_model`.
    """
    return (await shares_by_model(snapshot, span, [model], campaigns))[model]


async def shares_by_model(
    snapshot: Snapshot, span: TimeRange, models: Sequence[str], campaigns: Collection[int] | None = None
) -> dict[str, list[Share]]:
    """As `shares`, under several models, read once for all of them. Raises `WrongShape` if the store lacks
    one of them, and `NotFound` if there is no such model.
    """
    if campaigns is None:
        rows = await snapshot.fetch(SHARES, span.from_us, span.to_us)
    else:
        rows = await snapshot.fetch(SHARES_OF, span.from_us, span.to_us, list(campaigns))
    await add_defined(snapshot, rows, models)
    paid = next((row["shares_minor"] for row in rows if row["shares_minor"] is not None), None)
    if paid is not None:
        for model in models:
            share_under(snapshot, paid, model)
    return {model: [_share(row, model) for row in rows] for model in models}


def share_under(snapshot: Snapshot, shares_minor: dict[str, int], model: str) -> int:
    """A touch's share under a model, in minor units, of its shares by model. Raises `WrongShape` if the store lacks the model."""
    if model not in shares_minor:
        raise WrongShape(lacks_model(snapshot.generation, model))
    return int(shares_minor[model])


def _share(row: Any, model: str) -> Share:
    campaigns, by_model = row["campaigns"], row["shares_minor"]
    share_minor = 0 if by_model is None else by_model[model]
    return Share(
        row["deal"], row["contact"], row["currency"], row["closed_us"], by_model is not None, share_minor,
        list(zip(campaigns, split(share_minor, len(campaigns)), strict=True)) if campaigns else [],
        row["event_id"], row["type"], row["occurred_at_us"],
    )  # fmt: skip
