"""Layer *record*: write what arrived, once, and note whom it concerns.

Touches of visitors whose events came in order get their session before they are written, so that a row is written once.
"""

from collections.abc import Iterable
from operator import attrgetter

from shared.events import types as e
from shared.events.codec import Arrived, encode_event, event_type
from shared.projection.rows import SETTINGS_SUBJECT, TouchRow, fact, naming, sent_hash, touch_row
from shared.projection.sql import sql
from shared.projection.work import VisitorChange, Work
from shared.rules.excluded_traffic import Verdict
from shared.rules.keys import deal_key, event_key, visitor_key
from shared.rules.order import Order
from shared.store.projection import TOUCH_LEAF_DAYS

TOUCH_COLUMNS = tuple(TouchRow.__slots__)
_touch_record = attrgetter(*TOUCH_COLUMNS)
SEEN_COLUMNS = (
    "ws", "event_key", "occurred_at_us", "place", "is_touch", "live", "log_offset", "sent_hash",
)  # fmt: skip
FACT_COLUMNS = ("ws", "subject", "occurred_at_us", "event_id", "type", "object", "live", "body")

DROP_TOUCHES = sql("""
DELETE FROM {g}.touch t USING unnest($2::bigint[], $3::bigint[], $4::text[]) u(person, at_us, event_id)
WHERE t.ws = $1 AND t.person = u.person AND t.occurred_at_us = u.at_us AND t.event_id = u.event_id
""")
RETRACT_TOUCHES = sql(f"""
UPDATE {{g}}.touch t SET verdict = {Verdict.RETRACTED:d}, session = NULL, session_at_us = NULL, session_is_new = NULL
FROM unnest($2::bigint[], $3::bigint[], $4::text[]) u(person, at_us, event_id)
WHERE t.ws = $1 AND t.person = u.person AND t.occurred_at_us = u.at_us AND t.event_id = u.event_id
""")
DROP_FACTS = sql("""
DELETE FROM {g}.fact f USING unnest($2::bigint[], $3::bigint[], $4::text[]) u(subject, at_us, event_id)
WHERE f.ws = $1 AND f.subject = u.subject AND f.occurred_at_us = u.at_us AND f.event_id = u.event_id
""")
RETRACT_FACTS = sql("""
UPDATE {g}.fact f SET live = false FROM unnest($2::bigint[], $3::bigint[], $4::text[]) u(subject, at_us, event_id)
WHERE f.ws = $1 AND f.subject = u.subject AND f.occurred_at_us = u.at_us AND f.event_id = u.event_id
""")

_SESSION_TYPES = (e.PageVisited, e.FormSubmitted)  # CTA events are form submissions' kin in shape


def sort_out(work: Work) -> None:
    """Note what enters and leaves the set, and which entities that concerns. No I/O."""
    for arrived in work.change.leaving:
        _concerns(work, arrived, leaves=True)
    for arrived in work.change.entering:
        _concerns(work, arrived, leaves=False)


def _concerns(work: Work, arrived: Arrived, *, leaves: bool) -> None:
    event = arrived.event
    named = naming(event)
    if named is not None:
        work.named.append((arrived, named, leaves))
    visitor = None
    if isinstance(event, e.Touch):
        row = touch_row(work.ws, arrived)
        (work.left_touches if leaves else work.touches).append(row)
        if row.by_visitor:
            visitor = _visitor_change(work, row.person, row.order)
            visitor.touches.append(row)
    else:
        _fact_concerns(work, event)
        if isinstance(event, e.ContactIdentified):
            visitor = _visitor_change(
                work, visitor_key(event.visitor_id), Order(arrived.occurred_at_us, arrived.event_id)
            )
    if visitor is not None:
        visitor.loses |= leaves
        if named is not None:
            visitor.identified_as.append(named.contacts[0][0].key)


def _visitor_change(work: Work, visitor: int, order: Order) -> VisitorChange:
    change = work.visitors.get(visitor)
    if change is None:
        change = work.visitors[visitor] = VisitorChange(order, order)
    elif order < change.earliest:
        change.earliest = order
    elif order > change.latest:
        change.latest = order
    return change


