"""Layer *derive*: which clicks in mails did a mail scanner make? Told by what was done around them (rule **excluded traffic**).

A click bears the answer as a bit of its flags. What a batch may change is asked of clicks alone, by an index that holds nothing else;
the rest of a mail's story is read only where a burst of clicks was found.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from shared.events.instants import BEGINNING_US, END_US
from shared.projection.rows import TouchRow
from shared.projection.sql import sql
from shared.projection.traffic_classes import RECLASSIFY_TOUCHES
from shared.projection.work import Work
from shared.rules.excluded_traffic import (
    FLAGGED_MACHINE,
    FLAGGED_SCANNER,
    SCAN_REACHED_US,
    Burst,
    Click,
    TrafficClass,
    bursts,
    scanned,
)
from shared.rules.influence import TouchType

PERSONS_AT_A_TIME = 5_000

_MAILED = frozenset(
    map(int, (TouchType.EMAIL_SENT, TouchType.EMAIL_DELIVERED, TouchType.EMAIL_OPENED, TouchType.EMAIL_CLICKED))
)
_LIVE = f"t.traffic_class <> {TrafficClass.RETRACTED:d}"
MEMBERS_BESIDE = sql("""
SELECT identifier, contact FROM {g}.identifier WHERE ws = $1 AND contact = ANY(ARRAY(
    SELECT DISTINCT contact FROM {g}.identifier WHERE ws = $1 AND identifier = ANY($2::bigint[])))
""")  # all identifiers of the contacts that some identifiers are of
MEMBERS = sql("SELECT identifier, contact FROM {g}.identifier WHERE ws = $1 AND contact = ANY($2::bigint[])")
WHO_CLICKED = sql(f"""
SELECT DISTINCT t.person FROM {{g}}.touch t
WHERE t.ws = $1 AND t.type = {TouchType.EMAIL_CLICKED:d} AND t.person > $2 ORDER BY t.person LIMIT $3
""")
# `+ 0`: by its person alone a touch is to be found; an asset's index would go through all that were mailed it
CLICKS = sql(f"""
SELECT t.person, t.asset_or_page_key, t.occurred_at_us, t.event_id, t.url, t.flags FROM {{g}}.touch t
WHERE t.ws = $1 AND t.type = {TouchType.EMAIL_CLICKED:d} AND t.person = ANY($2::bigint[])
    AND ($3::bigint[] IS NULL OR t.asset_or_page_key + 0 = ANY($3::bigint[])) AND {_LIVE}
ORDER BY t.occurred_at_us, t.event_id
""")
STORY = sql(f"""
SELECT t.person, t.asset_or_page_key, t.type, t.occurred_at_us FROM {{g}}.touch t
LEFT JOIN {{g}}.agent a ON a.ws = $1 AND a.agent = t.agent
WHERE t.ws = $1 AND t.person = ANY($2::bigint[]) AND t.asset_or_page_key + 0 = ANY($3::bigint[]) AND t.occurred_at_us <= $4 AND {_LIVE}
    AND (t.type IN ({TouchType.EMAIL_SENT:d}, {TouchType.EMAIL_DELIVERED:d}) OR t.type = {TouchType.EMAIL_OPENED:d}
        AND t.flags & {FLAGGED_MACHINE:d} = 0 AND NOT coalesce(a.opens, false))
""")  # when mails were sent, delivered, and opened by persons
TURN = sql(f"""
UPDATE {{g}}.touch t SET flags = t.flags # {FLAGGED_SCANNER:d}
FROM unnest($2::bigint[], $3::bigint[], $4::text[]) u(person, at_us, event_id)
WHERE t.ws = $1 AND t.person = u.person AND t.occurred_at_us = u.at_us AND t.event_id = u.event_id
""")
Mail = tuple[int, int]
"""A contact and the asset that it was mailed."""


Span = tuple[int, int]
"""From when to when, both inclusive."""


async def settle_scanners(work: Work) -> None:
    """Decide anew which clicks are a mail scanner's, wherever the batch, changed contacts or changed settings may have changed it."""
    if work.all_clicks:
        after = -(2**63)
        while rows := await work.connection.fetch(WHO_CLICKED, work.ws, after, PERSONS_AT_A_TIME):
            after = rows[-1]["person"]
            await _settle(work, await _members(work, MEMBERS_BESIDE, [row["person"] for row in rows]))
        return
    if not work.settings.machine_rules.mail_scanners:
        return
    if near := _near(work):
        members = await _members(work, MEMBERS_BESIDE, [person for person, _ in near])
        spans: dict[Mail, list[Span]] = defaultdict(list)
        for (person, asset_or_page_key), some in near.items():
            if person in members:
                spans[members[person], asset_or_page_key] += some
        await _settle(work, members, spans)
    if work.regrouped:
        await _settle(work, await _members(work, MEMBERS, list(work.regrouped)))


