"""Layer *derive*: the sessions of the batch's visitors.

Events in order extend the visitor's stored session in O(1). A late, retracted or restored one re-derives from the session
before it until the stored sessions agree again.
"""

from typing import Any

from shared.projection.rows import TouchRow
from shared.projection.sql import sql
from shared.projection.work import VisitorChange, Work
from shared.rules.excluded_traffic import Verdict
from shared.rules.influence import TouchType
from shared.rules.keys import session_key
from shared.rules.order import BEGINNING, END, Order
from shared.rules.session import SESSION_TYPES, Session, after

CHUNK_TOUCHES = 500  # read at a time while re-deriving
SESSION_TYPE_NUMBERS = tuple(int(TouchType[name.upper()]) for name in sorted(SESSION_TYPES))
_IN_SESSION = frozenset(SESSION_TYPE_NUMBERS)

VISITORS = sql("SELECT * FROM {g}.visitor WHERE ws = $1 AND visitor = ANY($2::bigint[])")

SAVE_VISITORS = sql("""
INSERT INTO {g}.visitor SELECT $1, * FROM unnest(
    $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bool[], $9::bigint[],
    $10::bigint[])
ON CONFLICT (ws, visitor) DO UPDATE SET newest_us = excluded.newest_us, newest_event = excluded.newest_event,
    owner = excluded.owner, session = excluded.session, session_at_us = excluded.session_at_us,
    session_is_new = excluded.session_is_new, session_last_us = excluded.session_last_us,
    session_source = excluded.session_source
""")

SESSION_BEFORE = sql("""
SELECT session, session_at_us, session_is_new FROM {g}.touch
WHERE ws = $1 AND person = $2 AND by_visitor AND session IS NOT NULL
    AND occurred_at_us <= $3 AND (occurred_at_us, event_id) < ($3, $4 COLLATE "C")
ORDER BY occurred_at_us DESC, event_id DESC LIMIT 1
""")  # the session of the last event before a point

SESSION_EVENTS = sql(f"""
SELECT occurred_at_us, event_id, source, session, session_at_us, session_is_new FROM {{g}}.touch
WHERE ws = $1 AND person = $2 AND by_visitor AND verdict = {Verdict.COUNTED:d}
    AND type = ANY('{{{','.join(map(str, SESSION_TYPE_NUMBERS))}}}'::smallint[])
    AND occurred_at_us >= $3 AND (occurred_at_us, event_id) > ($3, $4 COLLATE "C")
ORDER BY occurred_at_us, event_id LIMIT {CHUNK_TOUCHES}
""")  # a visitor's session events after a point

SET_SESSIONS = sql("""
UPDATE {g}.touch t SET session = u.session, session_at_us = u.session_at_us, session_is_new = u.is_new
FROM unnest($3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::bool[])
    u(at_us, event_id, session, session_at_us, is_new)
WHERE t.ws = $1 AND t.person = $2 AND t.occurred_at_us = u.at_us AND t.event_id = u.event_id
""")

NEWEST = sql("""
SELECT occurred_at_us, event_id FROM (
    (SELECT occurred_at_us, event_id FROM {g}.touch WHERE ws = $1 AND person = $2 AND by_visitor AND verdict <> 3
     ORDER BY occurred_at_us DESC, event_id DESC LIMIT 1)
    UNION ALL
    (SELECT occurred_at_us, event_id FROM {g}.naming WHERE ws = $1 AND visitor = $2
     ORDER BY occurred_at_us DESC, event_id DESC LIMIT 1)) n
ORDER BY 1 DESC, 2 DESC LIMIT 1
""")  # a visitor's newest event of all that are in the set

DROP_VISITORS = sql("DELETE FROM {g}.visitor WHERE ws = $1 AND visitor = ANY($2::bigint[])")
ALL_VISITORS = sql("SELECT visitor FROM {g}.visitor WHERE ws = $1 ORDER BY visitor")


class VisitorState:
    """A row of `visitor`, as the batch changes it."""

    __slots__ = ("newest", "owner", "session")

    def __init__(self, newest: Order, owner: int | None, session: Session | None) -> None:
        self.newest, self.owner, self.session = newest, owner, session

    @classmethod
    def of(cls, row: Any) -> "VisitorState":
        """The state that a row holds."""
        session = None
        if row["session"] is not None:
            session = Session(
                row["session"], row["session_at_us"], row["session_is_new"], row["session_last_us"],
                row["session_source"],
            )  # fmt: skip
        return cls(Order(row["newest_us"], row["newest_event"]), row["owner"], session)


