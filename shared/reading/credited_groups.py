"""What did each group of touches earn of won deals, for groups that do not come from campaigns? Added up by the database.

Touches that must be of one group, because they say the same of where they came from or of what they touched, are one row; the rules then
decide about each row once. Of many deals with long journeys, that is much less than to decide about each touch.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from shared.projection.generations import WrongShape, lacks_model
from shared.projection.sql import Statement, sql
from shared.reading.groups import Group, GroupBy, NoGroup, named_group, source_group, utm_group
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import TimeRange
from shared.reading.touches import source_of_visit
from shared.recognition.referrers import site
from shared.rules.channel import Ad, of_touch
from shared.rules.influence import TouchType

_PAGE = f"cr.type = {TouchType.PAGE_VISITED:d}"
_TOUCH = """
JOIN {g}.touch t ON t.ws = $1 AND t.person = cr.person AND t.occurred_at_us = cr.occurred_at_us AND t.event_id = cr.event_id"""


def _visit(column: str) -> str:
    """A column of the visit that gives the source: the touch itself, or the first page of its session."""
    return f"CASE WHEN {_PAGE} THEN t.{column} ELSE p.{column} END"


# A visit that may begin its visitor's first session, and has a referrer, is a row of its own: the rule needs its id to tell.
_MAY_BEGIN = f"""coalesce({_visit("session_is_new")} AND {_visit("occurred_at_us")} = {_visit("session_at_us")}
    AND {_visit("referrer")} IS NOT NULL, false)"""
_SOURCE = (
    {
        "type": "cr.type", "asset_type": "a.asset_type", "network": "a.network", "ad_type": "a.ad_type",
        "has_visit": f"({_PAGE} OR p.url IS NOT NULL)", "url": _visit("url"), "utm_told": _visit("utm_told"),
        "referrer": _visit("referrer"), "session_is_new": _MAY_BEGIN,
        "session": f"CASE WHEN {_MAY_BEGIN} THEN {_visit('session')} END",
        "event_id": f"CASE WHEN {_MAY_BEGIN} THEN {_visit('event_id')} END",
    },
    f"""{_TOUCH}
LEFT JOIN LATERAL (
    SELECT v.url, v.utm_told, v.referrer, v.session, v.session_at_us, v.session_is_new, v.occurred_at_us, v.event_id
    FROM {{g}}.touch v WHERE NOT {_PAGE} AND t.session IS NOT NULL AND v.ws = $1 AND v.person = t.person AND v.by_visitor
        AND v.session = t.session AND v.type = {TouchType.PAGE_VISITED:d} AND v.occurred_at_us >= t.session_at_us
    ORDER BY v.occurred_at_us, v.event_id LIMIT 1) p ON true
LEFT JOIN {{g}}.asset a ON NOT {_PAGE} AND a.ws = $1 AND a.asset = t.asset_or_page_key""",
)  # fmt: skip
_ASSET_JOINS = """
LEFT JOIN {g}.address a ON a.ws = $1 AND a.page = cr.asset_or_page_key
    AND cr.occurred_at_us >= a.from_us AND cr.occurred_at_us < a.to_us
LEFT JOIN {g}.asset s ON s.ws = $1 AND s.asset = coalesce(a.asset, cr.asset_or_page_key)"""
_SAID: dict[GroupBy, tuple[dict[str, str], str]] = {
    GroupBy.INTERACTION: ({"type": "cr.type"}, ""),
    GroupBy.ASSET: ({"asset_id": "coalesce(cr.asset_id, s.asset_id)"}, _ASSET_JOINS),
    GroupBy.ASSET_TYPE: (
        {"has_asset": "coalesce(cr.asset_id, s.asset_id) IS NOT NULL", "asset_type": "s.asset_type"}, _ASSET_JOINS,
    ),
    GroupBy.UTM_CAMPAIGN: (
        {"url": f"CASE WHEN {_PAGE} THEN t.url END", "utm_told": f"CASE WHEN {_PAGE} THEN t.utm_told END"}, _TOUCH,
    ),
    GroupBy.CHANNEL: _SOURCE, GroupBy.SOURCE: _SOURCE, GroupBy.MEDIUM: _SOURCE,
}  # fmt: skip
"""By group: what touches of one row have in common, as SQL by its name, and the tables that say it."""


class CreditedGroup(NamedTuple):
    """What touches of one group earned in a currency, by model in minor units; and the keys of their deals and contacts.

    A group may come several times, with deals and contacts that other rows of it have too.
    """

    group: Group
    currency: str
    earned: dict[str, int]
    deals: Sequence[int]
    contacts: Sequence[int]


@lru_cache(maxsize=256)
def _statement(by: GroupBy, models: tuple[str, ...]) -> Statement:
    """The credited touches of the deals won in [$2, $3), in the currency $4 (null: in each), by what they say. One row for all that say
    the same.
    """
    said, joins = _SAID[by]
    columns = ", ".join(f"{column} AS {name}" for name, column in said.items())
    sums = ", ".join(f"sum((cr.shares_minor ->> '{model}')::bigint)::bigint" for model in models)
    places = ", ".join(str(n) for n in range(1, len(said) + 2))
    return sql(f"""
SELECT d.currency, {columns}, count(cr.shares_minor) AS with_amount, ARRAY[{sums}] AS minor,
    array_agg(DISTINCT cr.deal) AS deals, array_agg(DISTINCT cr.contact) AS contacts
FROM {{g}}.deal d JOIN {{g}}.credit cr ON cr.ws = $1 AND cr.deal = d.deal{joins}
WHERE d.ws = $1 AND d.state = 'won' AND d.closed_us >= $2 AND d.closed_us < $3 AND ($4::text IS NULL OR d.currency = $4)
GROUP BY {places}
""")


async def credited_groups(
    snapshot: Snapshot, span: TimeRange, by: GroupBy, models: Sequence[str], currency: str | None
) -> Iterator[CreditedGroup]:
    """What the touches of the deals won in a range, in a currency (None: in each), earned under published models, by their groups.

    Raises `WrongShape` if the store lacks a model.
    """
    rows = await snapshot.fetch(_statement(by, tuple(models)), span.from_us, span.to_us, currency)
    for row in rows:
        for model, minor in zip(models, row["minor"], strict=True):
            if minor is None and row["with_amount"]:
                raise WrongShape(lacks_model(snapshot.generation, model))
    return (
        CreditedGroup(
            _group(snapshot, by, row), row["currency"],
            {model: minor or 0 for model, minor in zip(models, row["minor"], strict=True)}, row["deals"], row["contacts"],
        ) for row in rows
    )  # fmt: skip


def _group(snapshot: Snapshot, by: GroupBy, said: Any) -> Group:
    """The group of touches that say this."""
    match by:
        case GroupBy.INTERACTION:
            return Group(TouchType(said["type"]).wire)
        case GroupBy.ASSET:
            return named_group(said["asset_id"], NoGroup.NO_ASSET)
        case GroupBy.ASSET_TYPE:
            why = NoGroup.NO_ASSET_TYPE if said["has_asset"] else NoGroup.NO_ASSET
            return named_group(said["asset_type"] if said["has_asset"] else None, why)
        case GroupBy.UTM_CAMPAIGN:
            return utm_group(said["url"], said["utm_told"])
    type_ = TouchType(said["type"])
    visit = source_of_visit(snapshot, said) if said["has_visit"] else None
    if type_ is TouchType.PAGE_VISITED and visit is not None:
        return source_group(by, visit)
    return source_group(by, of_touch(type_, Ad(said["asset_type"], said["network"], said["ad_type"]), visit, site))