async def _members(work: Work, statement: Any, keys: list[int]) -> dict[int, int]:
    """Identifiers, each with its contact."""
    return {row["identifier"]: row["contact"] for row in await work.connection.fetch(statement, work.ws, keys)}


def _near(work: Work) -> dict[tuple[int, int], list[Span]]:
    """By whom and in what: when clicks may have been that a touch of the batch bears on, whether it came or went."""
    out: dict[tuple[int, int], list[Span]] = defaultdict(list)
    for row in (*work.touches, *work.left_touches):
        if row.type in _MAILED and row.asset_or_page_key is not None:
            out[row.person, row.asset_or_page_key].append(_bears_on(row))
    return out


def _bears_on(row: TouchRow) -> Span:
    if row.type == TouchType.EMAIL_CLICKED:
        return BEGINNING_US, END_US
    if row.type == TouchType.EMAIL_OPENED:
        return row.occurred_at_us, END_US
    return row.occurred_at_us, row.occurred_at_us + SCAN_REACHED_US


async def _settle(work: Work, members: dict[int, int], spans: dict[Mail, list[Span]] | None = None) -> None:
    """Give the clicks of these contacts the bit that is now theirs: in mails with a click in one of its spans, or in all mails."""
    if not members:
        return
    asset_or_page_keys = None if spans is None else list({asset_or_page_key for _, asset_or_page_key in spans})
    by_mail: dict[Mail, list[Any]] = defaultdict(list)
    for row in await work.connection.fetch(CLICKS, work.ws, list(members), asset_or_page_keys):
        by_mail[members[row["person"]], row["asset_or_page_key"]].append(row)
    if spans is not None:
        by_mail = {mail: rows for mail, rows in by_mail.items() if _any_within(rows, spans.get(mail, ()))}
    by_scanner = await _scanned(work, members, by_mail)
    turned = [
        (row["person"], row["occurred_at_us"], row["event_id"])
        for mail, rows in by_mail.items()
        for row in rows
        if bool(row["flags"] & FLAGGED_SCANNER) != (row["event_id"] in by_scanner.get(mail, ()))
    ]
    if not turned:
        return
    places = list(map(list, zip(*turned, strict=True)))
    await work.connection.execute(TURN, work.ws, *places)
    await work.connection.fetch(RECLASSIFY_TOUCHES, work.ws, *places)
    changed = {members[person] for person, _, _ in turned}
    work.identifiers |= {member for member, contact in members.items() if contact in changed}  # their deals may change


def _any_within(rows: list[Any], spans: Iterable[Span]) -> bool:
    return any(begin <= row["occurred_at_us"] <= end for begin, end in spans for row in rows)


async def _scanned(work: Work, members: dict[int, int], by_mail: dict[Mail, list[Any]]) -> dict[Mail, set[str]]:
    """The ids of the clicks that scanners made, by mail; none where the workspace does not ask for it."""
    if not work.settings.machine_rules.mail_scanners:
        return {}
    clicks = {
        mail: [Click(row["occurred_at_us"], row["event_id"], row["url"]) for row in rows]
        for mail, rows in by_mail.items()
    }
    found: dict[Mail, list[Burst]] = {mail: some for mail, told in clicks.items() if (some := bursts(told))}
    if not found:
        return {}
    contacts, asset_or_page_keys = (
        {contact for contact, _ in found},
        {asset_or_page_key for _, asset_or_page_key in found},
    )
    persons = [member for member, contact in members.items() if contact in contacts]
    upto_us = max(some[-1].at_us for some in found.values())
    reached: dict[Mail, list[int]] = defaultdict(list)
    opened: dict[Mail, list[int]] = defaultdict(list)
    for row in await work.connection.fetch(STORY, work.ws, persons, list(asset_or_page_keys), upto_us):
        into = opened if row["type"] == TouchType.EMAIL_OPENED else reached
        into[members[row["person"]], row["asset_or_page_key"]].append(row["occurred_at_us"])
    return {mail: scanned(clicks[mail], some, reached[mail], opened[mail]) for mail, some in found.items()}
