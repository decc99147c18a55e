"""What did groups of touches earn of the deals won in some spans of time, and how many deals and contacts have such a touch? The database adds
it up from the credited touches. Used by reads, and to make `credit_day`.

Touches with the same values in all columns that decide their group are added up in one row; the rules then decide the group of each row once. The
share of a touch that counts for several campaigns is divided among them as `shared.rules.exact.split` does.

What groups earn under `shapley`, and the steps that `markov` needs, come from the same rows: each also tells at which places of which journeys its touches are.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from shared.projection.campaign_cells import Rows
from shared.projection.defined_models import OwnShares, as_arguments, own_table
from shared.projection.key_lists import distinct_keys, united
from shared.projection.spans import DEALS, IN_CURRENCY, SPANS, Span, columns_of
from shared.projection.sql import Statement, sql
from shared.projection.walks import PLACE_SQL, Journeys, Walked
from shared.projection.windows import COUNTING_STATUSES, KEY_COLUMN, split, within
from shared.recognition.referrers import site
from shared.rules.channel import Ad, TrafficSource, of_touch, traffic_source
from shared.rules.data_driven import SHAPLEY, shapley
from shared.rules.influence import TouchType
from shared.rules.keys import session_key
from shared.rules.models import MODELS
from shared.rules.page import parse
from shared.rules.referrer import ReferrerRules
from shared.rules.report_groups import BY_CAMPAIGNS, Group, GroupBy, NoGroup, named_group, source_group, utm_group

MODEL_NAMES = sorted(MODELS)
"""The published models, in the order of their shares in `deal_touch.shares_minor` and of the sums in `won_campaign_day.minor`."""
SUMMED = (*MODEL_NAMES, SHAPLEY)
"""The models of the sums in `credit_day.minor`, in order."""


class Sum(NamedTuple):
    """What touches of one group earned of the deals won in one span, in one currency.

    `deals` is the number of deals with a touch of the group in the journey. `contacts` are the 64-bit keys of the contacts of these touches, each once,
    one after another. `paid`: one of the deals has an amount. `minor` is in minor units, one for each requested model; None: the store
    has no shares under the model.
    """

    span: int
    """The index of the span among the requested ones, from 0."""
    group: Group
    currency: str
    deals: int
    contacts: bytes
    paid: bool
    minor: Sequence[int | None]
    shapley: int = 0
    """What the group earned under `shapley`, in minor units, if paths were asked for."""


class Summed(NamedTuple):
    """What the touches of all groups earned; and, if paths were asked for, the steps between the groups by span and currency."""

    sums: list[Sum]
    walked: Mapping[tuple[int, str], Walked]


class Won(NamedTuple):
    """The deals won in one span in a currency: how many, how many of them without a journey, and their amount in minor units.

    The amount is None if no deal has one.
    """

    span: int
    currency: str
    deals: int
    without_journey: int
    amount_minor: int | None


FEW_DEALS_MAX = 5_000  # up to so many deals, their touches are looked up; for more, it is faster to read all touches of the workspace

# Every deal won in the spans between $2 and $3, whatever its amount. One row a span and currency.
WON = sql(f"""
SELECT span.n, d.currency, count(*) AS deals, sum(d.amount_minor) AS amount_minor,
    count(*) FILTER (WHERE NOT EXISTS (SELECT FROM {{g}}.credit c WHERE c.ws = $1 AND c.deal = d.deal)) AS without_journey
