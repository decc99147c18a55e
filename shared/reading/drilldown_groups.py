"""Which deals and contacts are behind a row of an attribution report, and what did the group earn or bring by each?

They are looked through in the order of an index, a few at a time, so that a page costs the same however many there are.
"""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from shared.events.instants import to_rfc3339
from shared.events.money import to_money
from shared.projection.sql import sql
from shared.reading.contact_list import CONTACT_ORDERS
from shared.reading.created_credit import created_contacts, created_deals
from shared.reading.deal_list import DEAL_ORDERS
from shared.reading.deals import as_answered
from shared.reading.defined_models import add_defined
from shared.reading.described_touches import named_contacts
from shared.reading.groups import groups_of, groups_of_campaigns, groups_of_touches, owners_of_campaigns
from shared.reading.keyset import Ordering, key_arguments, looked_through, paged
from shared.reading.overview import money_by_currency
from shared.reading.reports import (
    ALL_CURRENCIES,
    Credited,
    Of,
    Question,
    credit_text,
    credited_of_created,
)
from shared.reading.shares import share_under, shares_by_model
from shared.reading.snapshot import Snapshot
from shared.reading.time_range import TimeRange
from shared.rules.created import ONE
from shared.rules.deal import State
from shared.rules.exact import split
from shared.rules.report_groups import BY_CAMPAIGNS, Group, GroupBy, NoGroup

DEAL_ORDER = {Of.REVENUE: DEAL_ORDERS["-closed_at"], Of.DEALS: Ordering((("d.created_us", "bigint"), ("d.deal_id", "text")), descending=True)}  # fmt: skip
"""The latest close first; of deals created, the latest creation."""
CONTACT_ORDER = CONTACT_ORDERS["-created_at"]

# Whether there is a journey is asked with a LIMIT: PostgreSQL would else read all credit of the workspace for a page of deals.
# $2 and $3 the range, $4 the currency (null: any), $5 and $6 the key of the deal or contact before, $7 how many.
_DEAL = """
SELECT d.deal, d.deal_id, d.name, d.state, d.amount_minor, d.currency, d.created_us, d.closed_us, {keys},
    (SELECT true FROM {g}.credit c WHERE c.ws = $1 AND c.deal = d.deal LIMIT 1) IS NOT NULL AS journey
FROM {g}.deal d WHERE d.ws = $1 AND ($4::text IS NULL OR d.currency = $4) AND {after} AND """
_CONTACT = """
SELECT c.contact, c.name, c.created_us, {keys} FROM {g}.contact c WHERE c.ws = $1 AND {after} AND """
_HAS_DEAL = """EXISTS (SELECT FROM {g}.deal_contact dc JOIN {g}.deal d ON d.ws = $1 AND d.deal = dc.deal
    WHERE dc.ws = $1 AND dc.contact = c.contact AND ($4::text IS NULL OR d.currency = $4) AND """
_OF_DEALS_WITHIN = """c.contact IN (SELECT dc.contact FROM {g}.deal d JOIN {g}.deal_contact dc ON dc.ws = $1 AND dc.deal = d.deal
    WHERE d.ws = $1 AND ($4::text IS NULL OR d.currency = $4) AND """
_WON = "d.state = 'won' AND coalesce(d.closed_us, d.created_us) >= $2 AND coalesce(d.closed_us, d.created_us) < $3"
_CREATED = f"d.state <> '{State.DELETED}' AND d.created_us >= $2 AND d.created_us < $3"
_CONDITIONS = {Of.REVENUE: _WON, Of.DEALS: _CREATED}

_DEALS = {of: paged(_DEAL + _CONDITIONS[of], {"": DEAL_ORDER[of]}, 5)[""] for of in _CONDITIONS}
"""The deals that a report can be of."""
_CONTACTS = {
    of: paged(_CONTACT + where, {"": CONTACT_ORDER}, 5)[""]
    for of, where in (
        *((of, f"{_HAS_DEAL}{condition})") for of, condition in _CONDITIONS.items()),
        (Of.CONTACTS, "c.created_us >= $2 AND c.created_us < $3 AND NOT c.internal AND $4::text IS NULL"),
    )
}
"""The contacts whose touches a report can be of."""
_CONTACTS_WITHIN = {
    of: paged(f"{_CONTACT}{_OF_DEALS_WITHIN}{condition} OFFSET 0)", {"": CONTACT_ORDER}, 5)[""]
    for of, condition in _CONDITIONS.items()
}
"""The same of a range with a bound: the contacts of its deals are found first (OFFSET 0), for most contacts may have no deal in it."""

