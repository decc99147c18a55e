"""Which clicks in mails did a mail scanner make? The rule decides by the events around a click (rule **excluded traffic**).

A click bears the answer as a bit of its flags. What a batch may change is asked of clicks alone, by an index that holds nothing
else; the rest of a mail's story is read only where a burst of clicks was found.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from shared.events.instants import BEGINNING_US, END_US
from shared.projection.changes import Changes, IdentityChanged, TouchesAdded, TouchesRemoved
from shared.projection.pipeline import Context
from shared.projection.rows import TouchRow
from shared.projection.sql import Statement, sql
from shared.projection.stages.traffic.gather import CLICKS, MEMBERS, MEMBERS_BESIDE, STORY, WHO_CLICKED
from shared.rules.excluded_traffic import FLAGGED_SCANNER, SCAN_REACHED_US, Burst, Click, bursts, scanned
from shared.rules.influence import TouchType

PERSONS_AT_A_TIME = 5_000

_MAILED = frozenset(
    map(int, (TouchType.EMAIL_SENT, TouchType.EMAIL_DELIVERED, TouchType.EMAIL_OPENED, TouchType.EMAIL_CLICKED))
)
TURN = sql(f"""
UPDATE {{g}}.touch t SET flags = t.flags # {FLAGGED_SCANNER:d}
FROM unnest($2::bigint[], $3::bigint[], $4::text[]) u(person, at_us, event_id)
WHERE t.ws = $1 AND t.person = u.person AND t.occurred_at_us = u.at_us AND t.event_id = u.event_id
""")

Mail = tuple[int, int]
"""A contact and the asset that it was mailed."""


Span = tuple[int, int]
"""From when to when, both inclusive."""


Place = tuple[int, int, str]
"""Where a touch is stored: its person, its instant, its id."""


async def turned_clicks(context: Context, changes: Changes, *, all_clicks: bool) -> list[Place]:
    """Decide again which clicks are a mail scanner's, wherever the batch or changed contacts may have changed it, or everywhere.

    Answers the clicks of which it has changed.
    """
    turned: list[Place] = []
    if all_clicks:
        after = -(2**63)
        while rows := await context.connection.fetch(WHO_CLICKED, context.ws, after, PERSONS_AT_A_TIME):
            after = rows[-1]["person"]
            turned += await _turn(context, await _members(context, MEMBERS_BESIDE, [row["person"] for row in rows]))
        return turned
    if not context.settings.machine_rules.mail_scanners:
        return []
    if near := _near(changes):
        members = await _members(context, MEMBERS_BESIDE, [person for person, _ in near])
        spans: dict[Mail, list[Span]] = defaultdict(list)
        for (person, asset), some in near.items():
            if person in members:
                spans[members[person], asset] += some
        turned += await _turn(context, members, spans)
    if regrouped := changes.of(IdentityChanged).regrouped:
        turned += await _turn(context, await _members(context, MEMBERS, list(regrouped)))
    return turned


async def _members(context: Context, statement: Statement, keys: list[int]) -> dict[int, int]:
    """Identifiers, each with its contact."""
    rows = await context.connection.fetch(statement, context.ws, keys)
    return {row["identifier"]: row["contact"] for row in rows}


def _near(changes: Changes) -> dict[tuple[int, int], list[Span]]:
    """By whom and in what: when clicks may have been that a touch of the batch bears on, whether it came or went."""
    out: dict[tuple[int, int], list[Span]] = defaultdict(list)
    for row in (*changes.of(TouchesAdded).touches, *changes.of(TouchesRemoved).touches):
        if row.type in _MAILED and row.asset_or_page_key is not None:
            out[row.person, row.asset_or_page_key].append(_bears_on(row))
    return out


def _bears_on(row: TouchRow) -> Span:
    if row.type == TouchType.EMAIL_CLICKED:
        return BEGINNING_US, END_US
    if row.type == TouchType.EMAIL_OPENED:
        return row.occurred_at_us, END_US
    return row.occurred_at_us, row.occurred_at_us + SCAN_REACHED_US


async def _turn(context: Context, members: dict[int, int], spans: dict[Mail, list[Span]] | None = None) -> list[Place]:
    """Give the clicks of these contacts the bit that is now theirs: in mails with a click in one of its spans, or in all mails.

    Answers the clicks that had another.
    """
    if not members:
        return []
    assets = None if spans is None else list({asset for _, asset in spans})
    by_mail: dict[Mail, list[Any]] = defaultdict(list)
    for row in await context.connection.fetch(CLICKS, context.ws, list(members), assets):
        by_mail[members[row["person"]], row["asset_or_page_key"]].append(row)
    if spans is not None:
        by_mail = {mail: rows for mail, rows in by_mail.items() if _any_within(rows, spans.get(mail, ()))}
    by_scanner = await _scanned(context, members, by_mail)
    turned = [
        (row["person"], row["occurred_at_us"], row["event_id"])
        for mail, rows in by_mail.items()
        for row in rows
        if bool(row["flags"] & FLAGGED_SCANNER) != (row["event_id"] in by_scanner.get(mail, ()))
    ]
    if turned:
        await context.connection.execute(TURN, context.ws, *map(list, zip(*turned, strict=True)))
    return turned


def _any_within(rows: list[Any], spans: Iterable[Span]) -> bool:
    return any(begin <= row["occurred_at_us"] <= end for begin, end in spans for row in rows)


async def _scanned(context: Context, members: dict[int, int], by_mail: dict[Mail, list[Any]]) -> dict[Mail, set[str]]:
    """The ids of the clicks that scanners made, by mail; none where the workspace does not ask for it."""
    if not context.settings.machine_rules.mail_scanners:
        return {}
    clicks = {
        mail: [Click(row["occurred_at_us"], row["event_id"], row["url"]) for row in rows]
        for mail, rows in by_mail.items()
    }
    found: dict[Mail, list[Burst]] = {mail: some for mail, clicked in clicks.items() if (some := bursts(clicked))}
    if not found:
        return {}
    contacts, assets = {contact for contact, _ in found}, {asset for _, asset in found}
    persons = [member for member, contact in members.items() if contact in contacts]
    upto_us = max(some[-1].at_us for some in found.values())
    reached: dict[Mail, list[int]] = defaultdict(list)
    opened: dict[Mail, list[int]] = defaultdict(list)
    for row in await context.connection.fetch(STORY, context.ws, persons, list(assets), upto_us):
        into = opened if row["type"] == TouchType.EMAIL_OPENED else reached
        into[members[row["person"]], row["asset_or_page_key"]].append(row["occurred_at_us"])
    return {mail: scanned(clicks[mail], some, reached[mail], opened[mail]) for mail, some in found.items()}
