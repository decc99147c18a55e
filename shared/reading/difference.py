"""How do two generations of one workspace differ? Which campaign, deal and contact gains or loses what, by which touches.

Both are read by the functions that answer all other reads.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.events.instants import to_rfc3339
from shared.events.money import to_money
from shared.projection.sql import sql
from shared.reading.attribution import TOUCHES_OF_CONTACTS
from shared.reading.drilldown import contacts_behind
from shared.reading.overview import CONTACT_METRICS, CampaignNumbers, campaign_numbers
from shared.reading.shares import Share, shares
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import ALL_TIME
from shared.reading.touches import statuses_by_route
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.influence import TouchType
from shared.rules.pre_association import kept_out

CAMPAIGNS = sql("SELECT campaign, campaign_id, name FROM {g}.campaign WHERE ws = $1 ORDER BY campaign_id")
DEALS = sql("SELECT deal, deal_id, state, amount_minor, currency FROM {g}.deal WHERE ws = $1")
CONTACTS = sql("SELECT contact, name FROM {g}.contact WHERE ws = $1")

Pair = list[Any]
"""What the first generation says, and what the second one says."""


@dataclass
class GenerationNumbers:
    """What one generation says of the workspace: names by key, the deals' rows by id, and the numbers of all time."""

    snapshot: Snapshot
    campaigns: dict[int, str]
    names: dict[int, str]
    deals: dict[str, dict[str, Any]]
    numbers: dict[str, CampaignNumbers]
    """By the campaign's id."""
    behind: dict[tuple[str, str], set[str]]
    """The names of the contacts behind a number, by the campaign's id and the metric."""
    shares: dict[tuple[str, str], Share]
    """By the ids of the deal and of the touch's event."""
    earned: dict[tuple[str, str, str], int] = field(default_factory=lambda: defaultdict(int))
    """In minor units, by the contact's name, the campaign's id (empty: no campaign), and the currency."""

    @classmethod
    async def of(cls, snapshot: Snapshot, model: str) -> "GenerationNumbers":
        """Read it from a snapshot; revenue is shared out under `model`."""
        campaigns = {row["campaign"]: row["campaign_id"] for row in await snapshot.fetch(CAMPAIGNS)}
        names = {row["contact"]: row["name"] for row in await snapshot.fetch(CONTACTS)}
        rows = await snapshot.fetch(DEALS)
        deal_ids = {row["deal"]: row["deal_id"] for row in rows}
        numbers = await campaign_numbers(snapshot, campaigns, ALL_TIME, model)
        behind: dict[tuple[str, str], set[str]] = defaultdict(set)
        for metric in CONTACT_METRICS:
            for row in await contacts_behind(snapshot, list(campaigns), metric, ALL_TIME, model):
                behind[campaigns[row["campaign"]], metric].add(row["name"])
        paid = [share for share in await shares(snapshot, ALL_TIME, model) if share.has_amount]
        side = cls(
            snapshot, campaigns, names, {row["deal_id"]: dict(row) for row in rows},
            {campaigns[key]: one for key, one in numbers.items()}, behind, {(deal_ids[s.deal], s.event_id): s for s in paid},
        )  # fmt: skip
        for share in paid:
            for campaign, minor in share.parts or [("", share.share_minor)]:
                side.earned[names[share.contact], campaign, share.currency] += minor
        return side


async def difference(first: Snapshot, other: Snapshot, model: str) -> dict[str, Any]:
    """How `other` differs from `first`, revenue shared out under `model`. Every value is a pair: of `first`, and of `other`."""
    a, b = await GenerationNumbers.of(first, model), await GenerationNumbers.of(other, model)
    contacts = _contacts(a, b)
    return {
        "model": model,
        "as_of": [str(first.as_of), str(other.as_of)],
        "campaigns": _campaigns(a.numbers, b.numbers),
        "deals": _deals(a, b),
        "contacts": await _with_touches(a, b, contacts),
    }


async def campaigns_that_differ(first: Snapshot, other: Snapshot, model: str) -> list[dict[str, Any]]:
    """The part of `difference` that is about campaigns, with their names: what each gains or loses, in all time."""
    numbers: list[dict[str, CampaignNumbers]] = []
    names: dict[str, str | None] = {}
    for snapshot in (first, other):
        rows = {row["campaign"]: row for row in await snapshot.fetch(CAMPAIGNS)}
        names |= {row["campaign_id"]: row["name"] for row in rows.values()}
        ids = {key: row["campaign_id"] for key, row in rows.items()}
        of_generation = await campaign_numbers(snapshot, ids, ALL_TIME, model)
        numbers.append({ids[key]: values for key, values in of_generation.items()})
    return [values | {"name": names[values["campaign_id"]]} for values in _campaigns(*numbers)]


def _campaigns(a: Mapping[str, CampaignNumbers], b: Mapping[str, CampaignNumbers]) -> list[dict[str, Any]]:
    out = []
    for campaign_id in sorted(a.keys() | b.keys()):
        was, now = a.get(campaign_id), b.get(campaign_id)
        metrics = _changed(was.metrics() if was else {}, now.metrics() if now else {})
        excluded = _changed(was.excluded if was else {}, now.excluded if now else {})
        if metrics or excluded or (was is None) != (now is None):
            there = [was is not None, now is not None]
            out.append({"campaign_id": campaign_id, "exists": there, "metrics": metrics, "excluded": excluded})
    return out