CREDITED = sql("""
SELECT cr.deal, cr.contact, cr.person, cr.occurred_at_us, cr.event_id, cr.type, cr.asset_id, cr.asset_or_page_key, cr.shares_minor,
    d.currency
FROM {g}.deal d JOIN {g}.credit cr ON cr.ws = $1 AND cr.deal = d.deal
WHERE d.ws = $1 AND d.state = 'won' AND d.closed_us >= $2 AND d.closed_us < $3
""")  # the touches of the journeys of the deals won in a span
# The touches of contacts ($4) in the journeys of the deals won in a span.
CREDITED_OF_CONTACTS = sql("""
SELECT cr.deal, cr.contact, cr.person, cr.occurred_at_us, cr.event_id, cr.type, cr.asset_id, cr.asset_or_page_key, cr.via, cr.utm,
    cr.shares_minor, d.currency
FROM {g}.deal_contact dc JOIN {g}.deal d ON d.ws = $1 AND d.deal = dc.deal AND d.state = 'won' AND d.closed_us >= $2 AND d.closed_us < $3
JOIN {g}.credit cr ON cr.ws = $1 AND cr.deal = dc.deal AND cr.contact = dc.contact
WHERE dc.ws = $1 AND dc.contact = ANY($4::bigint[])
""")
# The deals created in a span to which contacts ($4) belong.
DEALS_OF_CONTACTS = sql(f"""
SELECT DISTINCT d.deal FROM {{g}}.deal_contact dc JOIN {{g}}.deal d ON d.ws = $1 AND d.deal = dc.deal AND {_CREATED}
WHERE dc.ws = $1 AND dc.contact = ANY($4::bigint[])
""")


class GroupPage(NamedTuple):
    """A page: the deals or contacts as answers have them, and the key of the last one that was looked at (None: there are no more)."""

    items: list[dict[str, Any]]
    after: list[Any] | None


async def deals_of_group(
    snapshot: Snapshot, span: TimeRange, asked: Question, group: Group | None, after: Sequence[Any] | None, limit: int
) -> GroupPage:
    """At most `limit` of the deals that are behind the row of `group` (None: behind the total), under the first model of the question:
    those with a touch of the group in the journey.

    Of revenue, each won deal has its `share`: what the group earned of it (None: the deal has no amount). Of deals, each created deal has
    its `credit`: what part of it the group brought. Behind `no_journey` are the deals without a journey, and what models with a lookback
    share out to no touch. A page may have fewer items than `limit`, also none, although more follow. Raises as `attribution_report`.
    """

    async def behind(deals: Sequence[Any]) -> Mapping[int, Any]:
        if asked.of is Of.REVENUE:
            shares = await _shares(snapshot, asked, group, deals)
            return {
                d["deal"]: {"share": None if share is None else to_money(share, d["currency"])}
                for d in deals if d["deal"] in shares for share in (shares[d["deal"]],)
            }  # fmt: skip
        brought = await _brought(snapshot, span, asked, group, [deal["deal"] for deal in deals])
        return {deal: {"credit": credit_text(part)} for deal, part in brought.items()}

    def read(key: Sequence[Any] | None, limit: int) -> Awaitable[list[Any]]:
        return snapshot.fetch(
            _DEALS[asked.of], span.from_us, span.to_us, _currency(asked), *key_arguments(order, key), limit
        )

    order = DEAL_ORDER[asked.of]
    found, last = await looked_through(read, behind, "deal", order, after, limit)
    return GroupPage([{**as_answered(deal), **fields} for deal, fields in found], last)


