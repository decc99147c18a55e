"""Layer *derive*: which clicks in mails did a mail scanner make? Told by what was done around them (rule **excluded traffic**).

A click bears the answer as a bit of its flags. What a batch may change is asked of clicks alone, by an index that holds nothing else;
the rest of a mail's story is read only where a burst of clicks was found.
"""

from collections import defaultdict
from collections.abc import Collection
from typing import Any

from shared.projection.rows import TouchRow
from shared.projection.sql import sql
from shared.projection.verdicts import REJUDGE_TOUCHES
from shared.projection.work import Work
from shared.rules.excluded_traffic import (
    FLAGGED_MACHINE,
    FLAGGED_SCANNER,
    SCAN_REACHED_US,
    Burst,
    Click,
    Verdict,
    bursts,
    scanned,
)
from shared.rules.influence import TouchType

CONTACTS_AT_A_TIME = 5_000

_CLICKS = f"""t.ws = $1 AND t.type = {TouchType.EMAIL_CLICKED:d} AND t.verdict <> {Verdict.RETRACTED:d}"""
NEAR = sql(f"""
SELECT DISTINCT i.contact, u.target
FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) u(person, target, from_us, to_us)
JOIN {{g}}.identifier i ON i.ws = $1 AND i.identifier = u.person
JOIN {{g}}.identifier o ON o.ws = $1 AND o.contact = i.contact
JOIN {{g}}.touch t ON {_CLICKS} AND t.person = o.identifier AND t.target = u.target
    AND t.occurred_at_us BETWEEN u.from_us AND u.to_us
""")  # the contacts and mails with clicks that a touch of the batch may bear on
OF_CONTACTS = sql(f"""
SELECT DISTINCT i.contact, t.target FROM {{g}}.identifier i JOIN {{g}}.touch t ON {_CLICKS} AND t.person = i.identifier
WHERE i.ws = $1 AND i.contact = ANY($2::bigint[]) AND t.target IS NOT NULL
""")
WHO_CLICKED = sql(f"""
SELECT DISTINCT i.contact FROM {{g}}.touch t JOIN {{g}}.identifier i ON i.ws = $1 AND i.identifier = t.person
WHERE {_CLICKS} AND i.contact > $2 ORDER BY i.contact LIMIT $3
""")
CLICKS = sql(f"""
SELECT i.contact, t.target, t.person, t.occurred_at_us, t.event_id, t.url, t.flags
FROM unnest($2::bigint[], $3::bigint[]) u(contact, target)
JOIN {{g}}.identifier i ON i.ws = $1 AND i.contact = u.contact
JOIN {{g}}.touch t ON {_CLICKS} AND t.person = i.identifier AND t.target = u.target
""")
STORY = sql(f"""
SELECT DISTINCT u.contact, u.target, t.type, t.occurred_at_us
FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) u(contact, target, upto_us)
JOIN {{g}}.identifier i ON i.ws = $1 AND i.contact = u.contact
JOIN {{g}}.touch t ON t.ws = $1 AND t.person = i.identifier AND t.target = u.target AND t.occurred_at_us <= u.upto_us
    AND t.verdict <> {Verdict.RETRACTED:d}
    AND t.type IN ({TouchType.EMAIL_SENT:d}, {TouchType.EMAIL_DELIVERED:d}, {TouchType.EMAIL_OPENED:d})
LEFT JOIN {{g}}.agent a ON a.ws = $1 AND a.agent = t.agent
WHERE t.type <> {TouchType.EMAIL_OPENED:d} OR NOT (t.flags & {FLAGGED_MACHINE:d} <> 0 OR coalesce(a.opens, false))
""")  # when a mail was sent, delivered, and opened by a person
TURN = sql(f"""
UPDATE {{g}}.touch t SET flags = t.flags # {FLAGGED_SCANNER:d}
FROM unnest($2::bigint[], $3::bigint[], $4::text[]) u(person, at_us, event_id)
WHERE t.ws = $1 AND t.person = u.person AND t.occurred_at_us = u.at_us AND t.event_id = u.event_id
""")
MEMBERS = sql("SELECT identifier FROM {g}.identifier WHERE ws = $1 AND contact = ANY($2::bigint[])")

