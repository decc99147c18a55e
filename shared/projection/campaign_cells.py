"""What have digests to say of campaigns between instants? For reads, and for `campaign_day`, which is made of them.

A campaign's windows (`attribution_window`) name keys, and keys name key sets. For each of them the time is divided into stretches
with one meaning to the campaign; of a stretch, whole months are read from `month_cell`, other whole days from `day_cell`, and parts
of days, and days whose cells are dirty, from the touches. Sessions and contacts are united: each counts once a campaign.

The same is asked of other subjects than campaigns, with windows of their own: see `plan_of` and `add_planned`.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

from shared.events.instants import BEGINNING_US, END_US
from shared.projection.days import EVERY_DAY, NO_DAY, Days, month_of, next_month
from shared.projection.renamed import RENAMED, Renamed
from shared.projection.sql import Connection, Statement, columns, owned, sql, sql_numbers
from shared.projection.stages.cells.gather import COUNTS, INFLUENCING_KINDS, KINDS_A_TYPE, VISIT
from shared.projection.windows import KEY_COLUMN
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.first_and_last_touch import FIRST_TOUCH_ROUTES
from shared.rules.influence import TouchType
from shared.rules.pre_association import Route, WindowStatus, kept_out

SESSIONS, CONTACTS, LATER, EVERY_KIND = 1, 2, 4, 8
"""Which lists are asked for: sessions; the contacts of touches that influence; only sessions that began before; the contacts of touches of
every kind that counts. They are added."""

OF_DAYS, OF_MONTHS, OF_ADDED = 0, 1, 2
"""Which table cells are read from."""

Statuses = tuple[int | None, int | None, int | None]
"""What a key set is to a campaign for some time: the window status by asset, by via and by utm, None where the route does not apply."""

WINDOWS = sql("""
SELECT campaign, route, key, from_us, to_us, window_status FROM {g}.attribution_window
WHERE ws = $1 AND campaign = ANY($2::bigint[])
""")
_HELD = """held AS MATERIALIZED (
    SELECT DISTINCT route, key FROM {g}.attribution_window WHERE ws = $1 AND campaign = ANY($2::bigint[]))"""
KEY_SETS = sql(f"""
WITH {_HELD}
SELECT key_set, asset_or_page_key, via, utm FROM (
    SELECT k.* FROM {{g}}.key_set k JOIN held h ON h.route = {Route.ASSET:d} AND k.ws = $1 AND k.asset_or_page_key = h.key
    UNION SELECT k.* FROM {{g}}.key_set k JOIN held h ON h.route = {Route.VIA:d} AND k.ws = $1 AND k.via = h.key AND k.via <> 0
    UNION SELECT k.* FROM {{g}}.key_set k JOIN held h ON h.route = {Route.UTM:d} AND k.ws = $1 AND k.utm = h.key AND k.utm <> 0) k
""")
KEY_SETS_OF_DAYS = sql(f"""
WITH {_HELD}, met AS MATERIALIZED (
    SELECT key_set FROM {{g}}.day_cell WHERE ws = $1 AND day = ANY($3::int[])
    UNION SELECT key_set FROM {{g}}.added_cell WHERE ws = $1 AND day = ANY($3::int[])
    UNION SELECT key_set FROM {{g}}.dirty_cell WHERE ws = $1
    UNION SELECT v.key_set FROM unnest($4::bigint[], $5::bigint[]) u(from_us, to_us)
    JOIN {{g}}.carried_visit v ON v.ws = $1 AND v.session_at_us >= u.from_us AND v.session_at_us < u.to_us)
SELECT k.key_set, k.asset_or_page_key, k.via, k.utm
FROM met CROSS JOIN LATERAL (SELECT * FROM {{g}}.key_set WHERE ws = $1 AND key_set = met.key_set OFFSET 0) k
WHERE k.asset_or_page_key IN (SELECT key FROM held WHERE route = {Route.ASSET:d})
    OR k.via <> 0 AND k.via IN (SELECT key FROM held WHERE route = {Route.VIA:d})
    OR k.utm <> 0 AND k.utm IN (SELECT key FROM held WHERE route = {Route.UTM:d})