async def contacts_of_group(
    snapshot: Snapshot, span: TimeRange, asked: Question, group: Group | None, after: Sequence[Any] | None, limit: int
) -> GroupPage:
    """As `deals_of_group`, the contacts, the latest created first: those with a touch of the group in a journey of the report.

    Of revenue, each has its `share`: what the group earned by its touches, a list of money. Of deals and contacts created, its `credit`.
    Behind `no_journey` there are contacts only of contacts created.
    """

    async def behind(contacts: Sequence[Any]) -> Mapping[int, Any]:
        keys = [contact["contact"] for contact in contacts]
        if asked.of is Of.CONTACTS:
            brought = await _brought(snapshot, span, asked, group, keys)
        elif asked.of is Of.DEALS:
            brought = await _brought_by_contacts(snapshot, span, asked, group, keys)
        else:
            return {
                contact: {"share": money_by_currency(minor)}
                for contact, minor in (await _shares_of_contacts(snapshot, span, asked, group, keys)).items()
            }
        return {contact: {"credit": credit_text(part)} for contact, part in brought.items()}

    def read(key: Sequence[Any] | None, limit: int) -> Awaitable[list[Any]]:
        of = _currency(asked) if asked.of is Of.REVENUE else None
        bounded = span != TimeRange() and asked.of is not Of.CONTACTS
        return snapshot.fetch(
            (_CONTACTS_WITHIN if bounded else _CONTACTS)[asked.of],
            span.from_us,
            span.to_us,
            of,
            *key_arguments(CONTACT_ORDER, key),
            limit,
        )

    found, last = await looked_through(read, behind, "contact", CONTACT_ORDER, after, limit)
    who = await named_contacts(snapshot, [row["contact"] for row, _ in found])
    return GroupPage(
        [
            {"contact": row["name"], "name": who[row["contact"]].called, "email": who[row["contact"]].email,
             "created_at": to_rfc3339(row["created_us"]), **fields} for row, fields in found
        ],
        last,
    )  # fmt: skip


def _currency(asked: Question) -> str | None:
    """The one currency that is asked for; None for all, and where it does not matter."""
    return None if asked.of is not Of.REVENUE or asked.currency == ALL_CURRENCIES else asked.currency


async def _shares(
    snapshot: Snapshot, asked: Question, group: Group | None, deals: Sequence[Any]
) -> dict[int, int | None]:
    """What the group earned of each of these won deals that are behind its row, in minor units (None: the deal has no amount), by key."""
    amounts: dict[int, int | None] = {deal["deal"]: deal["amount_minor"] for deal in deals}
    if group is None:
        return amounts
    closes = [deal["closed_us"] for deal in deals]
    model, span = asked.models[0], TimeRange(min(closes), max(closes) + 1)
    left = {deal: amount for deal, amount in amounts.items() if amount is not None}
    touches = [one for one in await _credited(snapshot, span, asked) if one.subject in amounts]
    for one in touches:
        if one.subject in left:
            left[one.subject] -= one.units.get(model, 0)
    earned = _earned(touches, group, model, lambda one: one.subject)
    if group == Group(None, NoGroup.NO_JOURNEY):
        without = {deal["deal"] for deal in deals if not deal["journey"]}
        earned = {deal: left.get(deal, 0) for deal in without | {deal for deal, rest in left.items() if rest}}
    return {deal: None if amounts[deal] is None else minor for deal, minor in earned.items()}


async def _credited(snapshot: Snapshot, span: TimeRange, asked: Question) -> list[Credited]:
    """Every touch in the journey of a deal won in the range, with what it earned; in every currency, whichever is asked for.

    Raises as `attribution_report`.
    """
    return await (_by_campaigns if asked.by in BY_CAMPAIGNS else _by_touches)(snapshot, span, asked)


async def _by_campaigns(snapshot: Snapshot, span: TimeRange, asked: Question) -> list[Credited]:
    owners = await owners_of_campaigns(snapshot) if asked.by is GroupBy.OWNER else {}
    by_model = await shares_by_model(snapshot, span, asked.models)
    out = []
    for same in zip(*by_model.values(), strict=True):
        one = same[0]
        groups = groups_of_campaigns(asked.by, [campaign for campaign, _ in one.parts], owners)
        earned = {model: share.share_minor for model, share in zip(by_model, same, strict=True)}
        out.append(Credited(one.deal, one.contact, one.currency, groups, earned if one.has_amount else {}))
    return out