Mail = tuple[int, int]
"""A contact and the asset that it was mailed."""


async def settle_scanners(work: Work) -> None:
    """Decide anew which clicks are a mail scanner's, wherever the batch, changed contacts or changed settings may have changed it."""
    on = work.settings.machine_rules.mail_scanners
    if work.all_clicks:
        after = -(2**63)
        while rows := await work.connection.fetch(WHO_CLICKED, work.ws, after, CONTACTS_AT_A_TIME):
            after = rows[-1]["contact"]
            await _settle(work, await work.connection.fetch(OF_CONTACTS, work.ws, [r["contact"] for r in rows]), on=on)
        return
    if not on:
        return
    mails: list[Any] = []
    if places := _places(work):
        mails += await work.connection.fetch(NEAR, work.ws, *map(list, zip(*places, strict=True)))
    if work.regrouped:
        mails += await work.connection.fetch(OF_CONTACTS, work.ws, list(work.regrouped))
    await _settle(work, mails, on=on)


def _places(work: Work) -> set[tuple[int, int, int, int]]:
    """Whose clicks in what, from when to when (both inclusive), a touch that came or went may bear on."""
    out = set()
    for row in (*work.touches, *work.left_touches):
        if row.target is not None and (span := _bears_on(row)) is not None:
            out.add((row.person, row.target, *span))
    return out


def _bears_on(row: TouchRow) -> tuple[int, int] | None:
    match row.type:
        case TouchType.EMAIL_CLICKED:
            return -(2**63), 2**63 - 1
        case TouchType.EMAIL_SENT | TouchType.EMAIL_DELIVERED:
            return row.occurred_at_us, row.occurred_at_us + SCAN_REACHED_US
        case TouchType.EMAIL_OPENED:
            return row.occurred_at_us, 2**63 - 1
        case _:
            return None


async def _settle(work: Work, mails: Collection[Any], *, on: bool) -> None:
    """Give the clicks of these contacts in these mails the bit that is now theirs."""
    asked = {(row["contact"], row["target"]) for row in mails}
    if not asked:
        return
    rows = await work.connection.fetch(CLICKS, work.ws, *map(list, zip(*asked, strict=True)))
    by_mail: dict[Mail, list[Any]] = defaultdict(list)
    for row in sorted(rows, key=lambda r: (r["occurred_at_us"], r["event_id"])):
        by_mail[row["contact"], row["target"]].append(row)
    by_scanner = await _scanned(work, by_mail) if on else {}
    turned = [
        (mail[0], row["person"], row["occurred_at_us"], row["event_id"])
        for mail, told in by_mail.items()
        for row in told
        if bool(row["flags"] & FLAGGED_SCANNER) != (row["event_id"] in by_scanner.get(mail, ()))
    ]
    if not turned:
        return
    contacts, *places = map(list, zip(*turned, strict=True))
    await work.connection.execute(TURN, work.ws, *places)
    await work.connection.fetch(REJUDGE_TOUCHES, work.ws, *places)
    members = await work.connection.fetch(MEMBERS, work.ws, list(set(contacts)))
    work.identifiers |= {row["identifier"] for row in members}  # their deals may change


async def _scanned(work: Work, by_mail: dict[Mail, list[Any]]) -> dict[Mail, set[str]]:
    """The ids of the clicks that scanners made, by mail."""
    clicks = {
        mail: [Click(row["occurred_at_us"], row["event_id"], row["url"]) for row in rows]
        for mail, rows in by_mail.items()
    }
    found: dict[Mail, list[Burst]] = {mail: some for mail, told in clicks.items() if (some := bursts(told))}
    if not found:
        return {}
    asked = [(*mail, some[-1].at_us) for mail, some in found.items()]
    reached: dict[Mail, list[int]] = defaultdict(list)
    opened: dict[Mail, list[int]] = defaultdict(list)
    for row in await work.connection.fetch(STORY, work.ws, *map(list, zip(*asked, strict=True))):
        into = opened if row["type"] == TouchType.EMAIL_OPENED else reached
        into[row["contact"], row["target"]].append(row["occurred_at_us"])
    return {mail: scanned(clicks[mail], some, reached[mail], opened[mail]) for mail, some in found.items()}
