"""How many touches, sessions and contacts do digests show for campaigns between some instants? Used by reads, and to make `campaign_day`.

`shared.projection.cell_plan` decides which cells and which touches are read. Sessions and contacts are united, so each counts once per campaign.

Other subjects than campaigns are read in the same way, with their own windows: see `plan_of` and `add_planned`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple, Protocol

from shared.projection.cell_plan import Plan, Statuses, counts, is_visited
from shared.projection.cell_statements import (
    CARRIED,
    CONTACTS,
    DIRTY,
    KEY_SETS,
    KEY_SETS_NAMED,
    KEY_SETS_OF_DAYS,
    OF_ADDED,
    OF_CELLS,
    OF_TOUCHES,
    SESSIONS,
    STALE,
    WINDOWS,
    WINDOWS_OF_KEY_SETS,
)
from shared.projection.days import Days, Spans, first_whole, spans_of_days
from shared.projection.renamed_contacts import RENAMED, Renamed
from shared.projection.sql import Connection, Statement, columns
from shared.projection.stages.cells.gather import INFLUENCING_KINDS, KINDS_A_TYPE
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.influence import TouchType


def _by_bucket() -> dict[int, list[bytes]]:
    return defaultdict(list)


@dataclass
class BucketSums:
    """What was read of one subject (a campaign or an asset), by bucket. Bucket 0 is the time before the first instant, bucket 1 begins with it.

    `touches` is the sum of `count` by statuses and kind (`KINDS_A_TYPE` times the type, plus the traffic class). The other fields are lists of 64-bit
    keys; a key may be in several lists. `contacts` are those of touches that influence, `contacts_of_kinds` those of each kind.
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
        """Add the lists of a row. None or an empty list adds nothing."""
        for lists, added in ((self.sessions, sessions), (self.new_sessions, new_sessions), (self.contacts, contacts)):
            if added:
                lists[bucket].append(added)

    def add_contacts(self, bucket: int, kind: int, contacts: bytes | None) -> None:
        """Add contacts of touches of a kind. None or an empty list adds nothing."""
        if contacts:
            self.contacts_of_kinds[bucket][kind].append(contacts)
            if kind in INFLUENCING_KINDS:
                self.contacts[bucket].append(contacts)


class Rows(Protocol):
    """Reads the rows of one workspace."""

    async def fetch(self, statement: Statement, *arguments: Any) -> list[Any]:
        """All rows of a statement. Its first argument is the number `ws` of the workspace's rows; `arguments` are the others."""
        ...


class WorkspaceRows(NamedTuple):
    """Reads the rows with a number `ws`; see `Rows`."""

    connection: Connection
    ws: int

    async def fetch(self, statement: Statement, *arguments: Any) -> list[Any]:
        """See `Rows.fetch`."""
        return await self.connection.fetch(statement, self.ws, *arguments)


async def add_of_cells(
    found: Mapping[int, BucketSums], store: Rows, days: Days, edges_us: Sequence[int], asked: Mapping[int, Spans],
    only_of: Sequence[int] | None = None, *, added: bool = True,
) -> None:  # fmt: skip
    """Read cells and touches of campaigns and add them to `found`, by the buckets between the instants `edges_us`.

    `asked` are the times to read, by campaign. Of the time before the first instant, only contacts are read. If all these times lie within some
    days, pass them as `only_of`: then only key sets with touches on these days are considered.
    `added`: also read what batches have added to cells and nobody has put into them yet.
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
    await add_planned(found, store, plan, added=added)


def _lists_of_campaigns(statuses: Statuses) -> int:
    return SESSIONS * is_visited(statuses) + CONTACTS * counts(statuses)


async def plan_of(
    store: Rows, days: Days, edges_us: Sequence[int], asked: Mapping[int, Spans], lists: Callable[[Statuses], int]
) -> "Plan":
    """An empty plan to read subjects by the buckets between the instants `edges_us`, in the times that `asked` has for each.

    `lists` returns which lists are to be read of a key set with some statuses.
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
    """A plan to read some key sets of campaigns, on days without dirty cells; otherwise like `plan_of`."""
    plan = Plan(days, edges_us, asked, {}, {}, _lists_of_campaigns, renamed)
    windows = await store.fetch(WINDOWS_OF_KEY_SETS, key_sets, list(asked))
    plan.ask(windows, await store.fetch(KEY_SETS_NAMED, key_sets))
    return plan


async def add_added(found: Mapping[int, BucketSums], store: Rows, plan: "Plan") -> None:
    """Read `added_cell` for the whole days of a plan, and add it to the subjects in `found`."""
    rows = await _of_cells(store, plan, [cell for cell in plan.asked.cells if cell[2] == OF_ADDED])
    _collect(found, plan, rows, [])


async def _of_cells(store: Rows, plan: "Plan", cells: Sequence[tuple[int, ...]]) -> list[Any]:
    if not cells:
        return []
    first_days = [first_whole(plan.days, at_us) for at_us in plan.edges_us]
    patterns, key_sets, _ = columns(plan.asked.members)
    return await store.fetch(OF_CELLS, patterns, key_sets, *columns(cells), first_days)


async def renamed_of(store: Rows) -> Renamed:
    """The contacts whose former keys may be in lists of the workspace."""
    return Renamed({row["was"]: row["contact"] for row in await store.fetch(RENAMED)})


async def add_planned(found: Mapping[int, BucketSums], store: Rows, plan: "Plan", *, added: bool = True) -> None:
    """Run the statements of a plan, and add the results to the subjects in `found`; without `added`, not what is in `added_cell`."""
    asked, edges_us = plan.asked, plan.edges_us
    if not asked.members:
        return
    patterns, key_sets, routes = columns(asked.members)
    cells = [cell for cell in asked.cells if added or cell[2] != OF_ADDED]
    rows, carried = await _of_cells(store, plan, cells), []
    if asked.parts:
        rows += await store.fetch(OF_TOUCHES, patterns, key_sets, *columns(asked.parts), list(edges_us), routes)
    if asked.carried:
        bounds = edges_us[0], edges_us[-1], list(edges_us)
        carried = await store.fetch(CARRIED, patterns, key_sets, *columns(asked.carried), *bounds)
    _collect(found, plan, rows, carried)


async def _by_key_set(store: Rows, statement: Statement) -> dict[int, list[int]]:
    found: dict[int, list[int]] = defaultdict(list)
    for key_set, day in await store.fetch(statement):
        found[key_set].append(day)
    return found


def _collect(found: Mapping[int, BucketSums], plan: "Plan", rows: Iterable[Any], carried: Iterable[Any]) -> None:
    """Add the rows of the statements to `found`, by subject and bucket."""
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


@lru_cache(1_024)
def kind_of(kind: int) -> tuple[TouchType, TrafficClass]:
    """The type and the traffic class of a kind."""
    return TouchType(kind // KINDS_A_TYPE), TrafficClass(kind % KINDS_A_TYPE)
