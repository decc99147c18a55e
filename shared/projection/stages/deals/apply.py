"""Stage *deals*: what became of each deal, whose it is, and what each touch of its journey earned."""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.events.money import exact_minor
from shared.projection.changes import (
    Change,
    Changes,
    ContactsChanged,
    DealsChanged,
    EntitiesChanged,
    SettingsChanged,
    TouchesAdded,
    TouchesRemoved,
    TrafficChanged,
)
from shared.projection.pipeline import Context, Stage
from shared.projection.sql import sql
from shared.projection.stages.deals.gather import (
    contacts_of,
    deals_concerned,
    events_of,
    journey_of,
    keys_named,
    members_of,
    told_of,
)
from shared.rules.credit import Lead, Step, lookback_from_us, roles, roles_at
from shared.rules.deal import Deal, State, eligible, fold
from shared.rules.exact import shares
from shared.rules.models import MODELS, weights
from shared.rules.order import Order

DEALS_AT_A_TIME = 500  # whose journeys are in memory together: changed settings concern every deal of a workspace

DROP_DEALS = [
    sql(f"DELETE FROM {{g}}.{table} WHERE ws = $1 AND deal = ANY($2::bigint[])")
    for table in ("deal", "deal_contact", "deal_named", "credit")
]
DEAL_COLUMNS = (
    "ws", "deal", "deal_id", "state", "name", "amount_minor", "currency", "created_us", "closed_us", "closed_event",
)  # fmt: skip
DEAL_CONTACT_COLUMNS = ("ws", "deal", "contact", "associated_event")
DEAL_NAMED_COLUMNS = ("ws", "identifier", "deal")
CREDIT_COLUMNS = (
    "ws", "deal", "step", "person", "occurred_at_us", "event_id", "type", "contact", "asset_id", "asset_or_page_key", "via", "utm",
    "roles", "shares_minor",
)  # fmt: skip


async def run(context: Context, changes: Changes) -> Sequence[Change]:
    """Derive every deal anew that the changes concern: its state, its contacts, its journey and what each touch earned."""
    deals = list(await deals_concerned(context, changes))
    if not deals:
        return []
    for begin in range(0, len(deals), DEALS_AT_A_TIME):
        await _derive(context, deals[begin : begin + DEALS_AT_A_TIME])
    return [DealsChanged(frozenset(deals))]


async def _derive(context: Context, keys: Sequence[int]) -> None:
    told = await events_of(context, keys)
    named = {key: keys_named(events) for key, events in told.items()}
    contacts = await contacts_of(context, set[int]().union(*named.values()))
    contact_of = {identifier: row["contact"] for identifier, row in contacts.items()}
    for statement in DROP_DEALS:
        await context.connection.execute(statement, context.ws, keys)
    deals: list[Any] = []
    members: list[Any] = []
    names: list[Any] = []
    credits_: list[Any] = []
    for key in keys:
        if key not in told:
            continue
        deal = fold(told_of(*event) for event in told[key])
        joined = members_of(told[key], contact_of)
        present = eligible(joined, deal.closed.at_us if deal.closed else None)
        deals.append((context.ws, key, told[key][0][2].deal_id, *_deal_columns(deal, context.settings.currency)))
        members += [(context.ws, key, contact, order.event_id) for contact, order in present.items()]
        names += [(context.ws, identifier, key) for identifier in named[key]]
        if deal.state is State.WON and present:
            credits_ += await _credits(context, key, deal, present, contacts)
    await context.connection.copy("deal", DEAL_COLUMNS, deals)
    await context.connection.copy("deal_contact", DEAL_CONTACT_COLUMNS, members)
    await context.connection.copy("deal_named", DEAL_NAMED_COLUMNS, names)
    await context.connection.copy("credit", CREDIT_COLUMNS, credits_)


def _deal_columns(deal: Deal, workspace_currency: str) -> tuple[Any, ...]:
    currency = deal.currency or workspace_currency
    amount = None if deal.amount is None else exact_minor(deal.amount, currency)
    closed = deal.closed or (None, None)
    return str(deal.state), deal.name, amount, currency, deal.created.at_us, *closed


async def _credits(
    context: Context, key: int, deal: Deal, present: Mapping[int, Order], contacts: Mapping[int, Any]
) -> list[tuple[Any, ...]]:
    """The journey of a won deal, each touch with its roles and its share under every model."""
    assert deal.closed is not None
    closed_us = deal.closed.at_us
    from_us = lookback_from_us(closed_us, context.settings.lookback_days)
    journey = await journey_of(context, present, from_us, closed_us)
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
        amount = exact_minor(deal.amount, deal.currency or context.settings.currency)
        if amount is not None:
            by_model = {name: shares(amount, weights(model, found, ages_us)) for name, model in MODELS.items()}
    return [
        (context.ws, key, i, r["person"], r["occurred_at_us"], r["event_id"], r["type"], r["contact"], r["asset_id"],
         r["asset_or_page_key"], r["via"], r["utm"], [str(role) for role in roles_at(found, i)],
         {name: paid[i] for name, paid in by_model.items()} or None)
        for i, r in enumerate(journey)
    ]  # fmt: skip


STAGE = Stage(
    "deals", run,
    takes=(EntitiesChanged, ContactsChanged, TouchesAdded, TouchesRemoved, TrafficChanged, SettingsChanged),
    tells=(DealsChanged,), package=__package__,
    owns=("deal", "deal_named", "deal_contact", "credit"),
    reads=("entity_event", "identifier", "contact", "identity_interval", "touch"),
)  # fmt: skip