""")  # those alone that may have touches on some days ($3), or visits of sessions that began on them: from $4 to $5
KEY_SETS_NAMED = sql("""
SELECT key_set, asset_or_page_key, via, utm FROM {g}.key_set WHERE ws = $1 AND key_set = ANY($2::bigint[])
""")
WINDOWS_OF_KEY_SETS = sql("""
SELECT DISTINCT w.campaign, w.route, w.key, w.from_us, w.to_us, w.window_status FROM {g}.key_set k
JOIN {g}.attribution_window w ON w.ws = $1 AND w.key = ANY(ARRAY[k.asset_or_page_key, k.via, k.utm]) AND w.campaign = ANY($3::bigint[])
WHERE k.ws = $1 AND k.key_set = ANY($2::bigint[])
""")
DIRTY = sql("SELECT key_set, day FROM {g}.dirty_cell WHERE ws = $1 ORDER BY key_set, day")
STALE = sql("SELECT key_set, month FROM {g}.stale_month WHERE ws = $1 ORDER BY key_set, month")

_ASKED = f"""lists & {SESSIONS} <> 0 AS visits, lists & {CONTACTS | EVERY_KIND} <> 0 AS counts, lists & {EVERY_KIND} <> 0 AS every"""


def _cells(table: str, day: str, source: int, kinds: str = "c.kinds, c.touches", contacts: str = "c.contacts") -> str:
    return f"""
    SELECT r.n, r.visits, r.counts, r.every, width_bucket(c.{day}, $10::int[]) AS bucket, {kinds},
        CASE WHEN r.counts THEN {contacts} END AS contacts,
        CASE WHEN r.visits THEN c.sessions END AS sessions, CASE WHEN r.visits THEN c.new_sessions END AS new_sessions
    FROM asked r JOIN member m ON m.pattern = r.pattern
    JOIN {{g}}.{table} c ON c.ws = $1 AND c.key_set = m.key_set AND c.{day} >= r.from_day AND c.{day} < r.to_day
    WHERE r.source = {source}"""


_MEMBER = "member AS MATERIALIZED (SELECT * FROM unnest($2::int[], $3::bigint[]) u(pattern, key_set))"

# What cells say. $2 and $3: the pattern of each key set. $4 to $9: of each pattern, a group ($5), a table ($6: 0 days, 1 months, 2 what
# was added to days), the days from $7 to $8, and which lists are asked for ($9). $10 the first days of the buckets. A row a group, bucket
# and kind with the number of touches and the contacts, and a row a group and bucket with the sessions.
OF_CELLS = sql(f"""
WITH {_MEMBER}, asked AS MATERIALIZED (
    SELECT pattern, n, source, from_day, to_day, {_ASKED}
    FROM unnest($4::int[], $5::int[], $6::smallint[], $7::int[], $8::int[], $9::smallint[])
        u(pattern, n, source, from_day, to_day, lists)),
met AS MATERIALIZED ({_cells("day_cell", "day", OF_DAYS)} UNION ALL {_cells("month_cell", "month", OF_MONTHS)}
    UNION ALL {_cells("added_cell", "day", OF_ADDED, "ARRAY[c.kind], ARRAY[c.touches]", "ARRAY[c.contacts]")})
SELECT n, bucket, u.kind, sum(u.touches)::bigint AS touches,
    string_agg(u.contacts, ''::bytea) FILTER (WHERE counts AND (every OR u.kind IN ({sql_numbers(INFLUENCING_KINDS)}))) AS contacts,
    NULL::bytea AS sessions, NULL::bytea AS new_sessions
