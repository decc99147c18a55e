"""What are the numbers of campaigns in a range of time?

`campaign_numbers` is the only place where they are asked: for the list of campaigns and the overview of one, for the contacts and
deals behind a number, and for the difference between two generations.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple

import orjson

from shared.events.instants import DAY_US, to_rfc3339
from shared.events.money import Money, to_money
from shared.projection.campaign_cells import kind_of
from shared.projection.cell_plan import Statuses
from shared.projection.sql import sql
from shared.reading.attribution import FEW_CAMPAIGNS, INFLUENCED, SESSION_COUNTS, TOUCH_COUNTS
from shared.reading.campaign_deals import DealNumbers, deal_numbers, deal_numbers_of_parts
from shared.reading.cells import CampaignCells, campaign_cells, cells_days
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import TimeRange
from shared.reading.touches import statuses_by_route
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.influence import INFLUENCING, TouchType
from shared.rules.pre_association import KeptOut, kept_out
from shared.rules.settled import settled_through_us

LATENESS = sql("SELECT bucket, events FROM {g}.lateness WHERE ws = $1")
TOUCHED_BY = sql(f"""
SELECT EXISTS (SELECT FROM {{g}}.touch WHERE ws = $1 AND occurred_at_us < $2 AND traffic_class <> {TrafficClass.RETRACTED:d})
""")
RECEIVED = sql("SELECT received_us FROM {g}.progress WHERE partition = $1")
METRIC_OF_TYPE = {
    TouchType.PAGE_VISITED: "page_views",
    TouchType.FORM_SUBMITTED: "form_submissions",
    TouchType.CTA_CLICKED: "cta_clicks",
    TouchType.EMAIL_OPENED: "email_opens",
    TouchType.EMAIL_CLICKED: "email_clicks",
}
COUNTS = (
    "sessions", "new_sessions", "page_views", "form_submissions", "cta_clicks", "email_opens", "email_clicks",
    "new_contacts_first_touch", "new_contacts_last_touch", "influenced_contacts", "contacts_with_revenue",
    "contacts_with_attributed_revenue", "influenced_deals", "closed_deals",
)  # fmt: skip
MONEY_METRICS = ("influenced_revenue", "attributed_revenue")
METRICS = (*COUNTS, *MONEY_METRICS)
CONTACT_METRICS = (
    "influenced_contacts", "new_contacts_first_touch", "new_contacts_last_touch", "contacts_with_revenue",
    "contacts_with_attributed_revenue",
)  # fmt: skip
DEAL_METRICS = ("influenced_deals", "closed_deals")
FEW_MAX = 20  # campaigns that one statement reads; of all 50, six statements take two thirds of its time


class TouchesCounted(NamedTuple):
    """Rows of the statements of `shared.reading.attribution` that have these names."""

    touch_counts: Sequence[Any]
    session_counts: Sequence[Any]
    influenced: Sequence[Any]


@dataclass
class CampaignNumbers:
    """A campaign's metrics in a range. Amounts are in minor units by currency. `excluded` counts touches by why they were kept out."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    touches: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    influenced_minor: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    attributed_minor: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    excluded: dict[str, int] = field(default_factory=lambda: {str(reason): 0 for reason in KeptOut})

    def minor(self, metric: str, currency: str) -> int:
        """A metric as a number to order by: a count, or an amount in minor units of a currency."""
        if metric in MONEY_METRICS:
            of = self.influenced_minor if metric == "influenced_revenue" else self.attributed_minor
            return of.get(currency, 0)
        return self.counts[metric]

    def metrics(self) -> dict[str, Any]:
        """The metrics by name: counts, and amounts of money by currency."""
        return {
            **self.counts,
            "influenced_revenue": money_by_currency(self.influenced_minor),
            "attributed_revenue": money_by_currency(self.attributed_minor),
        }


def money_by_currency(minor: Mapping[str, int]) -> list[Money]:
    """Amounts of several currencies, from minor units, in the order of the currencies. They are never added together."""
    return [to_money(amount, currency) for currency, amount in sorted(minor.items())]


async def campaign_numbers(
    snapshot: Snapshot,
    campaigns: Mapping[int, str],
    span: TimeRange,
    model: str,
    counted: Collection[int] | None = None,
) -> dict[int, CampaignNumbers]:
    """The numbers of campaigns (their ids by key) in a range, revenue shared out under a model. Answers them by key.

    With `counted`, touches are counted of these campaigns alone: of the others `TOUCH_METRICS`, `touches` and `excluded` are 0.
    Raises `WrongShape` if the store lacks the model.
    """
    out = {key: CampaignNumbers() for key in campaigns}
    touched = [key for key in campaigns if counted is None or key in counted]
    if touched:
        _count_touches(out, (await count_touches(snapshot, touched, [span]))[0])
    if campaigns:
        for key, found in (await deal_numbers(snapshot, campaigns, span, [model])).items():
            _count_deals(out[key], found, model)
    return out


