"""Layer *derive*: the sessions of the batch's visitors.

Events in order extend the visitor's stored session in O(1). A late, retracted or restored one re-derives from the session
before it until the stored sessions agree again.
"""

from typing import Any

from shared.projection.rows import TouchRow
from shared.projection.sql import sql
from shared.projection.work import VisitorChange, Work
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.influence import TouchType
from shared.rules.keys import session_key
from shared.rules.order import BEGINNING, END, Order
from shared.rules.session import SESSION_TYPES, Session, after

FIRST_CHUNK_TOUCHES = 20  # a session and its neighbour: most late events settle within
CHUNK_TOUCHES = 500  # read at a time for the others
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

SESSIONS_BEFORE = sql("""
SELECT u.n, t.session, t.session_at_us, t.session_is_new
FROM unnest($2::int[], $3::bigint[], $4::bigint[], $5::text[]) u(n, visitor, at_us, event_id)
CROSS JOIN LATERAL (
    SELECT session, session_at_us, session_is_new FROM {g}.touch
    WHERE ws = $1 AND person = u.visitor AND by_visitor AND session IS NOT NULL
        AND occurred_at_us <= u.at_us AND (occurred_at_us, event_id) < (u.at_us, u.event_id COLLATE "C")
    ORDER BY occurred_at_us DESC, event_id DESC LIMIT 1) t
""")  # the session of each visitor's last event before a point

SESSION_EVENTS = sql(f"""
SELECT u.n, t.* FROM unnest($2::int[], $3::bigint[], $4::bigint[], $5::text[]) u(n, visitor, at_us, event_id)
CROSS JOIN LATERAL (
    SELECT occurred_at_us, event_id, source, session, session_at_us, session_is_new FROM {{g}}.touch
    WHERE ws = $1 AND person = u.visitor AND by_visitor AND traffic_class = {TrafficClass.COUNTED:d}
        AND type IN ({",".join(map(str, SESSION_TYPE_NUMBERS))})
        AND occurred_at_us >= u.at_us AND (occurred_at_us, event_id) > (u.at_us, u.event_id COLLATE "C")
    ORDER BY occurred_at_us, event_id LIMIT $6) t
""")  # each visitor's session events after a point, in order

SET_SESSIONS = sql("""
UPDATE {g}.touch t SET session = u.session, session_at_us = u.session_at_us, session_is_new = u.is_new
FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::bool[])
    u(visitor, at_us, event_id, session, session_at_us, is_new)
WHERE t.ws = $1 AND t.person = u.visitor AND t.occurred_at_us = u.at_us AND t.event_id = u.event_id
""")

