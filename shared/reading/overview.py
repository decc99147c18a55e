"""What are a campaign's numbers? Gathered in a few statements for one campaign or many, then counted by the rules."""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from services.api.requests import Range, Reading
from shared.events.instants import BEGINNING_US, to_rfc3339
from shared.events.money import Money, to_money
from shared.reading.attribution import CAMPAIGN_NUMBERS, DEALS_OF_CONTACTS, SHARES, SHARES_OF
from shared.projection.sql import sql
from shared.rules.deal import State, before_close
from shared.rules.exact import split
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.influence import INFLUENCING, TouchType
from shared.rules.pre_association import KeptOut, WindowStatus, kept_out
from shared.rules.settled import settled_through_us
from shared.store.generations import WrongShape, lacks_model

LATENESS = sql("SELECT bucket, events FROM {g}.lateness WHERE ws = $1")
RECEIVED = sql("SELECT received_us FROM {g}.progress WHERE partition = $1")
COUNTED_TYPES = {
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
CONTACT_METRICS = (
    "influenced_contacts", "new_contacts_first_touch", "new_contacts_last_touch", "contacts_with_revenue",
    "contacts_with_attributed_revenue",
)  # fmt: skip
DEAL_METRICS = ("influenced_deals", "closed_deals")


@dataclass
class Touched:
    """A campaign's first touches of one contact, in microseconds; None if it has none of the kind."""

    influence_us: int
    deal_touch_us: int | None
    revenue_touch_us: int | None


@dataclass
class Earned:
    """What a contact's touches earned a campaign, in minor units, and the latest close that earned it more than 0."""

    minor: int = 0
    closed_us: int = BEGINNING_US


@dataclass
class Numbers:
    """A campaign's metrics in a range, with the contacts and deals behind them."""

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

    def metrics(self) -> dict[str, Any]:
        """The metrics as the wire tells them."""
        return {
            **self.counts,
            "influenced_revenue": money(self.influenced_minor),
            "attributed_revenue": money(self.attributed_minor),
        }


def money(by_currency: dict[str, int]) -> list[Money]:
    """Amounts side by side; currencies are never added together."""
    return [to_money(minor, currency) for currency, minor in sorted(by_currency.items())]


async def numbers(read: Reading, campaigns: dict[int, str], span: Range, model: str) -> dict[int, Numbers]:
    """The numbers of campaigns (key to id)."""
    out = {key: Numbers() for key in campaigns}
    touched: dict[int, dict[int, Touched]] = {key: {} for key in campaigns}
    for row in await read.fetch(CAMPAIGN_NUMBERS, list(campaigns), span.from_us, span.to_us):
        _take(out[row["campaign"]], touched[row["campaign"]], row, span)
    await _deals(read, out, touched, span)
    ids = {campaign_id: key for key, campaign_id in campaigns.items()}
    for share in await shares(read, span, model, list(campaigns)):
        for campaign_id, paid_minor in share.parts:
            if share.has_amount and campaign_id in ids:
                _credit(out[ids[campaign_id]], share, paid_minor)
    for one in out.values():
        one.contacts["contacts_with_attributed_revenue"] = _earners(one)
        for metric in CONTACT_METRICS:
            one.counts[metric] = len(one.contacts[metric])
        for metric in DEAL_METRICS:
            one.counts[metric] = len(one.deals[metric])
    return out


def _take(one: Numbers, touched: dict[int, Touched], row: Any, span: Range) -> None:
    kind = row["kind"]
    if kind == "touches":
        _take_touches(one, row)
    elif kind == "sessions":
        one.counts["sessions"], one.counts["new_sessions"] = row["a"], row["b"]
    elif kind == "contact":
        contact = touched[row["a"]] = Touched(row["b"], row["c"], row["d"])
        if span.from_us <= contact.influence_us < span.to_us:
            one.contacts["influenced_contacts"][row["a"]] = contact.influence_us
    else:
        one.contacts[f"new_contacts_{kind}"][row["a"]] = row["b"]


def _take_touches(one: Numbers, row: Any) -> None:
    window_statuses = [None if row[column] is None else WindowStatus(row[column]) for column in ("d", "e", "f")]
    reason = kept_out(row["b"] == TrafficClass.MACHINE, row["b"] == TrafficClass.INTERNAL, *window_statuses)
    if reason is not None:
        if row["a"] in INFLUENCING:
            one.excluded[str(reason)] += row["n"]
        return
    one.touches[TouchType(row["a"]).wire] += row["n"]
    if (metric := COUNTED_TYPES.get(TouchType(row["a"]))) is not None:
        one.counts[metric] += row["n"]


async def _deals(read: Reading, out: dict[int, Numbers], touched: dict[int, dict[int, Touched]], span: Range) -> None:
    """Count the deals of the contacts that each campaign touched."""
    campaigns_of: dict[int, list[int]] = defaultdict(list)
    for key, contacts in touched.items():
        for contact in contacts:
            campaigns_of[contact].append(key)
    for deal in await read.fetch(DEALS_OF_CONTACTS, list(campaigns_of)):
        closed_us = deal["closed_us"]
        if not span.from_us <= (deal["created_us"] if closed_us is None else closed_us) < span.to_us:
            continue
        for key in campaigns_of[deal["contact"]]:
            _count_deal(out[key], touched[key][deal["contact"]], deal)


def _count_deal(one: Numbers, contact: Touched, deal: Any) -> None:
    won, closed_us = deal["state"] == State.WON, deal["closed_us"]
    if won and before_close(contact.revenue_touch_us, closed_us):
        latest_us = max(closed_us, one.contacts["contacts_with_revenue"].get(deal["contact"], closed_us))
        one.contacts["contacts_with_revenue"][deal["contact"]] = latest_us
    if not before_close(contact.deal_touch_us, closed_us) or deal["deal"] in one.deals["influenced_deals"]:
        return
    one.deals["influenced_deals"][deal["deal"]] = deal
    if won:
        one.deals["closed_deals"][deal["deal"]] = deal
        if deal["amount_minor"] is not None:
            one.influenced_minor[deal["currency"]] += deal["amount_minor"]


@dataclass(frozen=True, slots=True)
class Share:
    """What one touch of a won deal was paid, and the part of each of its campaigns (none: no campaign), in minor units.

    Of a deal without an amount (`has_amount`) it is 0.
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


async def shares(read: Reading, span: Range, model: str, campaigns: Sequence[int] | None = None) -> list[Share]:
    """Every touch of the journeys of the deals won in the range, its share split among its campaigns.

    With `campaigns`, by their keys, only those of touches that count for one of them. Raises as `shares_by_model`.
    """
    return (await shares_by_model(read, span, [model], campaigns))[model]


async def shares_by_model(
    read: Reading, span: Range, models: Sequence[str], campaigns: Sequence[int] | None = None
) -> dict[str, list[Share]]:
    """As `shares`, under several models at once. Raises `WrongShape` if the store does not know one of them."""
    if campaigns is None:
        rows = await read.fetch(SHARES, span.from_us, span.to_us)
    else:
        rows = await read.fetch(SHARES_OF, span.from_us, span.to_us, list(campaigns))
    paid = next((row["shares_minor"] for row in rows if row["shares_minor"] is not None), None)
    if paid is not None and (unknown := [model for model in models if model not in paid]):
        raise WrongShape(lacks_model(read.generation, unknown[0]))
    return {model: [_share(row, model) for row in rows] for model in models}


def _share(row: Any, model: str) -> Share:
    named, by_model = row["campaigns"], row["shares_minor"]
    share_minor = 0 if by_model is None else by_model[model]
    return Share(
        row["deal"], row["contact"], row["currency"], row["closed_us"], by_model is not None, share_minor,
        list(zip(named, split(share_minor, len(named)), strict=True)) if named else [],
        row["event_id"], row["type"], row["occurred_at_us"],
    )  # fmt: skip


def _credit(one: Numbers, share: Share, paid_minor: int) -> None:
    one.attributed_minor[share.currency] += paid_minor
    one.deal_shares_minor[share.deal] += paid_minor
    earned = one.earned[share.contact, share.currency]
    earned.minor += paid_minor
    if paid_minor > 0:
        earned.closed_us = max(share.closed_us, earned.closed_us)


def _earners(one: Numbers) -> dict[int, int]:
    """The contacts whose touches earned the campaign more than 0 of a currency, refunds deducted, by the latest such close."""
    out: dict[int, int] = {}
    for (contact, _), earned in one.earned.items():
        if earned.minor > 0:
            out[contact] = max(earned.closed_us, out.get(contact, earned.closed_us))
    return out


async def settled_through(read: Reading, end_offset: int | None) -> str | None:
    """Up to when the numbers will hardly change any more (rule **settled**); None before any live event.

    Where all that the log holds (up to `end_offset`) is projected, lateness is counted back from now, else from the latest
    receipt that the numbers know of.
    """
    late = {row["bucket"]: row["events"] for row in await read.fetch(LATENESS)}
    now_us = time.time_ns() // 1000
    if end_offset is None or read.as_of.offset < end_offset:
        now_us = await read.connection.fetchval(RECEIVED, read.as_of.partition)
    at_us = settled_through_us(now_us, late)
    return None if at_us is None else to_rfc3339(at_us)
