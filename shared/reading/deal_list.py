"""Which deals are there, for which campaigns does each count, and whose is one?"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from shared.events.codec import decode_event
from shared.events.instants import to_rfc3339
from shared.projection.sql import sql
from shared.projection.stages.deals.gather import CONTACTS_OF, ENTITY_EVENTS, keys_named, members_of
from shared.reading.attribution import CAMPAIGNS_OF_DEALS
from shared.reading.described_touches import named_contacts
from shared.reading.keyset import HOLDS_TEXT, Ordering, both_ways, key_arguments, looked_through, paged
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import ALL_TIME, TimeRange
from shared.rules.deal import DealReason, Member, absences, eligible
from shared.rules.order import Order

AMOUNT = "coalesce(d.amount_minor, '-9223372036854775808'::bigint)"
NAME = """lower(coalesce(d.name, d.deal_id COLLATE "default")) COLLATE "C\""""

DEAL_ORDERS = both_ways(
    {
        "closed_at": Ordering((("coalesce(d.closed_us, d.created_us)", "bigint"), ("d.deal_id", "text"))),
        "amount": Ordering((("d.currency", "text"), (AMOUNT, "bigint"), ("d.deal_id", "text"))),
        "name": Ordering(((NAME, "text"), ("d.deal_id", "text"))),
    }
)
"""By the close (an open deal by its creation), by currency and then by amount, or by the name (without one, the id)."""

_PAGES = paged(
    f"""
SELECT d.deal, d.deal_id, d.name, d.state, d.amount_minor, d.currency, d.created_us, d.closed_us, {{keys}},
    (SELECT count(*) FROM {{g}}.deal_contact dc WHERE dc.ws = $1 AND dc.deal = d.deal) AS contacts
FROM {{g}}.deal d WHERE d.ws = $1 AND ($2::text IS NULL OR d.state = $2)
    AND ($3::text = '' OR {HOLDS_TEXT.format(column='d.deal_id COLLATE "default"')} OR {HOLDS_TEXT.format(column="d.name")})
    AND coalesce(d.closed_us, d.created_us) >= $4 AND coalesce(d.closed_us, d.created_us) < $5
    AND ($6::bigint[] IS NULL OR d.deal = ANY($6)) AND {{after}}""",
    DEAL_ORDERS,
    7,
)


NAMING_CONTACT = sql("""
SELECT DISTINCT n.deal FROM {g}.identifier i JOIN {g}.deal_named n ON n.ws = $1 AND n.identifier = i.identifier
WHERE i.ws = $1 AND i.contact = $2
""")


@dataclass(frozen=True, slots=True)
class DealFilter:
    """Which deals: in a state (None: any), with a text in id or name, closed (open ones: created) in a range, among some by key."""

    state: str | None
    text: str
    span: TimeRange
    among: Collection[int] | None = None


async def deals_page(
    snapshot: Snapshot, wanted: DealFilter, sort: str, after: Sequence[Any] | None, limit: int
) -> tuple[list[Any], list[list[Any]]]:
    """The rows of at most `limit` deals in an order of `DEAL_ORDERS`, after a key; and the key of each."""
    order = DEAL_ORDERS[sort]
    rows = await snapshot.fetch(
        _PAGES[sort], wanted.state, wanted.text, wanted.span.from_us, wanted.span.to_us,
        None if wanted.among is None else list(wanted.among), *key_arguments(order, after), limit,
    )  # fmt: skip
    return rows, [order.key_of(row) for row in rows]


async def campaigns_of_deals(snapshot: Snapshot, deals: Sequence[int]) -> dict[int, list[str]]:
    """The ids of the campaigns that each deal, by its key, counts for (rule **deal**), in order."""
    out: dict[int, list[str]] = defaultdict(list)
    for row in await snapshot.fetch(CAMPAIGNS_OF_DEALS, list(deals)):
        out[row["deal"]].append(row["campaign_id"])
    return out


