"""What are the numbers of campaigns in a range of time?

`campaign_numbers` is the only place where they are asked: for the list of campaigns and the overview of one, for the contacts and
deals behind a number, and for the difference between two generations.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import orjson

from shared.events.instants import BEGINNING_US, to_rfc3339
from shared.events.money import Money, to_money
from shared.projection.sql import sql
from shared.reading.attribution import (
    CONVERSION_UTMS,
    DEALS_OF_CONTACTS,
    FEW_CAMPAIGNS,
    FIRST_VISITS,
    LAST_TOUCHES,
    REACHED_CONTACTS,
    SESSION_COUNTS,
    TOUCH_COUNTS,
)
from shared.reading.cells import CampaignCells, Statuses, campaign_cells, cells_days, kind_of
from shared.reading.shares import Share, shares
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import TimeRange
from shared.reading.touches import statuses_by_route
from shared.rules.deal import State, brings_revenue, counts, dated_us
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.first_and_last_touch import is_first_touch, is_last_touch, is_last_touch_by_utm
from shared.rules.influence import INFLUENCING, TouchType
from shared.rules.order import Order
from shared.rules.pre_association import KeptOut, WindowStatus, kept_out
from shared.rules.settled import settled_through_us

LATENESS = sql("SELECT bucket, events FROM {g}.lateness WHERE ws = $1")
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


@dataclass(frozen=True, slots=True)
class ReachedContact:
    """When a campaign's first touches of one contact were, in microseconds; None if it has none of that kind."""

    influence_us: int
    deal_touch_us: int | None
    revenue_touch_us: int | None


@dataclass(frozen=True, slots=True)
class Gathered:
    """The rows of the statements of `shared.reading.attribution` that have these names."""

    touch_counts: Sequence[Any]
    session_counts: Sequence[Any]
    reached_contacts: Sequence[Any]
    first_visits: Sequence[Any]
    last_touches: Sequence[Any]
    conversion_utms: Sequence[Any]


class TouchesCounted(NamedTuple):
    """Rows of `TOUCH_COUNTS` and `SESSION_COUNTS`, and influenced contacts by campaign; None: these are not counted."""

    touch_counts: Sequence[Any]
    session_counts: Sequence[Any]
    influenced_contacts: Mapping[int, int] | None


@dataclass
class Earned:
    """What a contact's touches earned a campaign in one currency, in minor units, and the latest close that earned more than 0."""

    minor: int = 0
    closed_us: int = BEGINNING_US


@dataclass
class CampaignNumbers:
    """A campaign's metrics in a range, and the contacts and deals behind them.

    `contacts` has by metric the contacts by key, each with the instant that dates it in microseconds; `deals` by metric the rows
    of the deals by key. Amounts are in minor units by currency. `excluded` counts touches by why they were kept out.
    """

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    touches: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    influenced_minor: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    attributed_minor: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    excluded: dict[str, int] = field(default_factory=lambda: {str(reason): 0 for reason in KeptOut})
    contacts: dict[str, dict[int, int]] = field(default_factory=lambda: {m: {} for m in CONTACT_METRICS})
    deals: dict[str, dict[int, Any]] = field(default_factory=lambda: {m: {} for m in DEAL_METRICS})
    deal_shares_minor: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    earned: dict[tuple[int, str], Earned] = field(default_factory=lambda: defaultdict(Earned))
    """By contact and currency."""

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
    snapshot: Snapshot, campaigns: Mapping[int, str], span: TimeRange, model: str
) -> dict[int, CampaignNumbers]:
    """The numbers of campaigns (their ids by key) in a range, revenue shared out under a model. Answers them by key.

    Raises `WrongShape` if the store lacks the model.
    """
    return (await numbers_of_ranges(snapshot, campaigns, [span], model))[0]


