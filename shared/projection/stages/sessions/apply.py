"""Stage *sessions*: what are the sessions of visitors whose events came late, left the set, or changed their traffic class?

Events that came in order have their sessions already. For the others, sessions are derived again from the one before them until
the stored sessions agree again (rule **session**).
"""

from collections.abc import Iterable, Sequence
from typing import Any

from shared.projection.changes import (
    Change,
    Changes,
    IdentityChanged,
    OtherSession,
    ReclassifiedTouch,
    SessionOfTouch,
    SessionsChanged,
    SettingsChanged,
    TrafficChanged,
    VisitorsChanged,
)
from shared.projection.pipeline import Context, Stage
from shared.projection.sql import sql
from shared.projection.stages.sessions.gather import ALL_VISITORS, NEWEST, SESSION_EVENTS, SESSIONS_BEFORE
from shared.projection.visitors import VISITORS, VisitorState
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.influence import TouchType
from shared.rules.keys import session_key
from shared.rules.order import BEGINNING, END, Order
from shared.rules.session import Session, after

FIRST_CHUNK_TOUCHES = 20  # a session and its neighbour: most late events settle within
CHUNK_TOUCHES = 500  # read at a time for the others

SAVE_VISITORS = sql("""
INSERT INTO {g}.visitor SELECT $1, * FROM unnest(
    $2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bool[], $9::bigint[],
    $10::bigint[])
ON CONFLICT (ws, visitor) DO UPDATE SET newest_us = excluded.newest_us, newest_event = excluded.newest_event,
    owner = excluded.owner, session = excluded.session, session_at_us = excluded.session_at_us,
    session_is_new = excluded.session_is_new, session_last_us = excluded.session_last_us,
    session_source = excluded.session_source
""")
SET_SESSIONS = sql("""
UPDATE {g}.touch t SET session = u.session, session_at_us = u.session_at_us, session_is_new = u.is_new
FROM unnest($2::bigint[], $3::bigint[], $4::text[], $5::bigint[], $6::bigint[], $7::bool[])
    u(visitor, at_us, event_id, session, session_at_us, is_new)
WHERE t.ws = $1 AND t.person = u.visitor AND t.occurred_at_us = u.at_us AND t.event_id = u.event_id
""")
DROP_VISITORS = sql("DELETE FROM {g}.visitor WHERE ws = $1 AND visitor = ANY($2::bigint[])")


async def run(context: Context, changes: Changes) -> Sequence[Change]:
    """Derive again what did not come in order, keep the visitors' states, and pass on whose stored sessions may be others."""
    visitors, owners = changes.of(VisitorsChanged), changes.of(IdentityChanged).owners
    reclassified, settings = changes.of(TrafficChanged).touches, changes.settings()
    states = dict(visitors.states)
    for visitor, owner in owners.items():
        if visitor in states:
            states[visitor].owner = owner
    spans = _spans(visitors, reclassified)
    await _sessions_alone(context, reclassified)
    unknown = [visitor for visitor in spans if visitor not in states]
    states |= await _states(context, unknown)
    jobs = [Rederivation(v, *span) for v, span in spans.items() if v in states]
    await rederive(context, jobs, states)
    await _forget_empty(context, visitors, states)
    await save(context, states.items())
    all_persons = settings is not None and (
        settings.was.session_gap_minutes != settings.now.session_gap_minutes
        or settings.was.referrers != settings.now.referrers
    )
    if all_persons:
        await rederive_all(context)
    persons = visitors.late | {touch.person for touch in reclassified}
    touches = {
        change[:3]: OtherSession(was, SessionOfTouch(*change[3:]))
        for job in jobs
        for change, was in zip(job.changes, job.were, strict=True)
    }
    since_us = {job.visitor: job.since_us for job in jobs if job.changes}
    return [SessionsChanged(persons, all_persons, touches, since_us)] if persons or all_persons else []


def _spans(visitors: VisitorsChanged, reclassified: Iterable[ReclassifiedTouch]) -> dict[int, tuple[Order, Order]]:
    """Between which events each visitor's sessions are to be derived again."""
    spans: dict[int, tuple[Order, Order]] = {}
    for visitor in visitors.late:
        of = visitors.events[visitor]
        if of.touches:
            spans[visitor] = of.earliest, of.latest
    for touch in reclassified:
        if touch.by_visitor:
            first, last = spans.get(touch.person, (touch.order, touch.order))
            spans[touch.person] = min(first, touch.order), max(last, touch.order)
    return spans


