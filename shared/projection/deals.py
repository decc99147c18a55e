"""Layer *derive*: what became of each deal, whose it is, and what each touch of its journey earned."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from shared.events import types as e
from shared.events.codec import decode_event
from shared.events.instants import to_micros
from shared.events.money import exact_minor
from shared.events.registry import name_of
from shared.projection.sql import sql
from shared.projection.work import Work
from shared.rules.credit import Lead, Step, lookback_from_us, roles, roles_at
from shared.rules.deal import Deal, Member, State, Told, eligible, fold
from shared.rules.exact import shares
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.influence import REVENUE_TOUCHES
from shared.rules.keys import Identifier, identifiers
from shared.rules.models import MODELS, weights
from shared.rules.order import Order

DISSOCIATED = name_of(e.DealContactDissociated)
LATEST_CLOSE = sql("SELECT max(closed_us) FROM {g}.deal WHERE ws = $1")
DEALS_OF_LATE_TOUCHES = sql("""
SELECT DISTINCT c.deal FROM unnest($2::bigint[], $3::bigint[]) u(person, at_us)
JOIN {g}.identity_interval o ON o.ws = $1 AND o.person = u.person
JOIN {g}.deal_contact c ON c.ws = $1 AND c.contact = o.contact
JOIN {g}.deal d ON d.ws = $1 AND d.deal = c.deal AND d.closed_us > u.at_us
""")  # deals closed after a touch that has only now arrived, or left
DEALS_NAMING = sql("SELECT DISTINCT deal FROM {g}.deal_named WHERE ws = $1 AND identifier = ANY($2::bigint[])")
ALL_DEALS = sql("SELECT deal FROM {g}.deal WHERE ws = $1")
ENTITY_EVENTS = sql("""
SELECT subject, type, occurred_at_us, event_id, body FROM {g}.entity_event
WHERE ws = $1 AND subject = ANY($2::bigint[]) AND live
""")
CONTACTS_OF = sql("""
SELECT i.identifier, c.contact, c.name, c.created_us, c.created_event
FROM {g}.identifier i JOIN {g}.contact c ON c.ws = $1 AND c.contact = i.contact
WHERE i.ws = $1 AND i.identifier = ANY($2::bigint[])
""")
JOURNEY = sql(f"""
SELECT o.contact, t.person, t.occurred_at_us, t.event_id, t.type, t.asset_id, t.asset_or_page_key, t.via, t.utm
FROM {{g}}.identity_interval o JOIN {{g}}.touch t ON t.ws = $1 AND t.person = o.person
    AND t.occurred_at_us >= greatest(o.from_us, $3) AND t.occurred_at_us < $4
    AND (t.occurred_at_us, t.event_id) >= (o.from_us, o.from_event)
    AND (t.occurred_at_us, t.event_id) < (o.to_us, o.to_event)
    AND t.traffic_class = {TrafficClass.COUNTED:d} AND t.type = ANY('{{{",".join(str(int(t)) for t in sorted(REVENUE_TOUCHES))}}}'::smallint[])
WHERE o.ws = $1 AND o.contact = ANY($2::bigint[])
ORDER BY t.occurred_at_us, t.event_id
""")  # the revenue touches of a deal's eligible contacts, in [lookback, close), in order

DROP_DEALS = [
    sql(f"DELETE FROM {{g}}.{table} WHERE ws = $1 AND deal = ANY($2::bigint[])")
    for table in ("deal", "deal_contact", "deal_named", "credit")
]
CREDIT_COLUMNS = (
    "ws", "deal", "step", "person", "occurred_at_us", "event_id", "type", "contact", "asset_id", "asset_or_page_key", "via", "utm",
    "roles", "shares_minor",
)  # fmt: skip
DEAL_COLUMNS = (
    "ws", "deal", "deal_id", "state", "name", "amount_minor", "currency", "created_us", "closed_us", "closed_event",
)  # fmt: skip


async def mark_deals(work: Work) -> None:
    """Mark the deals that the batch's touches, contacts or settings may change."""
    if work.all_deals:
        work.deals |= {row["deal"] for row in await work.connection.fetch(ALL_DEALS, work.ws)}
        return
    if work.identifiers:
        rows = await work.connection.fetch(DEALS_NAMING, work.ws, list(work.identifiers))
        work.deals |= {row["deal"] for row in rows}
    latest_us = await work.connection.fetchval(LATEST_CLOSE, work.ws)
    if latest_us is None:
        return
    earliest: dict[int, int] = {}
    for row in (*work.touches, *work.left_touches):
        if row.occurred_at_us < latest_us and row.occurred_at_us < earliest.get(row.person, latest_us):
            earliest[row.person] = row.occurred_at_us
    if earliest:
        rows = await work.connection.fetch(DEALS_OF_LATE_TOUCHES, work.ws, list(earliest), list(earliest.values()))
        work.deals |= {row["deal"] for row in rows}