async def numbers_of_ranges(
    snapshot: Snapshot, campaigns: Mapping[int, str], spans: Sequence[TimeRange], model: str
) -> list[dict[int, CampaignNumbers]]:
    """As `campaign_numbers`, in each of several ranges, which are read together."""
    keys = list(campaigns)
    outs = [{key: CampaignNumbers() for key in keys} for _ in spans]
    if not keys:
        return outs
    whole = TimeRange(min(span.from_us for span in spans), max(span.to_us for span in spans))
    counted = await count_touches(snapshot, keys, spans)
    gathered = await (_gather_few if counted is None else _gather_contacts)(snapshot, keys, whole)
    for n, (span, out) in enumerate(zip(spans, outs, strict=True)):
        _count_touches(out, gathered if counted is None else counted[n])
        _count_reached(out, gathered, span)
        _count_new_contacts(out, gathered, span)
    await _count_deals(snapshot, outs, gathered, spans)
    ids = {campaign_id: key for key, campaign_id in campaigns.items()}
    for share in await shares(snapshot, whole, model, keys):
        for campaign_id, part_minor in share.parts:
            if share.has_amount and campaign_id in ids:
                for span, out in zip(spans, outs, strict=True):
                    if share.closed_us in span:
                        _add_share(out[ids[campaign_id]], share, part_minor)
    for n, out in enumerate(outs):
        for key, one in out.items():
            _count_behind(one)
            influenced = None if counted is None else counted[n].influenced_contacts
            if influenced is not None:
                one.counts["influenced_contacts"] = influenced[key]
    return outs


TOUCH_METRICS = frozenset({"sessions", "new_sessions", "influenced_contacts", *METRIC_OF_TYPE.values()})
"""The metrics that touches alone decide, so that nothing else is read for them where there are cells."""


async def metric_of_ranges(
    snapshot: Snapshot, campaigns: Mapping[int, str], spans: Sequence[TimeRange], metric: str, model: str
) -> dict[int, list[Any]]:
    """One metric of campaigns, by key, in each range. Raises as `campaign_numbers`."""
    keys = list(campaigns)
    counted = await count_touches(snapshot, keys, spans) if metric in TOUCH_METRICS else None
    if counted is None or any(one.influenced_contacts is None for one in counted):
        numbers = await numbers_of_ranges(snapshot, campaigns, spans, model)
        return {key: [out[key].metrics()[metric] for out in numbers] for key in keys}
    values: dict[int, list[Any]] = {key: [] for key in keys}
    for one in counted:
        out = {key: CampaignNumbers() for key in keys}
        _count_touches(out, one)
        for key in keys:
            of = one.influenced_contacts if metric == "influenced_contacts" else None
            values[key].append(out[key].counts[metric] if of is None else of[key])
    return values


def _count_behind(one: CampaignNumbers) -> None:
    """Count the contacts and deals that are behind the numbers."""
    one.contacts["contacts_with_attributed_revenue"] = _earners(one)
    for metric in CONTACT_METRICS:
        one.counts[metric] = len(one.contacts[metric])
    for metric in DEAL_METRICS:
        one.counts[metric] = len(one.deals[metric])


async def count_touches(
    snapshot: Snapshot, campaigns: list[int], spans: Sequence[TimeRange]
) -> list[TouchesCounted] | None:
    """What is counted of campaigns' touches in each range: by cells if there are any, else from the touches.

    None: there are no cells, and for a single range of few campaigns it is faster to read these together with their contacts.
    """
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
    if len(campaigns) <= FEW_MAX and len(spans) == 1:
        return None
    return [
        TouchesCounted(
            await snapshot.fetch(TOUCH_COUNTS, campaigns, span.from_us, span.to_us),
            await snapshot.fetch(SESSION_COUNTS, campaigns, span.from_us, span.to_us), None,
        ) for span in spans
    ]  # fmt: skip