class Membership(NamedTuple):
    """A contact that a deal was ever associated with: by which event, by which one it left (None: it has not), and why it is not eligible (None: it is)."""

    associated: Order
    dissociated: Order | None
    reason: DealReason | None


def memberships(members: Sequence[Member], closed_us: int | None) -> dict[int, Membership]:
    """Every contact, by its key, that a deal was ever associated with; `members` are in order, `closed_us` is the deal's close."""
    present, absent = eligible(members, closed_us), absences(members, closed_us)
    joined: dict[int, Order] = {}
    left: dict[int, Order] = {}
    for member in members:
        if not member.joins:
            if member.contact in joined:
                left[member.contact] = member.order
        elif member.contact not in joined or member.contact in left:
            joined[member.contact] = member.order
            left.pop(member.contact, None)
    return {
        contact: Membership(order, left.get(contact), None if contact in present else absent[contact].reason)
        for contact, order in joined.items()
    }


async def _memberships(snapshot: Snapshot, deals: Sequence[Any]) -> dict[int, dict[int, Membership]]:
    """The same of each of these deals (their rows), by the deal's key."""
    events: dict[int, list[Any]] = defaultdict(list)
    for r in await snapshot.fetch(ENTITY_EVENTS, [deal["deal"] for deal in deals]):
        events[r["subject"]].append((Order(r["occurred_at_us"], r["event_id"]), r["type"], decode_event(r["body"])))
    named = {key for of_deal in events.values() for key in keys_named(of_deal)}
    contacts = {r["identifier"]: r["contact"] for r in await snapshot.fetch(CONTACTS_OF, list(named))}
    return {
        deal["deal"]: memberships(sorted(members_of(events[deal["deal"]], contacts)), deal["closed_us"])
        for deal in deals
    }


async def contacts_of_deal(snapshot: Snapshot, deal: Any) -> list[dict[str, Any]]:
    """Each contact that a deal (its row) was ever associated with: since when, until when, and whether it is eligible, or why not."""
    members = (await _memberships(snapshot, [deal]))[deal["deal"]]
    who = await named_contacts(snapshot, members)
    return [
        {"contact": who[contact].name, "name": who[contact].called, "email": who[contact].email, **_as_answered(member)}
        for contact, member in sorted(members.items(), key=lambda pair: (pair[1].associated, who[pair[0]].name))
    ]


async def deals_of_contact(
    snapshot: Snapshot, contact: int, sort: str, after: Sequence[Any] | None, limit: int
) -> tuple[list[tuple[Any, dict[str, Any]]], list[Any] | None]:
    """At most `limit` deals with which a contact, by its key, was ever associated, in an order of `DEAL_ORDERS`, after a key.

    Each is its row, and since when and until when the contact was in the deal, and whether it is eligible, or why not. Then comes the key of the last deal that was
    looked at, None if no other names the contact. Some of these only ever dissociated it: so there may be fewer than `limit`, if 1,000 deals were looked at.
    """
    among = [row["deal"] for row in await snapshot.fetch(NAMING_CONTACT, contact)]
    wanted = DealFilter(None, "", ALL_TIME, among)

    async def read(key: Sequence[Any] | None, count: int) -> list[Any]:
        return (await deals_page(snapshot, wanted, sort, key, count))[0]

    async def behind(deals: Sequence[Any]) -> dict[int, dict[str, Any]]:
        members_by_deal = await _memberships(snapshot, deals)
        return {deal: _as_answered(members[contact]) for deal, members in members_by_deal.items() if contact in members}

    return await looked_through(read, behind, "deal", DEAL_ORDERS[sort], after, limit)


def _as_answered(member: Membership) -> dict[str, Any]:
    return {
        "associated_at": to_rfc3339(member.associated.at_us),
        "dissociated_at": None if member.dissociated is None else to_rfc3339(member.dissociated.at_us),
        "eligible": member.reason is None,
        "reason": None if member.reason is None else str(member.reason),
    }