FROM met CROSS JOIN LATERAL unnest(kinds, touches, contacts) u(kind, touches, contacts) GROUP BY n, bucket, u.kind
UNION ALL
SELECT n, bucket, NULL, NULL, NULL, string_agg(sessions, ''::bytea), string_agg(new_sessions, ''::bytea)
FROM met WHERE visits GROUP BY n, bucket
""")


def _scans() -> str:
    """The touches of the spans of time of keys that are asked for: each span of a key is read once, whatever key sets are looked up by it."""
    keys = ", ".join(f"coalesce({name}, 0) AS {name}" for name in KEY_COLUMN.values())
    return " UNION ALL ".join(
        f"""
    SELECT s.scan, t.* FROM scan s CROSS JOIN LATERAL (
        SELECT {keys}, person, occurred_at_us, event_id, type, traffic_class, count, session, session_at_us, session_is_new
        FROM {{g}}.touch WHERE ws = $1 AND {column} = s.key AND occurred_at_us >= s.from_us AND occurred_at_us < s.to_us
            AND traffic_class <> {TrafficClass.RETRACTED:d}
        OFFSET 0) t
    WHERE s.route = {route:d}"""
        for route, column in KEY_COLUMN.items()
    )


_KEY_OF_ROUTE = (
    f"CASE m.route {' '.join(f'WHEN {route:d} THEN k.{column}' for route, column in KEY_COLUMN.items())} END"
)

# The same of touches, for parts of days. $4 to $8: of each pattern, a group, from $6 to $7, and which lists are asked for ($8).
# $9 the instants at which the buckets begin. $10 by which of its keys the touches of each key set are looked up: the route of the key. The
# contacts are in rows of their own, of kinds without a number of touches. Touches and parts are joined by the number of a scan and not by its
# columns, since PostgreSQL expects few touches and would sort all of them.
OF_TOUCHES = sql(f"""
WITH member AS MATERIALIZED (SELECT * FROM unnest($2::int[], $3::bigint[], $10::smallint[]) u(pattern, key_set, route)),
part AS MATERIALIZED (
    SELECT p.n, p.from_us, p.to_us, {_ASKED}, p.lists & {LATER} <> 0 AS later, m.route, {_KEY_OF_ROUTE} AS key,
        k.asset_or_page_key, k.via, k.utm
    FROM unnest($4::int[], $5::int[], $6::bigint[], $7::bigint[], $8::smallint[]) p(pattern, n, from_us, to_us, lists)
    JOIN member m ON m.pattern = p.pattern JOIN {{g}}.key_set k ON k.ws = $1 AND k.key_set = m.key_set),
scan AS MATERIALIZED (
    SELECT row_number() OVER () AS scan, d.* FROM (SELECT DISTINCT route, key, from_us, to_us FROM part) d),
asked AS MATERIALIZED (
    SELECT s.scan, p.* FROM part p JOIN scan s ON s.route = p.route AND s.key = p.key AND s.from_us = p.from_us AND s.to_us = p.to_us),
touched AS MATERIALIZED ({_scans()}),
t AS MATERIALIZED (
    SELECT p.n, p.visits, p.counts, p.every, p.later, t.person, t.occurred_at_us, t.event_id, t.type, t.traffic_class, t.count, t.session,
        t.session_at_us, t.session_is_new, ({KINDS_A_TYPE} * t.type + t.traffic_class)::smallint AS kind
    FROM touched t
    JOIN asked p ON p.scan = t.scan AND p.asset_or_page_key = t.asset_or_page_key AND p.via = t.via AND p.utm = t.utm)
SELECT n, width_bucket(occurred_at_us, $9::bigint[]) AS bucket, kind,
    sum(count)::bigint AS touches, NULL::bytea AS contacts, NULL::bytea AS sessions, NULL::bytea AS new_sessions
FROM t WHERE NOT later GROUP BY 1, 2, 3
UNION ALL
SELECT n, bucket, kind, NULL, string_agg(int8send(contact), ''::bytea), NULL, NULL
FROM (
    SELECT DISTINCT t.n, width_bucket(t.occurred_at_us, $9::bigint[]) AS bucket, t.kind, o.contact FROM t
    JOIN {{g}}.identity_interval o ON o.ws = $1 AND o.person = t.person
        AND {owned()}
    WHERE t.counts AND NOT t.later AND {COUNTS} AND (t.every OR t.kind IN ({sql_numbers(INFLUENCING_KINDS)}))) c
GROUP BY n, bucket, kind
UNION ALL
SELECT n, bucket, NULL, NULL, NULL, string_agg(int8send(session), ''::bytea),
    string_agg(int8send(session), ''::bytea) FILTER (WHERE session_is_new)
FROM (
    SELECT DISTINCT t.n, width_bucket(t.session_at_us, $9::bigint[]) AS bucket, t.session, t.session_is_new FROM t
    WHERE t.visits AND {VISIT}) v
GROUP BY n, bucket
""")

# The sessions that began in [$8, $9) of visits on a later day. $4 to $7: of each pattern, a group, from when to when visits count;
# $10 the instants at which the buckets begin.
CARRIED = sql(f"""
WITH {_MEMBER}
SELECT u.n, width_bucket(v.session_at_us, $10::bigint[]) AS bucket, v.session, v.session_is_new
FROM unnest($4::int[], $5::int[], $6::bigint[], $7::bigint[]) u(pattern, n, from_us, to_us)
JOIN member m ON m.pattern = u.pattern
JOIN {{g}}.carried_visit v ON v.ws = $1 AND v.key_set = m.key_set AND v.session_at_us >= $8 AND v.session_at_us < $9
    AND v.occurred_at_us >= u.from_us AND v.occurred_at_us < u.to_us