def _of_cells(cells: Mapping[int, CampaignCells], buckets: Sequence[int]) -> TouchesCounted:
    """What cells say of some buckets together, as the statements would answer it."""
    touches: Counter[tuple[int, Statuses, int]] = Counter()
    for key, found in cells.items():
        for n in buckets:
            for (statuses, kind), number in found.touches[n].items():
                touches[key, statuses, kind] += number
    return TouchesCounted(
        [
            {"campaign": key, "type": kind_of(kind)[0], "traffic_class": kind_of(kind)[1], "touches": number,
             "by_asset": statuses[0], "by_via": statuses[1], "by_utm": statuses[2]}
            for (key, statuses, kind), number in touches.items()
        ],
        [
            {"campaign": key, "sessions": sum(found.sessions[n] for n in buckets),
             "new_sessions": sum(found.new_sessions[n] for n in buckets)} for key, found in cells.items()
        ],
        {key: sum(found.influenced_contacts[n] for n in buckets) for key, found in cells.items()},
    )  # fmt: skip


async def _gather_few(snapshot: Snapshot, campaigns: list[int], span: TimeRange) -> Gathered:
    """All that is read of the touches of a few campaigns, by one statement."""
    parts = await snapshot.fetchrow(FEW_CAMPAIGNS, campaigns, span.from_us, span.to_us)
    return Gathered(**{name: [] if rows is None else orjson.loads(rows) for name, rows in parts.items()})


async def _gather_contacts(snapshot: Snapshot, campaigns: list[int], span: TimeRange) -> Gathered:
    """The contacts that campaigns reached and that were created in the range, where touches and sessions are counted already."""
    asked = campaigns, span.from_us, span.to_us
    reached = await snapshot.fetch(REACHED_CONTACTS, campaigns)
    visits = {(row["contact"], row["page_visit_us"]) for row in reached if row["page_visit_us"] is not None}
    contacts, instants_us = [contact for contact, _ in visits], [at_us for _, at_us in visits]
    return Gathered(
        touch_counts=[],
        session_counts=[],
        reached_contacts=reached,
        first_visits=await snapshot.fetch(FIRST_VISITS, *asked, contacts, instants_us),
        last_touches=await snapshot.fetch(LAST_TOUCHES, *asked),
        conversion_utms=await snapshot.fetch(CONVERSION_UTMS, *asked),
    )


def _count_touches(out: dict[int, CampaignNumbers], counted: Gathered | TouchesCounted) -> None:
    """Count touches by type, what was kept out by reason, and sessions."""
    for row in counted.touch_counts:
        one, type_ = out[row["campaign"]], TouchType(row["type"])
        reason = kept_out(TrafficClass(row["traffic_class"]), statuses_by_route(row))
        if reason is None:
            one.touches[type_.wire] += row["touches"]
            if (metric := METRIC_OF_TYPE.get(type_)) is not None:
                one.counts[metric] += row["touches"]
        elif type_ in INFLUENCING:
            one.excluded[str(reason)] += row["touches"]
    for row in counted.session_counts:
        out[row["campaign"]].counts |= {"sessions": row["sessions"], "new_sessions": row["new_sessions"]}


def _count_reached(out: dict[int, CampaignNumbers], gathered: Gathered, span: TimeRange) -> None:
    """Find the influenced contacts of a range."""
    for row in gathered.reached_contacts:
        if row["influence_us"] in span:
            out[row["campaign"]].contacts["influenced_contacts"][row["contact"]] = row["influence_us"]


def _count_new_contacts(out: dict[int, CampaignNumbers], gathered: Gathered, span: TimeRange) -> None:
    """Find the contacts created in a range, by their first and by their last touch."""
    for row in gathered.first_visits:
        if row["created_us"] in span and is_first_touch(TrafficClass(row["traffic_class"]), statuses_by_route(row)):
            out[row["campaign"]].contacts["new_contacts_first_touch"][row["contact"]] = row["created_us"]
    for row in gathered.last_touches:
        touch = Order(row["occurred_at_us"], row["event_id"])
        kind = TouchType(row["type"]), TrafficClass(row["traffic_class"]), WindowStatus(row["window_status"])
        if row["created_us"] in span and is_last_touch(touch, *kind, Order(row["created_us"], row["created_event"])):
            out[row["campaign"]].contacts["new_contacts_last_touch"][row["contact"]] = row["created_us"]
    for row in gathered.conversion_utms:
        if row["created_us"] in span and is_last_touch_by_utm(WindowStatus(row["window_status"])):
            out[row["campaign"]].contacts["new_contacts_last_touch"][row["contact"]] = row["created_us"]