FROM {SPANS} {DEALS} GROUP BY 1, 2
""")


# How many deals are won in the spans between $2 and $3; not more than $4.
FEW = sql(f"SELECT count(*) AS deals FROM (SELECT FROM {SPANS} {DEALS} LIMIT $4) d")


# The deals with an amount won in the spans between $2 and $3, in the currency $4 (null: in each).
AMOUNTS = sql(f"SELECT d.deal, d.amount_minor FROM {SPANS} {DEALS} AND {IN_CURRENCY} AND d.amount_minor IS NOT NULL")


def keys_of(column: str) -> str:
    """SQL for the different keys of a column, one after another."""
    return f"string_agg(DISTINCT int8send({column}), ''::bytea)"


_PAGE = f"cr.type = {TouchType.PAGE_VISITED:d}"
_TOUCH = "t.ws = $1 AND t.person = cr.person AND t.occurred_at_us = cr.occurred_at_us AND t.event_id = cr.event_id"
TOUCHES = f"""
JOIN {{g}}.touch t ON {_TOUCH}"""
_TOUCHES_LOOKED_UP = f"""
CROSS JOIN LATERAL (SELECT * FROM {{g}}.touch t WHERE {_TOUCH} OFFSET 0) t"""


def _visit(column: str) -> str:
    """A column of the visit that gives the source: the touch itself, or the first page of its session."""
    return f"CASE WHEN {_PAGE} THEN t.{column} ELSE p.{column} END"


# A visit with a referrer that may begin its visitor's first session is not added up with others, because the rule needs its event id.
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
    f"""{TOUCHES}
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
SAID: dict[GroupBy, tuple[dict[str, str], str]] = {
    GroupBy.INTERACTION: ({"type": "cr.type"}, ""),
    GroupBy.ASSET: ({"asset_id": "coalesce(cr.asset_id, s.asset_id)"}, _ASSET_JOINS),
    GroupBy.ASSET_TYPE: (
        {"has_asset": "coalesce(cr.asset_id, s.asset_id) IS NOT NULL", "asset_type": "s.asset_type"}, _ASSET_JOINS,
    ),
    GroupBy.UTM_CAMPAIGN: (
        {"url": f"CASE WHEN {_PAGE} THEN t.url END", "utm_told": f"CASE WHEN {_PAGE} THEN t.utm_told END"}, TOUCHES,
    ),
    GroupBy.CHANNEL: _SOURCE, GroupBy.SOURCE: _SOURCE, GroupBy.MEDIUM: _SOURCE,
}  # fmt: skip
"""By `group_by`: the columns that decide the group of a touch (SQL by name), and the joins with the tables that have them. The touch is `cr`."""

TOGETHER: Sequence[Sequence[GroupBy]] = (
    (GroupBy.CHANNEL, GroupBy.SOURCE, GroupBy.MEDIUM), (GroupBy.INTERACTION,), (GroupBy.ASSET,), (GroupBy.ASSET_TYPE,),
    (GroupBy.UTM_CAMPAIGN,), (GroupBy.CAMPAIGN, GroupBy.OWNER),
)  # fmt: skip
"""Every `group_by` for which there are sums. Those in one tuple use the same columns, so one statement computes them all."""


def _of_own(models: Sequence[str]) -> int:
    """How many of some models are the workspace's own."""
    return sum(model not in MODELS for model in models)


def _columns(models: Sequence[str], published: str) -> list[str]:
    """SQL for a touch's share under each model: of a published one `published`, with the name and the place among the published ones in it;
    of the workspace's own ones the columns of `own`, in order.
    """
    out, own = [], 0
    for model in models:
        if model in MODELS:
            out.append(published.format(model=model, place=MODEL_NAMES.index(model) + 1))
        else:
            out.append(f"own.minor_{own}")
            own += 1
    return out


def _with_own(models: Sequence[str], credited: str, touch: str) -> str:
    """SQL for the touches `touch` of the deals won in the spans between $2 and $3, in the currency $4 (null: in each), with the place `n` of the span and
    the `currency`; `credited` joins the touches with a deal `d`. The shares under the workspace's own models, whose arguments begin with $5, are joined
    if there are such models: behind OFFSET 0, for PostgreSQL would else read all of these shares again for each deal.
    """
    own = _of_own(models)
    fence = " OFFSET 0" if own else ""
    joined = f"\nLEFT JOIN {own_table(5, own)} ON own.deal = {touch}.deal AND own.step = {touch}.step" if own else ""
    return f"""(SELECT span.n, d.currency, {touch}.* FROM {SPANS} {DEALS} AND {IN_CURRENCY}
{credited}{fence}) {touch}{joined}"""