async def _by_touches(snapshot: Snapshot, span: TimeRange, asked: Question) -> list[Credited]:
    rows = await snapshot.fetch(CREDITED, span.from_us, span.to_us)
    await add_defined(snapshot, rows, asked.models)
    groups = await groups_of_touches(snapshot, asked.by, rows)
    return [
        Credited(
            row["deal"], row["contact"], row["currency"], [group],
            {} if row["shares_minor"] is None
            else {model: share_under(snapshot, row["shares_minor"], model) for model in asked.models},
        ) for row, group in zip(rows, groups, strict=True)
    ]  # fmt: skip


async def _brought(
    snapshot: Snapshot, span: TimeRange, asked: Question, group: Group | None, keys: Collection[int]
) -> dict[int, int]:
    """What part of each of these created deals or contacts the group brought, in units of `ONE`, by key."""
    if group is None:
        return dict.fromkeys(keys, ONE)
    created = await (created_deals if asked.of is Of.DEALS else created_contacts)(snapshot, span, keys)
    touches, left = await credited_of_created(snapshot, asked, created)
    if group == Group(None, NoGroup.NO_JOURNEY):
        return {subject: rest for (subject, model), rest in left.items() if model == asked.models[0]}
    return _earned(touches, group, asked.models[0], lambda one: one.subject)


async def _brought_by_contacts(
    snapshot: Snapshot, span: TimeRange, asked: Question, group: Group | None, contacts: Sequence[int]
) -> dict[int, int]:
    """What part of created deals the group brought by the touches of each of these contacts, in units of `ONE`, by key.

    Other contacts of these deals may be in it, too, with a part of what is theirs.
    """
    deals = {row["deal"] for row in await snapshot.fetch(DEALS_OF_CONTACTS, span.from_us, span.to_us, contacts)}
    touches, _ = await credited_of_created(snapshot, asked, await created_deals(snapshot, span, deals))
    return _earned(touches, group, asked.models[0], lambda one: one.contact)


async def _shares_of_contacts(
    snapshot: Snapshot, span: TimeRange, asked: Question, group: Group | None, contacts: Sequence[int]
) -> dict[int, dict[str, int]]:
    """What the group earned of won deals by the touches of each of these contacts, in minor units by currency, by the contact's key."""
    model, currency = asked.models[0], _currency(asked)
    rows = await snapshot.fetch(CREDITED_OF_CONTACTS, span.from_us, span.to_us, contacts)
    rows = [row for row in rows if currency in (None, row["currency"])]
    await add_defined(snapshot, rows, asked.models)
    out: dict[int, dict[str, int]] = defaultdict(dict)
    for row, groups in zip(rows, await groups_of(snapshot, asked.by, rows), strict=True):
        if group is not None and group not in groups:
            continue
        by_currency = out[row["contact"]]
        if row["shares_minor"] is not None:
            paid = share_under(snapshot, row["shares_minor"], model)
            by_currency[row["currency"]] = by_currency.get(row["currency"], 0) + _part(paid, groups, group)
    return out


def _earned(
    touches: Iterable[Credited], group: Group | None, model: str, of: Callable[[Credited], int]
) -> dict[int, int]:
    """What the touches of a group (None: of any) earned in units under a model, by what `of` says; who has such a touch is there."""
    out: dict[int, int] = defaultdict(int)
    for one in touches:
        if group is None or group in one.groups:
            out[of(one)] += _part(one.units.get(model, 0), one.groups, group)
    return dict(out)


def _part(paid: int, groups: Sequence[Group], group: Group | None) -> int:
    """What a group (None: all of them) gets of what a touch earned: a touch of several groups is divided among them."""
    if group is None:
        return paid
    return sum(part for each, part in zip(groups, split(paid, len(groups)), strict=True) if each == group)