async def _count_deals(
    snapshot: Snapshot, outs: Sequence[dict[int, CampaignNumbers]], gathered: Gathered, spans: Sequence[TimeRange]
) -> None:
    """Find the deals of each range, of the contacts that each campaign ever reached, whenever that was."""
    reached: dict[int, list[tuple[int, ReachedContact]]] = defaultdict(list)
    for row in gathered.reached_contacts:
        first = ReachedContact(row["influence_us"], row["deal_touch_us"], row["revenue_touch_us"])
        reached[row["contact"]].append((row["campaign"], first))
    for deal in await snapshot.fetch(DEALS_OF_CONTACTS, list(reached)):
        at_us = dated_us(deal["created_us"], deal["closed_us"])
        for span, out in zip(spans, outs, strict=True):
            if at_us in span:
                for key, contact in reached[deal["contact"]]:
                    _add_deal(out[key], contact, deal)


def _add_deal(one: CampaignNumbers, contact: ReachedContact, deal: Any) -> None:
    """Add a deal of one of its eligible contacts to a campaign's numbers, if the rule says that it counts."""
    state, closed_us = State(deal["state"]), deal["closed_us"]
    if brings_revenue(state, closed_us, contact.revenue_touch_us):
        latest_us = max(closed_us, one.contacts["contacts_with_revenue"].get(deal["contact"], closed_us))
        one.contacts["contacts_with_revenue"][deal["contact"]] = latest_us
    if not counts(state, closed_us, contact.deal_touch_us) or deal["deal"] in one.deals["influenced_deals"]:
        return
    one.deals["influenced_deals"][deal["deal"]] = deal
    if state is State.WON:
        one.deals["closed_deals"][deal["deal"]] = deal
        if deal["amount_minor"] is not None:
            one.influenced_minor[deal["currency"]] += deal["amount_minor"]


def _add_share(one: CampaignNumbers, share: Share, part_minor: int) -> None:
    one.attributed_minor[share.currency] += part_minor
    one.deal_shares_minor[share.deal] += part_minor
    earned = one.earned[share.contact, share.currency]
    earned.minor += part_minor
    if part_minor > 0:
        earned.closed_us = max(share.closed_us, earned.closed_us)


def _earners(one: CampaignNumbers) -> dict[int, int]:
    """The contacts whose touches earned the campaign more than 0 of a currency, refunds deducted, by the latest such close."""
    out: dict[int, int] = {}
    for (contact, _), earned in one.earned.items():
        if earned.minor > 0:
            out[contact] = max(earned.closed_us, out.get(contact, earned.closed_us))
    return out


async def settled_through(snapshot: Snapshot, end_offset: int | None) -> str | None:
    """The instant up to which the numbers will hardly change any more (rule **settled**); None before any live event.

    Where the snapshot has all that the log held (its events end at `end_offset`; None if that is not known), lateness is counted
    back from now, else from the latest receipt among the snapshot's events.
    """
    late = {row["bucket"]: row["events"] for row in await snapshot.fetch(LATENESS)}
    now_us = time.time_ns() // 1000
    if end_offset is None or snapshot.as_of.offset < end_offset:
        now_us = await snapshot.connection.fetchval(RECEIVED, snapshot.as_of.partition)
    at_us = settled_through_us(now_us, late)
    return None if at_us is None else to_rfc3339(at_us)
