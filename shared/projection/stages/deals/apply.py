"""Stage *deals*: what is the state of each deal, which contacts has it, and what did each touch of its journey earn?"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

import orjson

from shared.events.instants import END_US
from shared.events.money import exact_minor
from shared.projection.changes import (
    Change,
    Changes,
    ContactsChanged,
    DealsChanged,
    EntitiesChanged,
    IdentityChanged,
    SettingsChanged,
    TouchesAdded,
    TouchesRemoved,
    TrafficChanged,
    VisitorsChanged,
)
from shared.projection.pipeline import Context, Stage
from shared.projection.sql import sql
from shared.projection.stages.deals.gather import (
    DealTouch,
    added_to_open,
    contacts_of,
    deal_touches_of,
    deals_concerned,
    events_of,
    fields_of,
    keys_named,
    members_of,
)
from shared.rules.credit import Lead, Step, lookback_from_us, roles, roles_at
from shared.rules.deal import COUNTING_STATES, Deal, State, dated_us, eligible, fold
from shared.rules.exact import shares
from shared.rules.influence import REVENUE_TOUCHES, TouchType
from shared.rules.models import MODELS, Role, weights
from shared.rules.order import Order
from shared.rules.path import path_of

DEALS_AT_A_TIME = 500  # whose journeys are in memory together: changed settings concern every deal of a workspace

DROP_DEALS = [
    sql(f"DELETE FROM {{g}}.{table} WHERE ws = $1 AND deal = ANY($2::bigint[])")
    for table in ("deal", "deal_contact", "deal_named", "credit", "deal_touch")
]
STORED = sql("SELECT deal, state, closed_us, content FROM {g}.deal WHERE ws = $1 AND deal = ANY($2::bigint[])")
DEAL_COLUMNS = (
    "ws", "deal", "deal_id", "state", "name", "amount_minor", "currency", "created_us", "closed_us", "closed_event", "touches",
    "first_us", "path", "content",
)  # fmt: skip
DEAL_CONTACT_COLUMNS = ("ws", "deal", "contact", "associated_event")
DEAL_NAMED_COLUMNS = ("ws", "identifier", "deal")
CREDIT_COLUMNS = (
    "ws", "deal", "step", "person", "occurred_at_us", "event_id", "type", "contact", "asset_id", "asset_or_page_key", "via", "utm",
    "roles", "shares_minor",
)  # fmt: skip
DEAL_TOUCH_COLUMNS = (
    "ws", "deal", "dated_us", "won", "contact", "occurred_at_us", "type", "step", "asset_or_page_key", "via", "utm", "shares_minor",
)  # fmt: skip
MODEL_NAMES = sorted(MODELS)
STATE_COLUMN, CLOSED_COLUMN = DEAL_COLUMNS.index("state"), DEAL_COLUMNS.index("closed_us")
_Row = tuple[Any, ...]


async def run(context: Context, changes: Changes) -> Sequence[Change]:
    """Derive every deal again that the changes concern: its state, its contacts, its journey and what each touch earned."""
    deals = list(await deals_concerned(context, changes))
    former = {now: was for was, now in changes.of(IdentityChanged).renamed().items()}
    closes_us: set[int] = set()
    for begin in range(0, len(deals), DEALS_AT_A_TIME):
        closes_us |= await _derive(context, deals[begin : begin + DEALS_AT_A_TIME], former)
    added = [
        (context.ws, row["deal"], row["created_us"], False, row["contact"], row["occurred_at_us"], row["type"], None,
         row["asset_or_page_key"], row["via"], row["utm"], None)
        for row in await added_to_open(context, changes, deals)
    ]  # fmt: skip
    if added:
        await context.connection.copy("deal_touch", DEAL_TOUCH_COLUMNS, added)
    return [DealsChanged(frozenset(deals), frozenset(closes_us))] if deals else []


@dataclass
class _Rows:
    """The rows of a deal, by table, as they are written. That of the deal ends with `journey`, which the credits have in full."""

    deal: _Row | None = None
    contacts: list[_Row] = field(default_factory=list)
    names: list[_Row] = field(default_factory=list)
    credits_: list[_Row] = field(default_factory=list)
    touches: list[_Row] = field(default_factory=list)
    journey: _Row = (0, None, None)

    def before(self, former: Mapping[int, int]) -> "_Rows":
        """The rows with the keys in them that contacts had before, given by the key of now."""

        def named(rows: Iterable[_Row], columns: Sequence[str]) -> list[_Row]:
            at = columns.index("contact")
            return [(*row[:at], former.get(row[at], row[at]), *row[at + 1 :]) for row in rows]

        return replace(
            self, contacts=named(self.contacts, DEAL_CONTACT_COLUMNS), credits_=named(self.credits_, CREDIT_COLUMNS),
            touches=named(self.touches, DEAL_TOUCH_COLUMNS),
        )  # fmt: skip

    def content(self) -> int | None:
        """A digest of them, without the number of the workspace's rows, their first column. None if there is no deal, or it is open."""
        if self.deal is None or self.deal[STATE_COLUMN] == State.OPEN:
            return None
        of_many = sorted(self.contacts), sorted(self.names), self.credits_, self.touches
        rows_of_deal = [self.deal[1:], *([row[1:] for row in rows] for rows in of_many)]
        return int.from_bytes(
            blake2b(orjson.dumps(rows_of_deal), digest_size=8, person=b"deal").digest(), "big", signed=True
        )