TOUCH_METRICS = frozenset({"sessions", "new_sessions", "influenced_contacts", *METRIC_OF_TYPE.values()})
"""The metrics that touches alone decide, so that nothing else is read for them."""


async def numbers_of_ranges(
    snapshot: Snapshot, campaigns: Mapping[int, str], spans: Sequence[TimeRange], model: str
) -> list[dict[int, CampaignNumbers]]:
    """As `campaign_numbers`, in each of several ranges, which are read together."""
    return (await numbers_and_series(snapshot, campaigns, spans, model, [], None))[0]


async def numbers_and_series(
    snapshot: Snapshot, campaigns: Mapping[int, str], spans: Sequence[TimeRange], model: str, points: Sequence[TimeRange],
    metric: str | None,
) -> tuple[list[dict[int, CampaignNumbers]], dict[int, list[Any]]]:  # fmt: skip
    """As `numbers_of_ranges`, and as `metric_of_ranges` of the ranges `points`: touches are read once for both."""
    of_touches = points if metric in TOUCH_METRICS else []
    outs = [{key: CampaignNumbers() for key in campaigns} for _ in (*spans, *of_touches)]
    if not campaigns:
        return outs, {}
    counted = await count_touches(snapshot, list(campaigns), [*spans, *of_touches])
    for out, one in zip(outs, counted, strict=True):
        _count_touches(out, one)
    numbers, series = outs[: len(spans)], outs[len(spans) :]
    for span, out in zip(spans, numbers, strict=True):
        for key, found in (await deal_numbers(snapshot, campaigns, span, [model])).items():
            _count_deals(out[key], found, model)
    if metric is None:
        return numbers, {}
    if metric in TOUCH_METRICS:
        return numbers, _values(series, campaigns, metric)
    return numbers, await metric_of_ranges(snapshot, campaigns, points, metric, model)


async def metric_of_ranges(
    snapshot: Snapshot, campaigns: Mapping[int, str], spans: Sequence[TimeRange], metric: str, model: str
) -> dict[int, list[Any]]:
    """One metric of campaigns, by key, in each of some ranges that follow one another without a gap. Raises as `campaign_numbers`."""
    outs = [{key: CampaignNumbers() for key in campaigns} for _ in spans]
    if metric in TOUCH_METRICS:
        for out, one in zip(outs, await count_touches(snapshot, list(campaigns), spans), strict=True):
            _count_touches(out, one)
    elif spans:
        parts = await deal_numbers_of_parts(snapshot, campaigns, spans, [model], metric)
        for out, part in zip(outs, parts, strict=True):
            for key, found in part.items():
                _count_deals(out[key], found, model)
    return _values(outs, campaigns, metric)


def _values(
    outs: Sequence[Mapping[int, CampaignNumbers]], campaigns: Mapping[int, str], metric: str
) -> dict[int, list[Any]]:
    return {key: [out[key].metrics()[metric] for out in outs] for key in campaigns}


def _count_deals(one: CampaignNumbers, found: DealNumbers, model: str) -> None:
    """Take over the new contacts of a campaign, its deals, and what it earned under a model."""
    earned = found.earned[model]
    one.counts |= {
        "new_contacts_first_touch": found.by_first_touch, "new_contacts_last_touch": found.by_last_touch,
        "influenced_deals": found.influenced_deals, "closed_deals": found.closed_deals,
        "contacts_with_revenue": found.contacts_with_revenue, "contacts_with_attributed_revenue": earned.contacts,
    }  # fmt: skip
    one.influenced_minor, one.attributed_minor = found.influenced_minor, earned.minor


async def count_touches(snapshot: Snapshot, campaigns: list[int], spans: Sequence[TimeRange]) -> list[TouchesCounted]:
    """What is counted of campaigns' touches in each range: by cells if there are any, else from the touches."""
    days = await cells_days(snapshot)
    if days is not None:
        edges_us = sorted({at_us for span in spans for at_us in (span.from_us, span.to_us)})
        cells = await campaign_cells(snapshot, days, campaigns, edges_us)
        within = [
            [
                n
                for n, (from_us, to_us) in enumerate(pairwise(edges_us))
                if span.from_us <= from_us and to_us <= span.to_us
            ]
            for span in spans
        ]  # what was first met, or began, between two edges, was so between no other two
        return [_of_cells(cells, buckets) for buckets in within]
    gather = _gather_few if len(campaigns) <= FEW_MAX else _gather_many
    return [await gather(snapshot, campaigns, span) for span in spans]