async def in_order(work: Work) -> tuple[dict[int, VisitorState], dict[int, VisitorChange]]:
    """Give sessions to the touches of visitors whose events are in order.

    Answers the states of all the batch's visitors, and the visitors that `rederive` must look at once rows are written.
    """
    for row in work.touches:
        if not row.by_visitor and row.type == TouchType.FORM_SUBMITTED and row.verdict == Verdict.COUNTED:
            row.session, row.session_at_us, row.session_is_new = session_key(row.event_id), row.occurred_at_us, False
    rows = await work.connection.fetch(VISITORS, work.ws, list(work.visitors)) if work.visitors else []
    states = {row["visitor"]: VisitorState.of(row) for row in rows}
    late: dict[int, VisitorChange] = {}
    gap_us = work.settings.session_gap_us
    for visitor, change in work.visitors.items():
        state = states.get(visitor)
        if change.loses or (state is not None and change.earliest < state.newest):
            late[visitor] = change
            if state is None:
                states[visitor] = VisitorState(change.latest, None, None)
            elif change.latest > state.newest:
                state.newest = change.latest
            continue
        if state is None:
            state = states[visitor] = VisitorState(change.latest, None, None)
        state.newest = change.latest
        if len(change.touches) > 1:
            change.touches.sort(key=_order)
        session = state.session
        for row in change.touches:
            if row.type in _IN_SESSION and row.verdict == Verdict.COUNTED:
                session = after(session, row.occurred_at_us, row.event_id, row.source, gap_us)
                row.session, row.session_at_us, row.session_is_new = session.key, session.started_at_us, session.is_new
        state.session = session
    return states, late


def _order(row: TouchRow) -> tuple[int, str]:
    return row.occurred_at_us, row.event_id


async def rederive(
    work: Work, visitor: int, state: VisitorState, first: Order = BEGINNING, last: Order = END
) -> None:
    """Derive a visitor's sessions anew where events between `first` and `last` changed."""
    connection, ws = work.connection, work.ws
    before = await connection.fetchrow(SESSION_BEFORE, ws, visitor, *first)
    point = Order(before["session_at_us"], "") if before else BEGINNING
    session: Session | None = None
    entered = before is None
    changes: list[tuple[int, str, int, int, bool]] = []
    while rows := await connection.fetch(SESSION_EVENTS, ws, visitor, *point):
        for row in rows:
            at_us, event_id = row["occurred_at_us"], row["event_id"]
            point = Order(at_us, event_id)
            if not entered:
                if session_key(event_id) != before["session"]:
                    continue  # at the instant of the session's beginning, but before it
                entered = True
                session = Session(before["session"], at_us, before["session_is_new"], at_us, row["source"])
            else:
                session = after(session, at_us, event_id, row["source"], work.settings.session_gap_us)
            derived = (session.key, session.started_at_us, session.is_new)
            stored = (row["session"], row["session_at_us"], row["session_is_new"])
            if derived != stored:
                changes.append((at_us, event_id, *derived))
            elif point > last and session.key == session_key(event_id):
                await _set_sessions(work, visitor, changes)
                return
    await _set_sessions(work, visitor, changes)
    state.session = session


async def _set_sessions(work: Work, visitor: int, changes: list[tuple[int, str, int, int, bool]]) -> None:
    if changes:
        columns = map(list, zip(*changes, strict=True))
        await work.connection.execute(SET_SESSIONS, work.ws, visitor, *columns)


async def settle_late(work: Work, states: dict[int, VisitorState], late: dict[int, VisitorChange]) -> None:
    """Re-derive the visitors whose events were not in order; one that lost all its events is gone."""
    gone = []
    for visitor, change in late.items():
        state = states[visitor]
        if change.touches:
            await rederive(work, visitor, state, change.earliest, change.latest)
        if change.loses:
            newest = await work.connection.fetchrow(NEWEST, work.ws, visitor)
            if newest is None:
                gone.append(visitor)
                del states[visitor]
            else:
                state.newest = Order(*newest)
    if gone:
        await work.connection.execute(DROP_VISITORS, work.ws, gone)


async def save(work: Work, states: dict[int, VisitorState]) -> None:
    """Write the visitors' states."""
    if not states:
        return
    rows = [
        (visitor, *s.newest, s.owner, *((s.session.key, s.session.started_at_us, s.session.is_new,
         s.session.last_at_us, s.session.source) if s.session else (None,) * 5))
        for visitor, s in states.items()
    ]  # fmt: skip
    await work.connection.execute(SAVE_VISITORS, work.ws, *map(list, zip(*rows, strict=True)))


async def rederive_all(work: Work) -> None:
    """Derive every session of the workspace anew, after its session gap changed."""
    visitors = [row["visitor"] for row in await work.connection.fetch(ALL_VISITORS, work.ws)]
    for begin in range(0, len(visitors), CHUNK_TOUCHES):
        rows = await work.connection.fetch(VISITORS, work.ws, visitors[begin : begin + CHUNK_TOUCHES])
        states = {row["visitor"]: VisitorState.of(row) for row in rows}
        for visitor, state in states.items():
            await rederive(work, visitor, state)
        await save(work, states)