WHERE NOT EXISTS (SELECT FROM {{g}}.dirty_cell d WHERE d.ws = $1 AND d.key_set = v.key_set AND d.day = v.day)
""")


class Stretch(NamedTuple):
    """A time, `[from_us, to_us)`, in which a key set is one thing to a campaign."""

    from_us: int
    to_us: int
    statuses: Statuses


@dataclass
class _Asked:
    """What is asked of the store; see the statements. Of each member: its pattern, the key set, and the route by whose key its touches are looked up."""

    members: list[tuple[int, int, int]] = field(default_factory=list)
    cells: list[tuple[int, int, int, int, int, int]] = field(default_factory=list)
    parts: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    carried: list[tuple[int, int, int, int]] = field(default_factory=list)


def _by_bucket() -> dict[int, list[bytes]]:
    return defaultdict(list)


@dataclass
class Found:
    """What is found of one subject, a campaign or another, by bucket: the time before the first of the instants is 0, that after it 1.

    `touches` has by statuses and kind (`KINDS_A_TYPE` times the type, plus the traffic class) the sum of `count`. The lists
    hold 64-bit keys, and a key may be in several: `contacts` of touches that influence, `contacts_of_kinds` by kind as well.
    """

    touches: dict[int, dict[tuple[Statuses, int], int]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(int))
    )
    sessions: dict[int, list[bytes]] = field(default_factory=_by_bucket)
    new_sessions: dict[int, list[bytes]] = field(default_factory=_by_bucket)
    contacts: dict[int, list[bytes]] = field(default_factory=_by_bucket)
    contacts_of_kinds: dict[int, dict[int, list[bytes]]] = field(default_factory=lambda: defaultdict(_by_bucket))

    def add_lists(
        self, bucket: int, sessions: bytes | None, new_sessions: bytes | None, contacts: bytes | None = None
    ) -> None:
        """Add what a row holds of each list; None or nothing: it holds none."""
        for lists, told in ((self.sessions, sessions), (self.new_sessions, new_sessions), (self.contacts, contacts)):
            if told:
                lists[bucket].append(told)

    def add_contacts(self, bucket: int, kind: int, contacts: bytes | None) -> None:
        """Add contacts of touches of a kind; None or nothing: there are none."""
        if contacts:
            self.contacts_of_kinds[bucket][kind].append(contacts)
            if kind in INFLUENCING_KINDS:
                self.contacts[bucket].append(contacts)


class Rows(Protocol):
    """Reads the rows of one workspace."""

    async def fetch(self, statement: Statement, *arguments: Any) -> list[Any]:
        """All rows of a statement whose first argument is the number of the workspace's rows; `arguments` are the others."""
        ...


class WorkspaceRows(NamedTuple):
    """Reads the rows that stand under a number `ws`; see `Rows`."""

    connection: Connection
    ws: int

    async def fetch(self, statement: Statement, *arguments: Any) -> list[Any]:
        """See `Rows.fetch`."""
        return await self.connection.fetch(statement, self.ws, *arguments)


Spans = Sequence[tuple[int, int]]
"""Times from an instant to another, in order and apart."""
ALWAYS: Spans = ((BEGINNING_US, END_US),)


def spans_of_days(days: Days, some: Iterable[int]) -> list[tuple[int, int]]:
    """The times of some days; of days that follow one another, one."""
    spans: list[tuple[int, int]] = []
    for day in sorted(some):
        from_us, to_us = days.start_us(day), days.start_us(day + 1)
        if spans and spans[-1][1] == from_us:
            spans[-1] = spans[-1][0], to_us
        else:
            spans.append((from_us, to_us))
    return spans