def _of_cells(cells: Mapping[int, CampaignCells], buckets: Sequence[int]) -> TouchesCounted:
    """What cells say of some buckets together, as the statements would answer it."""
    touches: Counter[tuple[int, Statuses, int]] = Counter()
    for key, found in cells.items():
        for n in buckets:
            for (statuses, kind), number in found.touches[n].items():
                touches[key, statuses, kind] += number
    return TouchesCounted(
        [
            {"campaign": key, "type": type_, "traffic_class": traffic_class, "touches": number,
             "by_asset": statuses[0], "by_via": statuses[1], "by_utm": statuses[2]}
            for (key, statuses, kind), number in touches.items() for type_, traffic_class in (kind_of(kind),)
        ],
        [
            {"campaign": key, "sessions": sum(found.sessions[n] for n in buckets),
             "new_sessions": sum(found.new_sessions[n] for n in buckets)} for key, found in cells.items()
        ],
        [
            {"campaign": key, "contacts": sum(found.influenced_contacts[n] for n in buckets)}
            for key, found in cells.items()
        ],
    )  # fmt: skip


async def _gather_few(snapshot: Snapshot, campaigns: list[int], span: TimeRange) -> TouchesCounted:
    """All that is read of the touches of a few campaigns, by one statement."""
    parts = await snapshot.fetchrow(FEW_CAMPAIGNS, campaigns, span.from_us, span.to_us)
    return TouchesCounted(**{name: [] if rows is None else orjson.loads(rows) for name, rows in parts.items()})


async def _gather_many(snapshot: Snapshot, campaigns: list[int], span: TimeRange) -> TouchesCounted:
    """The same of many campaigns, by a statement for each list of rows."""
    asked = campaigns, span.from_us, span.to_us
    return TouchesCounted(
        touch_counts=await snapshot.fetch(TOUCH_COUNTS, *asked),
        session_counts=await snapshot.fetch(SESSION_COUNTS, *asked),
        influenced=await snapshot.fetch(INFLUENCED, *asked),
    )


def _count_touches(out: dict[int, CampaignNumbers], counted: TouchesCounted) -> None:
    """Count touches by type, what was kept out by reason, sessions, and influenced contacts."""
    for row in counted.touch_counts:
        one = out[row["campaign"]]
        type_, reason = _counts_as(row["type"], row["traffic_class"], row["by_asset"], row["by_via"], row["by_utm"])
        if reason is None:
            one.touches[type_.wire] += row["touches"]
            if (metric := METRIC_OF_TYPE.get(type_)) is not None:
                one.counts[metric] += row["touches"]
        elif type_ in INFLUENCING:
            one.excluded[str(reason)] += row["touches"]
    for row in counted.session_counts:
        out[row["campaign"]].counts |= {"sessions": row["sessions"], "new_sessions": row["new_sessions"]}
    for row in counted.influenced:
        out[row["campaign"]].counts["influenced_contacts"] = row["contacts"]


@lru_cache(maxsize=4096)
def _counts_as(
    type_: int, traffic_class: int, by_asset: int | None, by_via: int | None, by_utm: int | None
) -> tuple[TouchType, KeptOut | None]:
    """The type of some touches, and why they do not count, None if they do. There are few different arguments, in many rows."""
    statuses = {"by_asset": by_asset, "by_via": by_via, "by_utm": by_utm}
    return TouchType(type_), kept_out(TrafficClass(traffic_class), statuses_by_route(statuses))


async def begins_with_touches(snapshot: Snapshot, span: TimeRange) -> bool:
    """Whether the workspace was touched by the end of a range's first day. If not, the range begins before there was anything to count, and its
    numbers are those of a part of it.
    """
    return bool(await snapshot.connection.fetchval(TOUCHED_BY, snapshot.ws, min(span.from_us + DAY_US, span.to_us)))


async def settled_through(snapshot: Snapshot, end_offset: int | None, step_us: int = 1) -> str | None:
    """The instant up to which the numbers will hardly change any more (rule **settled**); None before any live event. It is given in steps of
    so many microseconds, rounded down.

    Where the snapshot has all that the log held (its events end at `end_offset`; None if that is not known), lateness is counted
    back from now, else from the latest receipt among the snapshot's events (never from later than now: the clock that dated it may have been
    ahead).
    """
    late = {row["bucket"]: row["events"] for row in await snapshot.fetch(LATENESS)}
    if not late:
        return None
    now_us = time.time_ns() // 1000
    if end_offset is None or snapshot.as_of.offset < end_offset:
        now_us = min(now_us, await snapshot.connection.fetchval(RECEIVED, snapshot.as_of.partition))
    at_us = settled_through_us(now_us, late)
    return None if at_us is None else to_rfc3339(at_us - at_us % step_us)