@lru_cache(maxsize=256)
def _of_touches(by: GroupBy, models: tuple[str, ...], *, few: bool, paths: bool) -> Statement:
    """The credited touches of the deals won in the spans between $2 and $3, in the currency $4 (null: in each), added up by the columns of `SAID`.

    One row per span, currency and combination of values; with `paths` it has the places of the touches. `few`: look up the touches of each deal. Without OFFSET 0, PostgreSQL would read
    all touches of the workspace for a few deals, because it does not know that the touches of a deal are stored next to each other.
    """
    said, joins = SAID[by]
    credited = "JOIN {g}.credit cr ON cr.ws = $1 AND cr.deal = d.deal"
    if few:
        credited = "CROSS JOIN LATERAL (SELECT * FROM {g}.credit WHERE ws = $1 AND deal = d.deal OFFSET 0) cr"
        joins = joins.replace(TOUCHES, _TOUCHES_LOOKED_UP)
    columns = ", ".join(f"{column} AS {name}" for name, column in said.items())
    sums = ", ".join(f"sum({column})" for column in _columns(models, "(cr.shares_minor ->> '{model}')::bigint"))
    numbers = ", ".join(str(n) for n in range(1, len(said) + 3))
    return sql(f"""
SELECT cr.n, cr.currency, {columns}, count(cr.shares_minor) AS paid, ARRAY[{sums}] AS minor,
    {keys_of("cr.deal")} AS deals, {keys_of("cr.contact")} AS contacts{_places("cr.", paths=paths)}
FROM {_with_own(models, credited, "cr")}{joins}
GROUP BY {numbers}
""")


def _places(of: str, *, paths: bool) -> str:
    """SQL for the column `places`, if paths are asked for."""
    return f", {PLACE_SQL.format(subject=f'{of}deal', step=f'{of}step')} AS places" if paths else ""


def parts_of_campaigns(models: Sequence[str]) -> str:
    """A WITH clause that defines `part`: the credited touches of the deals won in the spans between $2 and $3, in the currency $4 (null: in each).

    One row a touch and campaign for which it counts (null: it counts for none), with the place `n` of the span, and the part of its share under
    each model, `minor_0` and so on. All touches are read, so the windows are joined with them and not looked up. Arguments from $5 on are those of
    the shares under the workspace's own models (`own_table`).
    """
    columns = {f"minor_{n}": column for n, column in enumerate(_columns(models, "t.shares_minor[{place}]"))}
    parts = ", ".join(
        f"CASE WHEN s.campaigns IS NULL THEN e.{name} ELSE {split(f'e.{name}', 's.campaigns', 's.place')} END AS {name}"
        for name in columns
    )
    met = " UNION ALL ".join(
        f"""
        SELECT w.campaign, e.deal, e.step FROM earning e
        JOIN counting_window w ON w.key = e.{column} AND {within("w", "e.occurred_at_us")} WHERE w.route = {route:d}"""
        for route, column in KEY_COLUMN.items()
    )
    touches = "CROSS JOIN LATERAL (SELECT * FROM {g}.deal_touch WHERE ws = $1 AND deal = d.deal AND step IS NOT NULL OFFSET 0) t"
    return f"""
WITH earning AS MATERIALIZED (
    SELECT t.n, t.currency, t.deal, t.step, t.contact, t.occurred_at_us, {", ".join(f"t.{name}" for name in KEY_COLUMN.values())},
        t.shares_minor IS NOT NULL AS paid, {", ".join(f"{column} AS {name}" for name, column in columns.items())}
    FROM {_with_own(models, touches, "t")}
), counting_window AS MATERIALIZED (
    SELECT campaign, route, key, from_us, to_us FROM {{g}}.attribution_window WHERE ws = $1 AND window_status IN ({COUNTING_STATUSES})
), met AS MATERIALIZED (
    SELECT campaign, deal, step FROM ({met}) by_route GROUP BY campaign, deal, step
), shared AS (
    SELECT deal, step, count(*) AS campaigns FROM met GROUP BY deal, step HAVING count(*) > 1
), sharing AS MATERIALIZED (
    SELECT m.campaign, m.deal, m.step, s.campaigns, row_number() OVER (PARTITION BY m.deal, m.step ORDER BY c.campaign_id) - 1 AS place
    FROM shared s JOIN met m ON m.deal = s.deal AND m.step = s.step JOIN {{g}}.campaign c ON c.ws = $1 AND c.campaign = m.campaign
), part AS MATERIALIZED (
    SELECT e.n, e.currency, m.campaign, e.deal, e.step, e.contact, e.paid, {parts}
    FROM earning e LEFT JOIN met m ON m.deal = e.deal AND m.step = e.step
    LEFT JOIN sharing s ON s.campaign = m.campaign AND s.deal = m.deal AND s.step = m.step
)"""