def _fact_concerns(work: Work, event: e.Event) -> None:
    about = fact(event)
    match event:
        case e.AssetRegistered() | e.AssetPublished():
            work.assets.add(about.subject)
        case e.AssetAssociated():
            work.assets.add(about.subject)
            if about.object is not None:
                work.campaigns.add(about.object)
        case e.CampaignCreated() | e.CampaignDeleted() | e.SpendRecorded():
            work.campaigns.add(about.subject)
        case e.DealCreated() | e.DealContactAssociated() | e.DealClosed() | e.DealReopened():
            work.deals.add(deal_key(event.deal_id))
        case e.WorkspaceConfigured() | e.ModelDefined():
            work.settings_told = True
        case _:
            pass


async def write(work: Work) -> None:
    """Write the touches and facts; a row that another event replaces, or that comes back, is written anew."""
    change = work.change
    connection, ws = work.connection, work.ws
    fresh = {a.event_id for a in change.fresh}
    restored = [a for a in change.entering if a.event_id not in fresh]
    replaced = {a.event_id for a in change.replaced}
    gone = [*change.replaced, *restored]
    retracted = [a for a in change.leaving if a.event_id not in replaced]
    for statement, kind, arrived in (
        (DROP_TOUCHES, True, gone), (RETRACT_TOUCHES, True, retracted),
        (DROP_FACTS, False, gone), (RETRACT_FACTS, False, retracted),
    ):  # fmt: skip
        places = [_place(ws, a) for a in arrived if isinstance(a.event, e.Touch) == kind]
        if places:
            await connection.execute(statement, ws, *map(list, zip(*places, strict=True)))
    outside = [touch_row(ws, a) for a in change.outside if isinstance(a.event, e.Touch)]
    for row in outside:
        row.verdict = Verdict.RETRACTED
    await connection.copy("touch", TOUCH_COLUMNS, [_touch_record(row) for row in (*work.touches, *outside)])
    await _write_facts(work, restored)
    await _write_seen(work, outside)


def _place(ws: int, arrived: Arrived) -> tuple[int, int, str]:
    event = arrived.event
    place = touch_row(ws, arrived).person if isinstance(event, e.Touch) else fact(event).subject
    return place, arrived.occurred_at_us, arrived.event_id


async def _write_facts(work: Work, restored: Iterable[Arrived]) -> None:
    out = {a.event_id for a in work.change.outside}
    rows = []
    for arrived in (*work.change.fresh, *restored):
        if not isinstance(arrived.event, e.Touch):
            about = fact(arrived.event)
            rows.append(
                (work.ws, about.subject, arrived.occurred_at_us, arrived.event_id, event_type(arrived.event),
                 about.object, arrived.event_id not in out, encode_event(arrived.event))
            )  # fmt: skip
    await work.connection.copy("fact", FACT_COLUMNS, rows)


async def _write_seen(work: Work, outside: Iterable[TouchRow]) -> None:
    persons = {row.event_id: row.person for row in (*work.touches, *outside)}
    out = {a.event_id for a in work.change.outside}
    rows = []
    for arrived in work.change.fresh:
        is_touch = isinstance(arrived.event, e.Touch)
        place = persons[arrived.event_id] if is_touch else fact(arrived.event).subject
        rows.append(
            (work.ws, event_key(arrived.event_id), arrived.occurred_at_us, place, is_touch,
             arrived.event_id not in out, arrived.offset, sent_hash(arrived.raw))
        )  # fmt: skip
    await work.connection.copy("seen", SEEN_COLUMNS, rows)


LEAVES = sql("""
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = to_regclass('{g}.touch')
""")
LEAF_US = TOUCH_LEAF_DAYS * 86_400_000_000
FIRST_LEAF, LAST_LEAF = 120, 240  # from 1999 to 2029; what lies outside goes to touch_other


async def make_leaves(work: Work, known: set[str]) -> set[str]:
    """Create the partitions of touch that the batch needs; answers the new ones' names."""
    needed = {row.occurred_at_us // LEAF_US for row in work.touches}
    needed |= {a.occurred_at_us // LEAF_US for a in work.change.outside}
    made = set()
    for leaf in sorted(needed):
        name = f"touch_{leaf}"
        if FIRST_LEAF <= leaf <= LAST_LEAF and name not in known:
            await work.connection.raw.execute(
                f"CREATE TABLE IF NOT EXISTS {work.connection.generation}.{name} "
                f"PARTITION OF {work.connection.generation}.touch "
                f"FOR VALUES FROM ({leaf * LEAF_US}) TO ({(leaf + 1) * LEAF_US})"
            )
            made.add(name)
    return made


__all__ = ["SETTINGS_SUBJECT", "make_leaves", "sort_out", "write"]