async def add_of_cells(
    found: Mapping[int, Found], store: Rows, days: Days, edges_us: Sequence[int], asked: Mapping[int, Spans],
    only_of: Sequence[int] | None = None,
) -> None:  # fmt: skip
    """Add what cells say of campaigns, in the times that are asked for of each, between each two of the instants `edges_us`.

    Of the time before the first instant the contacts alone are asked for. `only_of` are days such that touches of no others are
    asked for.
    """
    campaigns = list(asked)
    windows = await store.fetch(WINDOWS, campaigns)
    if only_of is None:
        key_sets = await store.fetch(KEY_SETS, campaigns)
    else:
        begun = columns(spans_of_days(days, only_of))
        key_sets = await store.fetch(KEY_SETS_OF_DAYS, campaigns, only_of, *begun)
    plan = await plan_of(store, days, edges_us, asked, _lists_of_campaigns)
    plan.ask(windows, key_sets)
    await add_planned(found, store, plan)


def _lists_of_campaigns(statuses: Statuses) -> int:
    return SESSIONS * is_visited(statuses) + CONTACTS * counts(statuses)


async def plan_of(
    store: Rows, days: Days, edges_us: Sequence[int], asked: Mapping[int, Spans], lists: Callable[[Statuses], int]
) -> "Plan":
    """What is to be asked of subjects between each two of the instants `edges_us`, in the times that `asked` has for each; nothing yet.

    `lists` says which lists are asked for of key sets that are so to a subject.
    """
    dirty, stale = await _by_key_set(store, DIRTY), await _by_key_set(store, STALE)
    return Plan(days, edges_us, asked, dirty, stale, lists, await renamed_of(store))


async def plan_of_added(
    store: Rows,
    days: Days,
    edges_us: Sequence[int],
    asked: Mapping[int, Spans],
    key_sets: Sequence[int],
    renamed: Renamed,
) -> "Plan":
    """As `plan_of`, for campaigns: what is to be asked of some key sets, on days without dirty cells."""
    plan = Plan(days, edges_us, asked, {}, {}, _lists_of_campaigns, renamed)
    windows = await store.fetch(WINDOWS_OF_KEY_SETS, key_sets, list(asked))
    plan.ask(windows, await store.fetch(KEY_SETS_NAMED, key_sets))
    return plan


async def add_added(found: Mapping[int, Found], store: Rows, plan: "Plan") -> None:
    """Ask what batches have added to whole days of what is planned, and is in no cell yet; add it to the subjects."""
    rows = await _of_cells(store, plan, [cell for cell in plan.asked.cells if cell[2] == OF_ADDED])
    _collect(found, plan, rows, [])


async def _of_cells(store: Rows, plan: "Plan", cells: Sequence[tuple[int, ...]]) -> list[Any]:
    if not cells:
        return []
    first_days = [first_whole(plan.days, at_us) for at_us in plan.edges_us]
    patterns, key_sets, _ = columns(plan.asked.members)
    return await store.fetch(OF_CELLS, patterns, key_sets, *columns(cells), first_days)


async def renamed_of(store: Rows) -> Renamed:
    """Which contacts lists of a workspace may name by a former key."""
    return Renamed({row["was"]: row["contact"] for row in await store.fetch(RENAMED)})


async def add_planned(found: Mapping[int, Found], store: Rows, plan: "Plan") -> None:
    """Ask what is planned, and add what is found to the subjects."""
    questions, edges_us = plan.asked, plan.edges_us
    if not questions.members:
        return
    patterns, key_sets, routes = columns(questions.members)
    rows, carried = await _of_cells(store, plan, questions.cells), []
    if questions.parts:
        rows += await store.fetch(OF_TOUCHES, patterns, key_sets, *columns(questions.parts), list(edges_us), routes)
    if questions.carried:
        bounds = edges_us[0], edges_us[-1], list(edges_us)
        carried = await store.fetch(CARRIED, patterns, key_sets, *columns(questions.carried), *bounds)
    _collect(found, plan, rows, carried)


async def _by_key_set(store: Rows, statement: Statement) -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    for key_set, day in await store.fetch(statement):
        found[key_set].append(day)
    return found


def first_whole(days: Days, at_us: int) -> int:
    """The first day that does not begin before an instant."""
    if at_us == BEGINNING_US:
        return NO_DAY
    return EVERY_DAY if at_us == END_US else days.first_whole(at_us)


def divided_days(days: Days, edges_us: Iterable[int]) -> set[int]:
    """The days that begin before, and end after, one of some instants."""
    inner = [at_us for at_us in edges_us if at_us not in (BEGINNING_US, END_US)]
    return {day for at_us in inner if days.start_us(day := days.day_of(at_us)) != at_us}


_STATUSES = (None, *WindowStatus)