def minor_of_parts(models: Sequence[str]) -> str:
    """SQL for the sum of rows of `part` under each model, as an array."""
    return "ARRAY[" + ", ".join(f"sum(minor_{n})" for n in range(len(models))) + "]"


@lru_cache(maxsize=256)
def _of_campaigns(models: tuple[str, ...], *, paths: bool) -> Statement:
    """As `_of_touches`, by campaign: one row per span, currency and campaign, in the order of the campaigns' ids. The row without a campaign has the
    touches that count for none.
    """
    return sql(f"""{parts_of_campaigns(models)}
SELECT p.*, c.campaign_id, c.owner FROM (
    SELECT n, currency, campaign, count(*) FILTER (WHERE paid) AS paid, {minor_of_parts(models)} AS minor,
        {keys_of("deal")} AS deals, {keys_of("contact")} AS contacts{_places("", paths=paths)}
    FROM part GROUP BY n, currency, campaign) p
LEFT JOIN {{g}}.campaign c ON c.ws = $1 AND c.campaign = p.campaign ORDER BY c.campaign_id
""")


async def won_in_spans(store: Rows, spans: Sequence[Span]) -> list[Won]:
    """The deals won in spans of time, by span and currency."""
    return [
        Won(row["n"] - 1, row["currency"], row["deals"], row["without_journey"], whole(row["amount_minor"]))
        for row in await store.fetch(WON, *columns_of(spans))
    ]


async def sums_of_spans(
    store: Rows, spans: Sequence[Span], bys: Sequence[GroupBy], models: Sequence[str], currency: str | None,
    referrers: ReferrerRules, own: OwnShares | None = None, *, paths: bool = False,
) -> dict[GroupBy, Summed]:  # fmt: skip
    """What the touches of the deals won in spans of time, in a currency (None: in each), earned under models.

    `own` has the shares of all of these touches under those of the models that are the workspace's own, in the order of `models`; None: none is.
    `paths`: also what they earned under `shapley`, and the steps between groups. `bys` are some that stand beside each other in `TOGETHER`; `referrers` are those of the workspace's settings. No group
    stands twice for a span and currency.
    """
    if bys[0] in BY_CAMPAIGNS:
        statement = _of_campaigns(tuple(models), paths=paths)
    else:
        deals = (await store.fetch(FEW, *columns_of(spans), FEW_DEALS_MAX + 1))[0]["deals"]
        statement = _of_touches(bys[0], tuple(models), few=deals <= FEW_DEALS_MAX, paths=paths)
    found: dict[GroupBy, dict[tuple[int, Group, str], _Adding]] = {by: defaultdict(_Adding) for by in bys}
    journeys: dict[GroupBy, dict[tuple[int, str], Journeys]] = {by: defaultdict(Journeys) for by in bys}
    shares = () if own is None else as_arguments(own)
    for row in await store.fetch(statement, *columns_of(spans), currency, *shares):
        for by, group in groups_of_said(bys, row, referrers):
            found[by][row["n"] - 1, group, row["currency"]].add(row)
            if paths:
                journeys[by][row["n"] - 1, row["currency"]].add(row["places"], group)
    walked: dict[GroupBy, dict[tuple[int, str], Walked]] = {by: {} for by in bys}
    if paths:
        amounts = dict(await store.fetch(AMOUNTS, *columns_of(spans), currency))
        walked = {by: await asyncio.to_thread(_walked, journeys[by], amounts, found[by]) for by in bys}
    return {
        by: Summed([
            Sum(*place, distinct_keys(one.deals), united(one.contacts), one.paid, one.minor, one.shapley)
            for place, one in of.items()
        ], walked[by]) for by, of in found.items()
    }  # fmt: skip


