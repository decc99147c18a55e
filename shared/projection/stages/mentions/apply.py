"""Stage *mentions*: which events name which identifiers, when was each named first, and which pairs are said to be one contact?"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import chain

from shared.projection.changes import Change, Changes, EventsAdmitted, IdentifiersMentioned
from shared.projection.identifier_mentions import edges_of, found_by_person, named_once
from shared.projection.pipeline import Context, Stage
from shared.projection.sql import sql
from shared.projection.stages.mentions.gather import FIRST_NAMED, IDENTIFIERS
from shared.rules.keys import Identifier
from shared.rules.order import END, Order

MENTION_COLUMNS = ("ws", "identifier", "occurred_at_us", "event_id", "visitor")

DROP_MENTIONS = sql("""
DELETE FROM {g}.identifier_mention n USING unnest($2::bigint[], $3::bigint[], $4::text[]) u(identifier, at_us, event_id)
WHERE n.ws = $1 AND n.identifier = u.identifier AND n.occurred_at_us = u.at_us AND n.event_id = u.event_id
""")

SAVE_IDENTIFIERS = sql("""
INSERT INTO {g}.identifier (ws, identifier, is_email, text, first_us, first_event) SELECT $1, * FROM unnest(
    $2::bigint[], $3::bool[], $4::text[], $5::bigint[], $6::text[])
ON CONFLICT (ws, identifier) DO UPDATE SET first_us = excluded.first_us, first_event = excluded.first_event
""")

ADD_EDGES = sql("""
INSERT INTO {g}.identity_edge SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::int[])
ON CONFLICT (ws, a, b) DO UPDATE SET uses = identity_edge.uses + excluded.uses RETURNING a, xmax = 0 AS fresh
""")  # fresh: no earlier event did
DROP_UNUSED_EDGES = sql("DELETE FROM {g}.identity_edge WHERE ws = $1 AND a = ANY($2::bigint[]) AND uses = 0")


Row = tuple[int, bool, str, int | None, str | None]
"""Of `identifier`: its key, whether it is an email, its text, and the first event that names it, if any does."""


async def run(context: Context, changes: Changes) -> Sequence[Change]:
    """Write the mentions of the events that entered or left the set; pass on the identifiers whose contact may be another now."""
    admitted = changes.of(EventsAdmitted)
    marked: set[int] = set()
    rows: list[tuple[int, int, int, str, int | None]] = []
    dropped: list[tuple[int, int, str]] = []
    edges: dict[tuple[int, int], int] = defaultdict(int)
    firsts: dict[Identifier, Order] = {}
    lost: set[int] = set()
    for arrived, leaves in chain(((a, True) for a in admitted.leaving), ((a, False) for a in admitted.entering)):
        named = arrived.mention
        if named is None:
            continue
        order = Order(arrived.occurred_at_us, arrived.event_id)
        for identifier, visitor in named_once(named).items():
            if leaves:
                dropped.append((identifier.key, *order))
                lost.add(identifier.key)
                continue
            if order < firsts.get(identifier, END):
                firsts[identifier] = order
            if visitor is not None or not found_by_person(named, identifier, is_touch=arrived.is_touch):
                rows.append((context.ws, identifier.key, *order, visitor))
        for a, b in edges_of(named):
            edges[a, b] += -1 if leaves else 1
            if leaves:
                marked |= {a, b}
        if named.merge:
            marked |= {contact[0].key for contact in named.contacts}
    if dropped:
        await context.connection.execute(DROP_MENTIONS, context.ws, *map(list, zip(*dropped, strict=True)))
    await context.connection.copy("identifier_mention", MENTION_COLUMNS, rows)
    marked |= await _record_firsts(context, firsts, lost, edges)
    marked |= await _record_edges(context, edges)
    return [IdentifiersMentioned(frozenset(marked))]


async def _record_firsts(
    context: Context, firsts: dict[Identifier, Order], lost: set[int], edges: dict[tuple[int, int], int]
) -> set[int]:
    """Keep the first mention of each identifier; answers those of which it changed, or that an edge newly joins."""
    keys = {identifier.key for identifier in firsts} | lost
    if not keys:
        return set()
    known = {row["identifier"]: row for row in await context.connection.fetch(IDENTIFIERS, context.ws, list(keys))}
    save: list[Row] = []
    for identifier, order in firsts.items():
        row = known.get(identifier.key)
        if row is None or row["first_us"] is None or order < Order(row["first_us"], row["first_event"]):
            save.append((identifier.key, *identifier, *order))
    marked = {key for key, *_ in save}
    for a, b in edges:
        if a not in known or b not in known or known[a]["contact"] != known[b]["contact"]:
            marked |= {a, b}
    await _save_identifiers(context, save)
    if lost:
        found = await context.connection.fetch(FIRST_NAMED, context.ws, list(lost))
        rows = await context.connection.fetch(IDENTIFIERS, context.ws, list(lost))
        texts = {row["identifier"]: row for row in rows}
        again = [
            (key, texts[key]["is_email"], texts[key]["text"], at_us, event_id)
            for key, at_us, event_id in found
            if key in texts
        ]
        await _save_identifiers(context, again)
    return marked | lost


async def _save_identifiers(context: Context, rows: list[Row]) -> None:
    if rows:
        await context.connection.execute(SAVE_IDENTIFIERS, context.ws, *map(list, zip(*rows, strict=True)))


async def _record_edges(context: Context, edges: dict[tuple[int, int], int]) -> set[int]:
    """Count how many events say of each pair that it is one contact; answers the identifiers of pairs that are new."""
    uses: dict[tuple[int, int], int] = defaultdict(int)
    for (a, b), n in edges.items():
        if n:
            uses[a, b] += n
            uses[b, a] += n
    if not uses:
        return set()
    columns = map(list, zip(*((a, b, n) for (a, b), n in uses.items()), strict=True))
    added = await context.connection.fetch(ADD_EDGES, context.ws, *columns)
    await context.connection.execute(DROP_UNUSED_EDGES, context.ws, [a for a, _ in uses])
    return {row["a"] for row in added if row["fresh"]}


STAGE = Stage(
    "mentions", run, takes=(EventsAdmitted,), passes_on=(IdentifiersMentioned,), package=__package__,
    owns=("identifier_mention", "identity_edge", "identifier"), reads=("touch",),
)  # fmt: skip