def status_number(statuses: Statuses) -> int:
    """Statuses as `campaign_day` has them: a number."""
    of_asset, of_via, of_utm = (_STATUSES.index(status) for status in statuses)
    return of_asset + len(_STATUSES) * (of_via + len(_STATUSES) * of_utm)


@lru_cache(1_024)
def statuses_of(number: int) -> Statuses:
    """The statuses that `status_number` makes a number of."""
    rest, of_asset = divmod(number, len(_STATUSES))
    of_utm, of_via = divmod(rest, len(_STATUSES))
    return _STATUSES[of_asset], _STATUSES[of_via], _STATUSES[of_utm]


@lru_cache(1_024)
def is_visited(statuses: Statuses) -> bool:
    """Whether page visits with these statuses make sessions of the campaign."""
    return any(statuses[route - 1] == WindowStatus.COUNTS for route in FIRST_TOUCH_ROUTES)


@lru_cache(1_024)
def counts(statuses: Statuses) -> bool:
    """Whether touches with these statuses count for the campaign."""
    return kept_out(TrafficClass.COUNTED, by_route(statuses)) is None


def by_route(statuses: Statuses) -> dict[Route, WindowStatus]:
    """The statuses as rules take them."""
    return {route: WindowStatus(s) for route in Route if (s := statuses[route - 1]) is not None}


Pieces = tuple[tuple[int, int, int], ...]
"""The windows of one key for one campaign: from, to, window status; in order."""


_ALONE: tuple[dict[int, Statuses], ...] = (
    {status: (status, None, None) for status in WindowStatus}, {status: (None, status, None) for status in WindowStatus},
    {status: (None, None, status) for status in WindowStatus},
)  # fmt: skip
"""The statuses where one route applies alone."""


def stretches(pieces: tuple[Pieces | None, Pieces | None, Pieces | None]) -> list[Stretch]:
    """The time of a key set, of whose keys each route has its pieces, without stretches in which no route applies."""
    applying = [(route, some) for route, some in enumerate(pieces) if some]
    if len(applying) == 1:
        ((route, only),) = applying
        return [Stretch(from_us, to_us, _ALONE[route][status]) for from_us, to_us, status in only]
    points = sorted({at_us for some in pieces for from_us, to_us, _ in some or () for at_us in (from_us, to_us)})
    out: list[Stretch] = []
    for from_us, to_us in pairwise(points):
        asset, via, utm = (_status_at(some, from_us) for some in pieces)
        if (asset, via, utm) == (None, None, None):
            continue
        if out and out[-1].to_us == from_us and out[-1].statuses == (asset, via, utm):
            out[-1] = out[-1]._replace(to_us=to_us)
        else:
            out.append(Stretch(from_us, to_us, (asset, via, utm)))
    return out


def _status_at(pieces: Pieces | None, at_us: int) -> int | None:
    for from_us, to_us, status in pieces or ():
        if from_us <= at_us < to_us:
            return status
    return None