def _walked(
    journeys: Mapping[tuple[int, str], Journeys],
    amounts: Mapping[int, int],
    found: Mapping[tuple[int, Group, str], "_Adding"],
) -> dict[tuple[int, str], Walked]:
    """The steps of journeys by span and currency. What groups earn of their deals under `shapley` is added to what was found of these groups.

    `amounts` are in minor units, by deal; a deal without an amount is absent.
    """
    out: dict[tuple[int, str], Walked] = {}
    for (span, currency), of in journeys.items():
        deals, numbers = of.in_order()
        of.walk(out.setdefault((span, currency), Walked()), deals, numbers)
        groups = list(of.groups)
        begins = [0, *(np.flatnonzero(deals[1:] != deals[:-1]) + 1).tolist(), len(deals)]
        for begin, end in pairwise(begins):
            amount = amounts.get(int(deals[begin]))
            if amount is None:
                continue
            met = [groups[number] for number in dict.fromkeys(numbers[begin:end].tolist())]
            for group, part in shapley(amount, met).items():
                found[span, group, currency].shapley += part
    return out


def whole(minor: Decimal | None) -> int | None:
    """A sum from PostgreSQL (which is a `Decimal`) as a whole number."""
    return None if minor is None else int(minor)


@dataclass(slots=True)
class _Adding:
    """Rows of one group that are being added up."""

    deals: list[bytes] = field(default_factory=list)
    contacts: list[bytes] = field(default_factory=list)
    paid: bool = False
    minor: list[int | None] = field(default_factory=list)
    shapley: int = 0

    def add(self, row: Any) -> None:
        """Add a row. One without an amount has None for each model."""
        self.deals.append(row["deals"])
        self.contacts.append(row["contacts"])
        minor: list[int | None] = [whole(each) if row["paid"] else 0 for each in row["minor"]]
        self.paid |= row["paid"] > 0
        if self.minor:
            pairs = zip(self.minor, minor, strict=True)
            minor = [None if had is None or more is None else had + more for had, more in pairs]
        self.minor = minor


def groups_of_said(bys: Sequence[GroupBy], said: Any, referrers: ReferrerRules) -> list[tuple[GroupBy, Group]]:
    """The groups of touches whose columns of `SAID` have these values; by campaign or owner, of the touches of one campaign."""
    match bys[0]:
        case GroupBy.CAMPAIGN | GroupBy.OWNER if said["campaign_id"] is None:
            return [(by, Group(None, NoGroup.NO_CAMPAIGN)) for by in bys]
        case GroupBy.CAMPAIGN | GroupBy.OWNER:
            named = {
                GroupBy.CAMPAIGN: Group(said["campaign_id"]),
                GroupBy.OWNER: named_group(said["owner"], NoGroup.NO_OWNER),
            }
            return [(by, named[by]) for by in bys]
        case GroupBy.INTERACTION:
            return [(GroupBy.INTERACTION, Group(TouchType(said["type"]).wire))]
        case GroupBy.ASSET:
            return [(GroupBy.ASSET, named_group(said["asset_id"], NoGroup.NO_ASSET))]
        case GroupBy.ASSET_TYPE:
            why = NoGroup.NO_ASSET_TYPE if said["has_asset"] else NoGroup.NO_ASSET
            return [(GroupBy.ASSET_TYPE, named_group(said["asset_type"] if said["has_asset"] else None, why))]
        case GroupBy.UTM_CAMPAIGN:
            return [(GroupBy.UTM_CAMPAIGN, utm_group(said["url"], said["utm_told"]))]
    type_ = TouchType(said["type"])
    source = source_of_visit(said, referrers) if said["has_visit"] else None
    if type_ is not TouchType.PAGE_VISITED or source is None:
        source = of_touch(type_, Ad(said["asset_type"], said["network"], said["ad_type"]), source, site)
    return [(by, source_group(by, source)) for by in bys]


def source_of_visit(visit: Any, referrers: ReferrerRules) -> TrafficSource:
    """The source of a page visit, which is a row with event_id, url, utm_told, referrer, session and session_is_new."""
    begins = visit["session_is_new"] is True and visit["session"] == session_key(visit["event_id"])
    page = parse(visit["url"], visit["utm_told"] or "")
    return traffic_source(page, visit["referrer"], site, referrers, first=begins)