NO_ROWS = _Rows()


async def _derive(context: Context, keys: Sequence[int], former: Mapping[int, int]) -> set[int]:
    """Derive these deals again, and write those that are another than they were; answers when those of them were won that are won, before
    or now. `former` has by its present key which key each contact had that the batch renames: deals in which nothing else changed are left out
    of the answer.
    """
    found = await _rows_of(context, keys)
    stored = {row["deal"]: row for row in await context.connection.fetch(STORED, context.ws, keys)}
    closes_us: set[int] = set()
    written: list[_Rows] = []
    changed: list[int] = []
    for key in keys:
        rows, was = found.get(key, NO_ROWS), stored.get(key)
        content = rows.content()
        if was is not None and content is not None and was["content"] == content:
            continue
        changed.append(key)
        if rows.deal is not None:
            written.append(replace(rows, deal=(*rows.deal, *rows.journey, content)))
        if former and was is not None and content is not None and rows.before(former).content() == was["content"]:
            continue
        if was is not None and was["state"] == State.WON:
            closes_us.add(was["closed_us"])
        if rows.deal is not None and rows.deal[STATE_COLUMN] == State.WON:
            closes_us.add(rows.deal[CLOSED_COLUMN])
    for statement in DROP_DEALS:
        await context.connection.execute(statement, context.ws, changed)
    for table, columns, some in (
        ("deal", DEAL_COLUMNS, [rows.deal for rows in written if rows.deal is not None]),
        ("deal_contact", DEAL_CONTACT_COLUMNS, [row for rows in written for row in rows.contacts]),
        ("deal_named", DEAL_NAMED_COLUMNS, [row for rows in written for row in rows.names]),
        ("credit", CREDIT_COLUMNS, [row for rows in written for row in rows.credits_]),
        ("deal_touch", DEAL_TOUCH_COLUMNS, [row for rows in written for row in rows.touches]),
    ):
        await context.connection.copy(table, columns, some)
    return closes_us


async def _rows_of(context: Context, keys: Sequence[int]) -> dict[int, _Rows]:
    """The rows of deals as they are now; deals without events are absent."""
    events_by_deal = await events_of(context, keys)
    named = {key: keys_named(events) for key, events in events_by_deal.items()}
    contacts = await contacts_of(context, set[int]().union(*named.values()))
    contact_of = {identifier: row["contact"] for identifier, row in contacts.items()}
    out: dict[int, _Rows] = {}
    counting: dict[int, tuple[Deal, Mapping[int, Order]]] = {}
    for key in keys:
        if key not in events_by_deal:
            continue
        deal = fold(fields_of(*event) for event in events_by_deal[key])
        joined = members_of(events_by_deal[key], contact_of)
        present = eligible(joined, deal.closed.at_us if deal.closed else None)
        out[key] = _Rows(
            (context.ws, key, events_by_deal[key][0][2].deal_id, *_deal_columns(deal, context.settings.currency)),
            [(context.ws, key, contact, order.event_id) for contact, order in present.items()],
            [(context.ws, identifier, key) for identifier in named[key]],
        )
        if deal.state in COUNTING_STATES and present:
            counting[key] = deal, present
    await _add_touches(context, out, counting, contacts)
    return out