async def derive_deals(work: Work) -> None:
    """Derive every marked deal anew: its state, its contacts, its journey and what each touch earned."""
    await mark_deals(work)
    if not work.deals:
        return
    keys = list(work.deals)
    told: dict[int, list[Any]] = defaultdict(list)
    for row in await work.connection.fetch(ENTITY_EVENTS, work.ws, keys):
        told[row["subject"]].append(
            (Order(row["occurred_at_us"], row["event_id"]), row["type"], decode_event(row["body"]))
        )
    named = {identifier for events in told.values() for identifier in keys_named(events)}
    contacts = {r["identifier"]: r for r in await work.connection.fetch(CONTACTS_OF, work.ws, list(named))}
    for statement in DROP_DEALS:
        await work.connection.execute(statement, work.ws, keys)
    deals: list[Any] = []
    members: list[Any] = []
    names: list[Any] = []
    credits_: list[Any] = []
    for key in keys:
        if not told[key]:
            continue
        deal = fold(told_of(order, kind, event) for order, kind, event in told[key])
        joined = members_of(told[key], {k: r["contact"] for k, r in contacts.items()})
        present = eligible(joined, deal.closed.at_us if deal.closed else None)
        deals.append((work.ws, key, told[key][0][2].deal_id, *_deal_columns(deal, work.settings.currency)))
        members += [(work.ws, key, contact, order.event_id) for contact, order in present.items()]
        names += [(work.ws, identifier, key) for identifier in keys_named(told[key])]
        if deal.state is State.WON and present:
            credits_ += await _credits(work, key, deal, present, contacts)
    await work.connection.copy("deal", DEAL_COLUMNS, deals)
    await work.connection.copy("deal_contact", ("ws", "deal", "contact", "associated_event"), members)
    await work.connection.copy("deal_named", ("ws", "identifier", "deal"), names)
    await work.connection.copy("credit", CREDIT_COLUMNS, credits_)


def told_of(order: Order, kind: str, event: Any) -> Told:
    """What the rule reads of a deal event."""
    closed_at = getattr(event, "closed_at", None)
    return Told(
        order, kind, getattr(event, "won", None), getattr(event, "name", None), getattr(event, "amount", None),
        getattr(event, "currency", None), None if closed_at is None else to_micros(closed_at),
    )  # fmt: skip


def members_of(events: list[Any], contact_of: dict[int, int]) -> list[Member]:
    """Who joined and left a deal, by contact."""
    return [
        Member(order, contact_of[named[0].key], kind != DISSOCIATED)
        for order, kind, event in events
        for named in contacts_named(event)
    ]


def contacts_named(event: Any) -> list[tuple[Identifier, ...]]:
    """The identifiers of each contact that a deal's event names."""
    if isinstance(event, e.DealCreated):
        return [identifiers(contact) for contact in event.contacts]
    if isinstance(event, e.DealContactAssociated):
        return [identifiers(event.contact)]
    return []


def keys_named(events: Iterable[tuple[Order, str, Any]]) -> set[int]:
    """The keys of all identifiers that a deal's events name."""
    return {i.key for _, _, event in events for contact in contacts_named(event) for i in contact}


def _deal_columns(deal: Deal, workspace_currency: str) -> tuple[Any, ...]:
    currency = deal.currency or workspace_currency
    amount = None if deal.amount is None else exact_minor(deal.amount, currency)
    closed = deal.closed or (None, None)
    return str(deal.state), deal.name, amount, currency, deal.created.at_us, *closed


async def _credits(
    work: Work, key: int, deal: Deal, present: dict[int, Order], contacts: dict[int, Any]
) -> list[tuple[Any, ...]]:
    """The journey of a won deal, each touch with its roles and its share under every model."""
    assert deal.closed is not None
    closed_us = deal.closed.at_us
    from_us = lookback_from_us(closed_us, work.settings.lookback_days)
    journey = await work.connection.fetch(JOURNEY, work.ws, list(present), from_us, closed_us)
    if not journey:
        return []
    leads = {
        r["contact"]: Lead(Order(r["created_us"], r["created_event"]), r["name"], r["contact"])
        for r in contacts.values()
        if r["contact"] in present
    }
    steps = [Step(Order(r["occurred_at_us"], r["event_id"]), r["contact"]) for r in journey]
    found = roles(steps, leads.values(), deal.created.at_us)
    ages_us = [closed_us - step.order.at_us for step in steps]
    by_model: dict[str, list[int]] = {}
    if deal.amount is not None:
        amount = exact_minor(deal.amount, deal.currency or work.settings.currency)
        if amount is not None:
            by_model = {name: shares(amount, weights(model, found, ages_us)) for name, model in MODELS.items()}
    return [
        (work.ws, key, i, r["person"], r["occurred_at_us"], r["event_id"], r["type"], r["contact"], r["asset_id"],
         r["asset_or_page_key"], r["via"], r["utm"], [str(role) for role in roles_at(found, i)],
         {name: paid[i] for name, paid in by_model.items()} or None)
        for i, r in enumerate(journey)
    ]  # fmt: skip