async def _sessions_alone(context: Context, reclassified: Iterable[ReclassifiedTouch]) -> None:
    """Give form submissions without a visitor that count again the session that each of them is."""
    alone = [
        (t.person, *t.order, session_key(t.event_id), t.occurred_at_us, False)
        for t in reclassified
        if not t.by_visitor and t.type == TouchType.FORM_SUBMITTED and t.traffic_class == TrafficClass.COUNTED
    ]
    if alone:
        await context.connection.execute(SET_SESSIONS, context.ws, *map(list, zip(*alone, strict=True)))


async def _states(context: Context, visitors: Sequence[int]) -> dict[int, VisitorState]:
    if not visitors:
        return {}
    rows = await context.connection.fetch(VISITORS, context.ws, visitors)
    return {row["visitor"]: VisitorState.of(row) for row in rows}


async def _forget_empty(context: Context, visitors: VisitorsChanged, states: dict[int, VisitorState]) -> None:
    """Find the newest event of visitors that lost one; those that have none left are visitors no more."""
    gone = []
    for visitor in visitors.late:
        if visitors.events[visitor].loses:
            newest = await context.connection.fetchrow(NEWEST, context.ws, visitor)
            if newest is None:
                gone.append(visitor)
                del states[visitor]
            else:
                states[visitor].newest = Order(*newest)
    if gone:
        await context.connection.execute(DROP_VISITORS, context.ws, gone)


async def save(context: Context, states: Iterable[tuple[int, VisitorState]]) -> None:
    """Write visitors' states."""
    if rows := [state.row(visitor) for visitor, state in states]:
        await context.connection.execute(SAVE_VISITORS, context.ws, *map(list, zip(*rows, strict=True)))


class Rederivation:
    """Derives one visitor's sessions again where events between `first` and `last` changed.

    It begins with the session before `first` and ends where, after `last`, a stored session begins as derived.
    """

    def __init__(self, visitor: int, first: Order = BEGINNING, last: Order = END) -> None:
        self.visitor, self.first, self.last = visitor, first, last
        self.point = BEGINNING
        self.session: Session | None = None
        self.begun_by: Any = None  # the stored session that it begins with, until its first event is met
        self.changes: list[tuple[int, int, str, int, int, bool]] = []
        self.were: list[SessionOfTouch | None] = []
        """The stored sessions of the changed touches."""
        self.since_us = END.at_us
        """When the first session began of those that gained or lost a touch."""

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
            had = row["session"], row["session_at_us"], row["session_is_new"]
            self.were.append(None if row["session"] is None else SessionOfTouch(*had))
            had_us = END.at_us if row["session_at_us"] is None else row["session_at_us"]
            self.since_us = min(self.since_us, had_us, self.session.started_at_us)
            return False
        return self.point > self.last and self.session.key == session_key(row["event_id"])


async def rederive(context: Context, jobs: list[Rederivation], states: dict[int, VisitorState]) -> None:
    """Carry out re-derivations, all of them together, a chunk of events at a time."""
    if not jobs:
        return
    places = [(n, job.visitor, *job.first) for n, job in enumerate(jobs)]
    for row in await context.connection.fetch(SESSIONS_BEFORE, context.ws, *map(list, zip(*places, strict=True))):
        jobs[row["n"]].begin_with(row)
    open_jobs, chunk = set(range(len(jobs))), FIRST_CHUNK_TOUCHES
    while open_jobs:
        places = [(n, jobs[n].visitor, *jobs[n].point) for n in sorted(open_jobs)]
        rows: dict[int, list[Any]] = {n: [] for n in open_jobs}
        columns = map(list, zip(*places, strict=True))
        for row in await context.connection.fetch(SESSION_EVENTS, context.ws, *columns, chunk):
            rows[row["n"]].append(row)
        for n, events in rows.items():
            job = jobs[n]
            if any(job.agrees_at(row, context.settings.session_gap_us) for row in events):
                open_jobs.discard(n)
            elif len(events) < chunk:  # the visitor has no more: its state is what was derived
                states[job.visitor].session = job.session
                open_jobs.discard(n)
        chunk = CHUNK_TOUCHES
    if changes := [change for job in jobs for change in job.changes]:
        await context.connection.execute(SET_SESSIONS, context.ws, *map(list, zip(*changes, strict=True)))


async def rederive_all(context: Context) -> None:
    """Derive every session of the workspace again."""
    visitors = [row["visitor"] for row in await context.connection.fetch(ALL_VISITORS, context.ws)]
    for begin in range(0, len(visitors), CHUNK_TOUCHES):
        states = await _states(context, visitors[begin : begin + CHUNK_TOUCHES])
        await rederive(context, [Rederivation(visitor) for visitor in states], states)
        await save(context, states.items())


STAGE = Stage(
    "sessions", run, takes=(VisitorsChanged, IdentityChanged, TrafficChanged, SettingsChanged),
    passes_on=(SessionsChanged,), package=__package__, owns=("visitor",), updates=("touch",), reads=("identifier_mention",),
)  # fmt: skip
