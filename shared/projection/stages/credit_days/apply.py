"""Stage *credit_days*: which sums of credit does a batch make wrong?

The instant at which a deal was, or is, won is marked (`stale_credit`) if the deal is another than it was, or if a touch of it may be of another
group, or of another campaign, now. A deal of which only the key of a contact changes, because the contact was renamed, marks nothing: reads put the present
keys into lists (`renamed_contact`). A slice of a day with a mark is read from the touches until `shared.projection.credit_days` has added it up again.
A mark too many costs time, and changes no answer.
"""

from collections.abc import Sequence
from typing import Any

from shared.events.instants import BEGINNING_US, END_US
from shared.projection.changes import (
    CatalogChanged,
    Change,
    Changes,
    ContactsNamedAgain,
    DealsChanged,
    SessionsChanged,
    SettingsChanged,
    TouchesAdded,
    TouchesRemoved,
    TrafficChanged,
    VisitorsChanged,
)
from shared.projection.days import NO_DAY, Days, days_of
from shared.projection.pipeline import Context, Stage
from shared.projection.sql import columns, sql
from shared.projection.stages.credit_days.gather import (
    CLOSES_OF_ASSETS,
    CLOSES_OF_CONTACTS,
    CLOSES_OF_PERSONS,
    CLOSES_OF_WINDOWS,
    KEPT_AND_LATEST,
    MARK,
)
from shared.projection.visitors import owned_persons
from shared.rules.influence import TouchType

TOUCHES_MAX = 20_000  # of won deals, that a batch looks up for a changed catalog: some 50 ms; of more, all days from there on are made again

BEGIN_AGAIN_FROM = sql("""
UPDATE {g}.credit_days_kept SET through_day = least(through_day, $2), defined_through_day = least(defined_through_day, $2) WHERE ws = $1
""")


async def run(context: Context, changes: Changes) -> Sequence[Change]:
    """Mark the sums that the batch makes wrong. A workspace without sums has nothing to mark."""
    settings = changes.settings()
    if settings is not None and settings.was.of_history != settings.now.of_history:
        await context.connection.execute(BEGIN_AGAIN_FROM, context.ws, NO_DAY)
        return []
    closes = set(changes.of(DealsChanged).closes_us)
    catalog = changes.of(CatalogChanged)
    visits = _later_visits(changes)
    if named_again := changes.of(ContactsNamedAgain).contacts:
        rows = await context.connection.fetch(CLOSES_OF_CONTACTS, context.ws, list(named_again))
        closes |= {row["closed_us"] for row in rows}
    if not closes and not catalog.windows and not catalog.named and not visits:
        return []
    kept = await context.connection.fetchrow(KEPT_AND_LATEST, context.ws)
    if kept is None:
        return []
    days, through_day = days_of(kept["time_zone"]), kept["through_day"]
    if kept["latest_us"] is not None:
        closes |= await _of_visits(context, changes, visits, kept["latest_us"])
    through_day = await _of_catalog(context, catalog, closes, days, through_day)
    if stale := sorted((day, at_us) for at_us in closes if (day := days.day_of(at_us)) < through_day):
        await context.connection.execute(MARK, context.ws, *columns(stale))
    return []


_Visits = list[tuple[int, int, int]]
"""Persons, and between which instants a deal of theirs must have been won to be concerned: after the first, until the second."""


def _later_visits(changes: Changes) -> _Visits:
    """What may be the first page visit of a session now, and so the source of touches before it that are in journeys.

    Of a deal that was won after such a visit, `DealsChanged` says so.
    """
    of_others = {row.person for row in changes.of(TouchesRemoved).touches if row.by_visitor}
    of_others |= {touch.person for touch in changes.of(TrafficChanged).touches if touch.by_visitor}
    out = [(person, BEGINNING_US, END_US) for person in of_others]
    out += [(person, since_us, END_US) for person, since_us in changes.of(SessionsChanged).since_us.items()]
    out += [
        (row.person, row.session_at_us, row.occurred_at_us)
        for row in changes.of(TouchesAdded).touches
        if row.type == TouchType.PAGE_VISITED and row.by_visitor
        and row.session_at_us is not None and row.session_at_us < row.occurred_at_us
    ]  # fmt: skip
    return out


async def _of_visits(context: Context, changes: Changes, visits: _Visits, latest_us: int) -> set[int]:
    """When the deals were won of whose journeys a touch may have another source for these visits; the last was closed at `latest_us`."""
    added = [row for row in changes.of(TouchesAdded).touches if row.by_visitor]
    known = {row.person for row in added} - set(owned_persons(changes.of(VisitorsChanged).states, added))
    asked = [visit for visit in visits if visit[1] < latest_us and visit[0] not in known]
    if not asked:
        return set()
    rows = await context.connection.fetch(CLOSES_OF_PERSONS, context.ws, *map(list, zip(*asked, strict=True)))
    return {row["closed_us"] for row in rows}


async def _of_catalog(context: Context, catalog: CatalogChanged, closes: set[int], days: Days, through_day: int) -> int:
    """Add when deals were won that have a deal touch of other campaigns now, or a credited one of an asset that is named otherwise now.

    Answers before which day there are sums. Where the touches are many, it is the first day on which such a deal can have been won.
    """
    first_us = END_US
    for statement, asked, from_us in (
        (CLOSES_OF_WINDOWS, catalog.windows, min((window[2] for window in catalog.windows), default=END_US)),
        (CLOSES_OF_ASSETS, [(key,) for key in catalog.named], BEGINNING_US),
    ):
        if not asked:
            continue
        columns: Any = map(list, zip(*asked, strict=True))
        row = await context.connection.fetchrow(statement, context.ws, *columns, TOUCHES_MAX + 1)
        if row["touches"] > TOUCHES_MAX:
            first_us = min(first_us, from_us)
        else:
            closes |= set(row["closes_us"] or ())
    if first_us == END_US:
        return through_day
    first = NO_DAY if first_us == BEGINNING_US else days.day_of(first_us)
    await context.connection.execute(BEGIN_AGAIN_FROM, context.ws, first)
    return min(through_day, first)


STAGE = Stage(
    "credit_days", run, takes=(
        DealsChanged, ContactsNamedAgain, CatalogChanged, SessionsChanged, TouchesAdded, TouchesRemoved, TrafficChanged, VisitorsChanged, SettingsChanged,
    ),
    passes_on=(),
    package=__package__, owns=("credit_day", "path_day", "defined_credit_day", "won_campaign_day", "won_day", "credit_slice", "stale_credit", "credit_days_kept"),
    reads=("deal", "deal_contact", "deal_touch", "identity_interval"),
)  # fmt: skip