class Plan:
    """Works out what is to be asked of cells and of touches.

    A group, by its number, is a subject (a campaign or another) and the statuses of some stretches of its key sets.
    """

    def __init__(
        self, days: Days, edges_us: Sequence[int], times: Mapping[int, Spans], dirty: Mapping[int, list[int]],
        stale: Mapping[int, list[int]], lists: Callable[[Statuses], int], renamed: Renamed,
    ) -> None:  # fmt: skip
        self._times, self._lists, self.renamed = times, lists, renamed
        self.groups: list[tuple[int, Statuses]] = []
        self.asked = _Asked()
        self.days, self.edges_us = days, edges_us
        self._dirty, self._stale = dirty, stale
        states: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = {}
        self._states = {
            key_set: states.setdefault((tuple(dirty.get(key_set, ())), tuple(stale.get(key_set, ()))), len(states))
            for key_set in dirty.keys() | stale.keys()
        }  # key sets with the same number have the same dirty days and stale months
        self._from_us, self._to_us = edges_us[0], edges_us[-1]
        inner = [at_us for at_us in edges_us if at_us not in (BEGINNING_US, END_US)]
        self._cut = sorted(divided_days(days, edges_us))
        self._split_months = sorted(
            {m for at_us in inner if (m := month_of(days.day_of(at_us))) != first_whole(days, at_us)}
        )
        self._patterns: dict[Any, int] = {}
        self._numbers: dict[tuple[int, Statuses], int] = {}
        self._by_day: dict[tuple[int | None, int, int], tuple[list[tuple[int, int, int]], list[tuple[int, int]]]] = {}

    def ask(self, windows: Sequence[Any], key_sets: Sequence[Any]) -> None:
        """Ask for all stretches of all key sets of subjects, by their windows: rows with subject, route, key, from, to and window status.

        `key_sets` are rows with the number of each key set that may have touches in a window, and its three keys.
        """
        pieces: dict[tuple[int, int], dict[int, list[tuple[int, int, int]]]] = defaultdict(lambda: defaultdict(list))
        for campaign, route, key, from_us, to_us, status in windows:
            pieces[route, key][campaign].append((from_us, to_us, status))
        of_key = {rk: {c: tuple(sorted(p)) for c, p in of.items()} for rk, of in pieces.items()}
        members = self.asked.members
        nothing: dict[int, Pieces] = {}
        patterns = self._patterns
        for key_set, asset, via, utm in key_sets:
            by_asset = of_key.get((Route.ASSET, asset), nothing)
            by_via = of_key.get((Route.VIA, via), nothing)
            by_utm = of_key.get((Route.UTM, utm), nothing)
            looked_up_by = Route.ASSET if by_asset else Route.VIA if by_via else Route.UTM
            for campaign in by_asset.keys() | by_via.keys() | by_utm.keys():
                routes = by_asset.get(campaign), by_via.get(campaign), by_utm.get(campaign)
                name = (campaign, *map(id, routes), self._states.get(key_set))
                pattern = patterns.get(name)
                if pattern is None:
                    pattern = patterns[name] = len(patterns)
                    for stretch in stretches(routes):
                        self._ask_stretch(pattern, campaign, key_set, stretch)
                members.append((pattern, key_set, looked_up_by))

    def divided(self) -> set[tuple[int, int]]:
        """The days of subjects, in the time that is asked for, of which only parts are one thing to the subject."""
        parts = (part for part in self.asked.parts if not part[4] & LATER)
        return {(self.groups[n][0], self.days.day_of(from_us)) for _, n, from_us, _, _ in parts}

    def ask_stretches(self, subject: int, key_set: int, looked_up_by: Route, some: tuple[Stretch, ...]) -> None:
        """Ask for stretches of a key set, whose touches can be looked up by its key of a route."""
        name = subject, some, self._states.get(key_set)
        pattern = self._patterns.get(name)
        if pattern is None:
            pattern = self._patterns[name] = len(self._patterns)
            for stretch in some:
                self._ask_stretch(pattern, subject, key_set, stretch)
        self.asked.members.append((pattern, key_set, looked_up_by))

    def _ask_stretch(self, pattern: int, campaign: int, key_set: int, stretch: Stretch) -> None:
        group = campaign, stretch.statuses
        n = self._numbers.get(group)
        if n is None:
            n = self._numbers[group] = len(self.groups)
            self.groups.append(group)
        lists = self._lists(stretch.statuses)
        for begin, end in self._times[campaign]:
            from_us, to_us = max(stretch.from_us, begin), min(stretch.to_us, end)
            if from_us < to_us:
                self._ask_span(pattern, n, key_set, from_us, to_us, lists)
        if lists & SESSIONS and stretch.to_us > self._from_us:
            self._ask_later(pattern, n, key_set, stretch)

    def _ask_span(self, pattern: int, n: int, key_set: int, from_us: int, to_us: int, lists: int) -> None:
        if lists & (CONTACTS | EVERY_KIND) and from_us < self._from_us:  # those reached before
            self._ask_time(pattern, n, key_set, from_us, min(to_us, self._from_us), CONTACTS)
        begin, end = max(from_us, self._from_us), min(to_us, self._to_us)
        if begin < end:
            self._ask_time(pattern, n, key_set, begin, end, lists)

    def _ask_time(self, pattern: int, n: int, key_set: int, from_us: int, to_us: int, lists: int) -> None:
        cells, parts = self._divided(key_set, from_us, to_us)
        self.asked.cells += [(pattern, n, source, begin, end, lists) for source, begin, end in cells]
        self.asked.parts += [(pattern, n, begin, end, lists) for begin, end in parts]

    def _ask_later(self, pattern: int, n: int, key_set: int, stretch: Stretch) -> None:
        """Visits of sessions that began within the range, on a later day or after the range."""
        self.asked.carried.append((pattern, n, max(stretch.from_us, self._from_us), stretch.to_us))
        if self._to_us == END_US:
            return
        days = self.days
        first = first_whole(days, self._to_us)
        dirty = [d for d in self._dirty.get(key_set, ()) if d >= first]
        spans = [(self._to_us, days.start_us(first)), *((days.start_us(d), days.start_us(d + 1)) for d in dirty)]
        for from_us, to_us in spans:
            begin, end = max(from_us, stretch.from_us), min(to_us, stretch.to_us)
            if begin < end:
                self.asked.parts.append((pattern, n, begin, end, SESSIONS | LATER))

    def _divided(
        self, key_set: int, from_us: int, to_us: int
    ) -> tuple[list[tuple[int, int, int]], list[tuple[int, int]]]:
        """A time by cells (source, from day, to day) and by parts that are read raw (from, to)."""
        name = self._states.get(key_set), from_us, to_us
        found = self._by_day.get(name)
        if found is None:
            of_set = self._dirty.get(key_set, ()), self._stale.get(key_set, ())
            found = self._by_day[name] = self._divide(from_us, to_us, *of_set)
        return found

    def _divide(
        self, from_us: int, to_us: int, dirty: Sequence[int], stale: Sequence[int]
    ) -> tuple[list[tuple[int, int, int]], list[tuple[int, int]]]:
        days = self.days
        first = first_whole(days, from_us)
        last = EVERY_DAY if to_us == END_US else days.day_of(to_us)  # itself not whole, or not within
        if first > last:  # within one day
            return [], [(from_us, to_us)]
        parts: list[tuple[int, int]] = []
        if from_us != BEGINNING_US and days.start_us(first) > from_us:
            parts.append((from_us, days.start_us(first)))
        if to_us != END_US and days.start_us(last) < to_us:
            parts.append((days.start_us(last), to_us))
        raw = sorted({*_between(self._cut, first, last), *_between(dirty, first, last)})
        parts += [(days.start_us(day), days.start_us(day + 1)) for day in raw]
        cells: list[tuple[int, int, int]] = []
        begin = first
        for day in [*raw, last]:
            if begin < day:
                cells.append((OF_ADDED, begin, day))
                cells += self._of_whole_days(begin, day, stale)
            begin = day + 1
        return cells, parts

    def _of_whole_days(self, begin: int, end: int, stale: Sequence[int]) -> Iterator[tuple[int, int, int]]:
        """Whole days `[begin, end)` by the cells of months where these say it, else by those of days."""
        first = begin if begin == NO_DAY or month_of(begin) == begin else next_month(month_of(begin))
        last = end if end == EVERY_DAY else month_of(end)
        if first >= last:
            yield OF_DAYS, begin, end
            return
        if begin < first:
            yield OF_DAYS, begin, first
        if last < end:
            yield OF_DAYS, last, end
        by_days = sorted({*_between(stale, first, last), *_between(self._split_months, first, last)})
        at = first
        for month in by_days:
            if at < month:
                yield OF_MONTHS, at, month
            at = next_month(month)
            yield OF_DAYS, month, at
        if at < last:
            yield OF_MONTHS, at, last