NEWEST = sql("""
SELECT occurred_at_us, event_id FROM (
    (SELECT occurred_at_us, event_id FROM {g}.touch WHERE ws = $1 AND person = $2 AND by_visitor AND traffic_class <> 3
     ORDER BY occurred_at_us DESC, event_id DESC LIMIT 1)
    UNION ALL
    (SELECT occurred_at_us, event_id FROM {g}.identifier_mention WHERE ws = $1 AND visitor = $2
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

    def row(self, visitor: int) -> tuple[Any, ...]:
        """The visitor's row, without its workspace."""
        s = self.session
        told = (None,) * 5 if s is None else (s.key, s.started_at_us, s.is_new, s.last_at_us, s.source)
        return (visitor, *self.newest, self.owner, *told)


async def in_order(work: Work) -> tuple[dict[int, VisitorState], dict[int, VisitorChange]]:
    """Give sessions to the touches of visitors whose events are in order.

    Answers the states of all the batch's visitors, and the visitors that `rederive` must look at once rows are written.
    """
    for row in work.touches:
        begin_alone(row)
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
        state.session = extend_session(state.session, change.touches, gap_us)
    return states, late


def begin_alone(row: TouchRow) -> None:
    """Give a form submission without a visitor the session that it is."""
    if not row.by_visitor and row.type == TouchType.FORM_SUBMITTED and row.traffic_class == TrafficClass.COUNTED:
        row.session, row.session_at_us, row.session_is_new = session_key(row.event_id), row.occurred_at_us, False


def extend_session(session: Session | None, touches: list[TouchRow], gap_us: int) -> Session | None:
    """Put touches of a visitor, all later than its session so far, in order and give them theirs; answers the last."""
    if len(touches) > 1:
        touches.sort(key=in_order_of)
    for row in touches:
        if row.type in _IN_SESSION and row.traffic_class == TrafficClass.COUNTED:
            session = after(session, row.occurred_at_us, row.event_id, row.source, gap_us)
            row.session, row.session_at_us, row.session_is_new = session.key, session.started_at_us, session.is_new
    return session


def in_order_of(row: TouchRow) -> tuple[int, str]:
    """The key by which touches are in order."""
    return row.occurred_at_us, row.event_id


class Rederivation:
    """Derives one visitor's sessions anew where events between `first` and `last` changed.

    It begins with the session before `first` and ends where, after `last`, a stored session begins as derived.
    """

    def __init__(self, visitor: int, first: Order = BEGINNING, last: Order = END) -> None:
        self.visitor, self.first, self.last = visitor, first, last
        self.point = BEGINNING
        self.session: Session | None = None
        self.begun_by: Any = None  # the stored session that it begins with, until its first event is met
        self.changes: list[tuple[int, int, str, int, int, bool]] = []

    def begin_with(self, before: Any) -> None:
        """Begin at a stored session."""
        self.begun_by = before
        self.point = Order(before["session_at_us"], "")

    def agrees_at(self, row: Any, gap_us: int) -> bool:
        """Take the next event; True where the stored sessions agree from here on."""
        self.point = Order(row["occurred_at_us"], row["event_id"])
        if self.begun_by is not None:
            before = self.begun_by
            if session_key(row["event_id"]) != before["session"]:
                return False  # at the instant of that session's beginning, but before it
            self.begun_by = None
            at_us = row["occurred_at_us"]
            self.session = Session(before["session"], at_us, before["session_is_new"], at_us, row["source"])
        else:
            self.session = after(self.session, *self.point, row["source"], gap_us)
        derived = (self.session.key, self.session.started_at_us, self.session.is_new)
        if derived != (row["session"], row["session_at_us"], row["session_is_new"]):
            self.changes.append((self.visitor, *self.point, *derived))
            return False
        return self.point > self.last and self.session.key == session_key(row["event_id"])


async def rederive(work: Work, jobs: list[Rederivation], states: dict[int, VisitorState]) -> None:
    """Carry out re-derivations, all of them together, a chunk of events at a time."""
    if not jobs:
        return
    places = [(n, job.visitor, *job.first) for n, job in enumerate(jobs)]
    for row in await work.connection.fetch(SESSIONS_BEFORE, work.ws, *map(list, zip(*places, strict=True))):
        jobs[row["n"]].begin_with(row)
    open_jobs, chunk = set(range(len(jobs))), FIRST_CHUNK_TOUCHES
    while open_jobs:
        places = [(n, jobs[n].visitor, *jobs[n].point) for n in sorted(open_jobs)]
        rows: dict[int, list[Any]] = {n: [] for n in open_jobs}
        columns = map(list, zip(*places, strict=True))
        for row in await work.connection.fetch(SESSION_EVENTS, work.ws, *columns, chunk):
            rows[row["n"]].append(row)
        for n, events in rows.items():
            job = jobs[n]
            if any(job.agrees_at(row, work.settings.session_gap_us) for row in events):
                open_jobs.discard(n)
            elif len(events) < chunk:  # the visitor has no more: its state is what was derived
                states[job.visitor].session = job.session
                open_jobs.discard(n)
        chunk = CHUNK_TOUCHES
    if changes := [change for job in jobs for change in job.changes]:
        await work.connection.execute(SET_SESSIONS, work.ws, *map(list, zip(*changes, strict=True)))


async def settle_late(work: Work, states: dict[int, VisitorState], late: dict[int, VisitorChange]) -> None:
    """Re-derive the visitors whose events were not in order; one that lost all its events is gone."""
    gone = []
    jobs = [Rederivation(v, change.earliest, change.latest) for v, change in late.items() if change.touches]
    await rederive(work, jobs, states)
    for visitor, change in late.items():
        if change.loses:
            newest = await work.connection.fetchrow(NEWEST, work.ws, visitor)
            if newest is None:
                gone.append(visitor)
                del states[visitor]
            else:
                states[visitor].newest = Order(*newest)
    if gone:
        await work.connection.execute(DROP_VISITORS, work.ws, gone)


async def save(work: Work, states: dict[int, VisitorState]) -> None:
    """Write the visitors' states."""
    if not states:
        return
    rows = [state.row(visitor) for visitor, state in states.items()]
    await work.connection.execute(SAVE_VISITORS, work.ws, *map(list, zip(*rows, strict=True)))


async def rederive_all(work: Work) -> None:
    """Derive every session of the workspace anew, after its session gap changed."""
    visitors = [row["visitor"] for row in await work.connection.fetch(ALL_VISITORS, work.ws)]
    for begin in range(0, len(visitors), CHUNK_TOUCHES):
        rows = await work.connection.fetch(VISITORS, work.ws, visitors[begin : begin + CHUNK_TOUCHES])
        states = {row["visitor"]: VisitorState.of(row) for row in rows}
        await rederive(work, [Rederivation(visitor) for visitor in states], states)
        await save(work, states)