def _deal_columns(deal: Deal, workspace_currency: str) -> tuple[Any, ...]:
    currency = deal.currency or workspace_currency
    amount = None if deal.amount is None else exact_minor(deal.amount, currency)
    closed = deal.closed or (None, None)
    return str(deal.state), deal.name, amount, currency, deal.created.at_us, *closed


async def _add_touches(
    context: Context, out: Mapping[int, _Rows], counting: Mapping[int, tuple[Deal, Mapping[int, Order]]],
    contacts: Mapping[int, Any],
) -> None:  # fmt: skip
    """Add the deal touches and the journeys of deals, each with its eligible contacts."""
    asked = [
        (key, contact, END_US if deal.closed is None else deal.closed.at_us)
        for key, (deal, present) in counting.items() for contact in present
    ]  # fmt: skip
    found = await deal_touches_of(context, asked)
    for key, (deal, present) in counting.items():
        rows = out[key]
        journey = _journey(context, deal, found[key]) if deal.state is State.WON else []
        if journey:
            rows.journey = (
                len(journey),
                journey[0].occurred_at_us,
                " ".join(path_of(TouchType(touch.type) for touch in journey)),
            )
        roles_of, paid = _shares(context, deal, present, contacts, journey)
        earned: list[dict[str, int] | None] = [None] * len(journey)
        if paid:
            earned = [
                dict(zip(MODEL_NAMES, parts, strict=True))
                for parts in zip(*(paid[m] for m in MODEL_NAMES), strict=True)
            ]
        rows.credits_ += [
            (context.ws, key, step, t.person, t.occurred_at_us, t.event_id, t.type, t.contact, t.asset_id, t.asset_or_page_key,
             t.via, t.utm, list(map(str, roles_at(roles_of, step))), earned[step])
            for step, t in enumerate(journey)
        ]  # fmt: skip
        dated, won = dated_us(deal.created.at_us, deal.closed.at_us if deal.closed else None), deal.state is State.WON
        steps = {id(t): step for step, t in enumerate(journey)}
        for t in found[key]:
            step = steps.get(id(t))
            paid_for = None if step is None else earned[step]
            rows.touches.append(
                (context.ws, key, dated, won, t.contact, t.occurred_at_us, t.type, step, t.asset_or_page_key, t.via, t.utm,
                 None if paid_for is None else list(paid_for.values()))
            )  # fmt: skip


def _journey(context: Context, deal: Deal, touches: Sequence[DealTouch]) -> list[DealTouch]:
    """Those of a won deal's deal touches that get credit: the revenue touches since the lookback began."""
    assert deal.closed is not None
    from_us = lookback_from_us(deal.closed.at_us, context.settings.lookback_days)
    return [touch for touch in touches if touch.type in REVENUE_TOUCHES and touch.occurred_at_us >= from_us]


def _shares(
    context: Context,
    deal: Deal,
    present: Mapping[int, Order],
    contacts: Mapping[int, Any],
    journey: Sequence[DealTouch],
) -> tuple[Mapping[Role, int], Mapping[str, list[int]]]:
    """The key interactions of a journey, and what each of its touches earns, by model; nothing by any if the deal has no amount."""
    if not journey:
        return {}, {}
    assert deal.closed is not None
    leads = {
        r["contact"]: Lead(Order(r["created_us"], r["created_event"]), r["name"], r["contact"])
        for r in contacts.values()
        if r["contact"] in present
    }
    steps = [Step(Order(touch.occurred_at_us, touch.event_id), touch.contact) for touch in journey]
    found = roles(steps, leads.values(), deal.created.at_us)
    amount = None if deal.amount is None else exact_minor(deal.amount, deal.currency or context.settings.currency)
    if amount is None:
        return found, {}
    ages_us = [deal.closed.at_us - step.order.at_us for step in steps]
    return found, {name: shares(amount, weights(model, found, ages_us)) for name, model in MODELS.items()}


STAGE = Stage(
    "deals", run,
    takes=(
        EntitiesChanged, IdentityChanged, ContactsChanged, TouchesAdded, TouchesRemoved, TrafficChanged, VisitorsChanged, SettingsChanged,
    ),
    passes_on=(DealsChanged,), package=__package__,
    owns=("deal", "deal_named", "deal_contact", "credit", "deal_touch"),
    reads=("entity_event", "identifier", "contact", "identity_interval", "touch"),
)  # fmt: skip