def _between(ordered: Sequence[int], first: int, last: int) -> Sequence[int]:
    return ordered[bisect_left(ordered, first) : bisect_left(ordered, last)]


def _collect(found: Mapping[int, Found], plan: "Plan", rows: Iterable[Any], carried: Iterable[Any]) -> None:
    """Sort the rows of the statements by subject and bucket."""
    groups, buckets = plan.groups, len(plan.edges_us) - 1
    for n, bucket, kind, number, contacts, sessions, new_sessions in rows:
        subject, statuses = groups[n]
        of = found[subject]
        if kind is None:
            of.add_lists(bucket, sessions, new_sessions)
            continue
        of.add_contacts(bucket, kind, contacts and plan.renamed(contacts))
        if number is not None and 1 <= bucket <= buckets:
            of.touches[bucket][statuses, kind] += number
    for n, bucket, session, is_new in carried:
        of = found[groups[n][0]]
        key = session.to_bytes(8, "big", signed=True)
        of.sessions[bucket].append(key)
        if is_new:
            of.new_sessions[bucket].append(key)


def kind_of(kind: int) -> tuple[TouchType, TrafficClass]:
    """The type and the traffic class of a kind."""
    return TouchType(kind // KINDS_A_TYPE), TrafficClass(kind % KINDS_A_TYPE)