def _changed(was: dict[str, Any], now: dict[str, Any]) -> dict[str, Pair]:
    return {key: [was.get(key), now.get(key)] for key in {**was, **now} if was.get(key) != now.get(key)}


def _deals(a: GenerationNumbers, b: GenerationNumbers) -> list[dict[str, Any]]:
    touches: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for deal, event_id in sorted(a.shares.keys() | b.shares.keys()):
        was, now = a.shares.get((deal, event_id)), b.shares.get((deal, event_id))
        if (shares := [_share(was), _share(now)])[0] != shares[1]:
            touch = now or was
            assert touch is not None
            side = b if now else a
            touches[deal].append(
                {"event_id": event_id, "type": TouchType(touch.type).wire,
                 "occurred_at": to_rfc3339(touch.occurred_at_us), "contact": side.names[touch.contact],
                 "share": [t and t["share"] for t in shares], "campaigns": [t and t["campaigns"] for t in shares]}
            )  # fmt: skip
    out = []
    for deal_id in sorted(a.deals.keys() | b.deals.keys()):
        states = [_deal(side.deals.get(deal_id)) for side in (a, b)]
        if states[0] != states[1] or deal_id in touches:
            ordered = sorted(touches[deal_id], key=lambda touch: (touch["occurred_at"], touch["event_id"]))
            out.append({"deal_id": deal_id, "state": states, "touches": ordered})
    return out


def _share(share: Share | None) -> dict[str, Any] | None:
    if share is None:
        return None
    return {
        "share": to_money(share.share_minor, share.currency),
        "campaigns": [campaign for campaign, _ in share.parts],
    }


def _deal(row: dict[str, Any] | None) -> dict[str, Any] | None:
    if row is None:
        return None
    amount = None if row["amount_minor"] is None else to_money(row["amount_minor"], row["currency"])
    return {"state": row["state"], "amount": amount}


def _contacts(a: GenerationNumbers, b: GenerationNumbers) -> dict[str, dict[str, Any]]:
    """By the contact's name: for which campaigns and metrics only `b` counts it, for which only `a` does, and what it earned in each."""
    out: dict[str, dict[str, Any]] = defaultdict(lambda: {"gains": [], "loses": [], "revenue": []})
    for campaign_id in sorted(a.numbers.keys() | b.numbers.keys()):
        for metric in CONTACT_METRICS:
            was, now = (side.behind.get((campaign_id, metric), set()) for side in (a, b))
            for name in now - was:
                out[name]["gains"].append({"campaign_id": campaign_id, "metric": metric})
            for name in was - now:
                out[name]["loses"].append({"campaign_id": campaign_id, "metric": metric})
    for name, campaign_id, currency in sorted(a.earned.keys() | b.earned.keys()):
        pair = [side.earned.get((name, campaign_id, currency), 0) for side in (a, b)]
        if pair[0] != pair[1]:
            paid = [to_money(minor, currency) for minor in pair]
            out[name]["revenue"].append({"campaign_id": campaign_id or None, "attributed": paid})
    return out


async def _with_touches(
    a: GenerationNumbers, b: GenerationNumbers, contacts: dict[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    """The contacts, each with the touches that only one of the two generations counts for a campaign."""
    concerned = {
        change["campaign_id"] for changes in contacts.values() for kind in changes for change in changes[kind]
    } - {None}  # fmt: skip
    counted = [await _counted(side, concerned, contacts.keys()) for side in (a, b)]
    out = []
    for name in sorted(contacts):
        touches = []
        for touch in sorted(counted[0].get(name, set()) ^ counted[1].get(name, set())):
            at_us, event_id, type_, campaign_id = touch
            touches.append(
                {"event_id": event_id, "type": TouchType(type_).wire, "occurred_at": to_rfc3339(at_us),
                 "campaign_id": campaign_id, "counts": [touch in counted[0].get(name, ()), touch in counted[1].get(name, ())]}
            )  # fmt: skip
        out.append({"contact": name, **contacts[name], "touches": touches})
    return out


async def _counted(
    side: GenerationNumbers, campaigns: Iterable[str], names: Iterable[str]
) -> dict[str, set[tuple[int, str, int, str]]]:
    """The influencing touches of these contacts that count for these campaigns, by the contact's name.

    Each as its instant in microseconds, its event id, its type, and the campaign's id.
    """
    wanted = set(names)
    keys = [key for key, name in side.names.items() if name in wanted]
    out: dict[str, set[tuple[int, str, int, str]]] = defaultdict(set)
    for campaign, campaign_id in side.campaigns.items():
        if campaign_id in campaigns:
            for row in await side.snapshot.fetch(TOUCHES_OF_CONTACTS, [campaign], keys):
                if kept_out(TrafficClass(row["traffic_class"]), statuses_by_route(row)) is not None:
                    continue
                touch = (row["occurred_at_us"], row["event_id"], row["type"], campaign_id)
                out[side.names[row["contact"]]].add(touch)
    return out
