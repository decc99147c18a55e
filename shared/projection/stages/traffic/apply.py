"""Stage *traffic*: which touches are a machine's, a mail scanner's or the workspace's own people's (rule **excluded traffic**)?

A touch is written with the class that its user agent gives it. What the batch or new settings change is found by comparing the
stored class with the rule's, for many touches in one statement.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.projection.changes import (
    Change,
    Changes,
    EventsArrived,
    IdentityChanged,
    ReclassifiedTouch,
    SettingsChanged,
    TouchesAdded,
    TouchesRemoved,
    TrafficChanged,
)
from shared.projection.pipeline import Context, Stage
from shared.projection.rows import agents_of
from shared.projection.sql import owned, sql
from shared.projection.stages.traffic.gather import AGENTS, INTERNAL_PERSONS
from shared.projection.stages.traffic.scanners import turned_clicks
from shared.recognition.machine_agents import classify_agent
from shared.rules.excluded_traffic import (
    FLAGGED_INTERNAL,
    FLAGGED_MACHINE,
    FLAGGED_SCANNER,
    MachineAgent,
    TrafficClass,
    is_machine,
    traffic_class,
)
from shared.rules.influence import TouchType

KNOWN_AGENTS_MAX = 65_536  # keys that a projector remembers to have written; about 6 MB

ADD_AGENTS = sql("""
INSERT INTO {g}.agent SELECT $1, * FROM unnest($2::bigint[], $3::text[], $4::bool[], $5::bool[]) ON CONFLICT DO NOTHING
""")
SET_AGENTS = sql("""
UPDATE {g}.agent a SET visits = u.visits, opens = u.opens
FROM unnest($2::bigint[], $3::bool[], $4::bool[]) u(agent, visits, opens) WHERE a.ws = $1 AND a.agent = u.agent
""")

# The rule as a table, so that SQL looks traffic classes up and decides none: by flags, then machine, then internal.
_ALL_FLAGS = range((FLAGGED_MACHINE | FLAGGED_INTERNAL | FLAGGED_SCANNER) + 1)
_TABLE = [traffic_class(flags, machine, internal) for internal in (False, True) for machine in (False, True) for flags in _ALL_FLAGS]  # fmt: skip
_OPENINGS = [int(type_) for type_ in TouchType if is_machine(MachineAgent(visits=False, opens=True), type_)]
_TRAFFIC_CLASS = f"""(ARRAY{[int(v) for v in _TABLE]}::smallint[])[1 + t.flags
        + {len(_ALL_FLAGS)} * coalesce(CASE WHEN t.type IN ({", ".join(map(str, _OPENINGS))}) THEN a.opens ELSE a.visits END, false)::int
        + {2 * len(_ALL_FLAGS)} * (c.contact IS NOT NULL)::int]"""


def _reclassify(scope: str) -> str:
    """Give the touches of a scope the traffic class that is now theirs; answers those that had another."""
    return f"""
UPDATE {{g}}.touch t SET traffic_class = j.traffic_class,
    session = CASE WHEN j.traffic_class = {TrafficClass.COUNTED:d} THEN t.session END,
    session_at_us = CASE WHEN j.traffic_class = {TrafficClass.COUNTED:d} THEN t.session_at_us END,
    session_is_new = CASE WHEN j.traffic_class = {TrafficClass.COUNTED:d} THEN t.session_is_new END
FROM (
    SELECT t.person, t.occurred_at_us, t.event_id, {_TRAFFIC_CLASS} AS traffic_class
    FROM {scope}
    LEFT JOIN {{g}}.agent a ON a.ws = $1 AND a.agent = t.agent
    LEFT JOIN {{g}}.identity_interval o ON o.ws = $1 AND o.person = t.person
        AND {owned()}
    LEFT JOIN {{g}}.internal_contact c ON c.ws = $1 AND c.contact = o.contact
    WHERE t.traffic_class <> {TrafficClass.RETRACTED:d}) j
WHERE t.ws = $1 AND t.person = j.person AND t.occurred_at_us = j.occurred_at_us AND t.event_id = j.event_id
    AND t.traffic_class <> j.traffic_class
RETURNING t.person, t.occurred_at_us, t.event_id, t.type, t.traffic_class, t.by_visitor
"""


RECLASSIFY_AGENTS = sql(
    _reclassify("unnest($2::bigint[]) u(agent) JOIN {g}.touch t ON t.ws = $1 AND t.agent = u.agent")
)  # reads all touches: new machine rules are rare
RECLASSIFY_PERSONS = sql(
    _reclassify("unnest($2::bigint[]) u(person) JOIN {g}.touch t ON t.ws = $1 AND t.person = u.person")
)
RECLASSIFY_TOUCHES = sql(
    _reclassify("""unnest($2::bigint[], $3::bigint[], $4::text[]) u(person, at_us, event_id)
    JOIN {g}.touch t ON t.ws = $1 AND t.person = u.person AND t.occurred_at_us = u.at_us AND t.event_id = u.event_id""")
)


async def run(context: Context, changes: Changes) -> Sequence[Change]:
    """Keep new user agents, and give every touch that the batch or changed settings concern the class that is now its."""
    await save_agents(context, agents_of(changes.of(EventsArrived).arrived))
    settings = changes.settings()
    rows = []
    new_rules = settings is not None and settings.was.machine_rules != settings.now.machine_rules
    if new_rules:
        rows += await _apply_machine_rules(context)
    was_internal = settings is not None and bool(settings.was.internal_domains)
    if was_internal or context.settings.internal_domains:
        rows += await _reclassify_own(context, changes)
    if turned := await turned_clicks(context, changes, all_clicks=new_rules):
        rows += await context.connection.fetch(RECLASSIFY_TOUCHES, context.ws, *map(list, zip(*turned, strict=True)))
    return [TrafficChanged(tuple(map(_reclassified, rows)))] if rows else []


def _reclassified(row: Any) -> ReclassifiedTouch:
    return ReclassifiedTouch(
        row["person"], row["occurred_at_us"], row["event_id"], row["type"], TrafficClass(row["traffic_class"]),
        row["by_visitor"],
    )  # fmt: skip


async def save_agents(context: Context, agents: Mapping[int, str]) -> None:
    """Write the user agents that are new, with what they are by the workspace's machine rules."""
    remembered = context.remembered.agents
    new = {key: text for key, text in agents.items() if key not in remembered}
    if not new:
        return
    found = [classify_agent(text, context.settings.machine_rules) for text in new.values()]
    await context.connection.execute(
        ADD_AGENTS, context.ws, list(new), list(new.values()), [a.visits for a in found], [a.opens for a in found]
    )
    if len(remembered) > KNOWN_AGENTS_MAX:
        remembered.clear()
    remembered |= set(new)


async def _apply_machine_rules(context: Context) -> list[Any]:
    """Judge every user agent by changed rules, and every touch of those that are judged differently; answers these."""
    changed = [
        (row["agent"], *now)
        for row in await context.connection.fetch(AGENTS, context.ws)
        if (now := classify_agent(row["user_agent"], context.settings.machine_rules)) != (row["visits"], row["opens"])
    ]
    if not changed:
        return []
    agents, visits, opens = map(list, zip(*changed, strict=True))
    await context.connection.execute(SET_AGENTS, context.ws, agents, visits, opens)
    return await context.connection.fetch(RECLASSIFY_AGENTS, context.ws, agents)


async def _reclassify_own(context: Context, changes: Changes) -> list[Any]:
    """Exclude what the workspace's own people did, by the owners that the batch has left the touches with."""
    connection, ws = context.connection, context.ws
    passed, added = changes.of(IdentityChanged).passed, changes.of(TouchesAdded).touches
    changed = await connection.fetch(RECLASSIFY_PERSONS, ws, list(passed)) if passed else []
    persons = {row.person for row in added} - passed
    own = {row["person"] for row in await connection.fetch(INTERNAL_PERSONS, ws, list(persons))} if persons else set()
    if touched := [(row.person, row.occurred_at_us, row.event_id) for row in added if row.person in own]:
        changed += await connection.fetch(RECLASSIFY_TOUCHES, ws, *map(list, zip(*touched, strict=True)))
    return changed


STAGE = Stage(
    "traffic", run, takes=(EventsArrived, SettingsChanged, TouchesAdded, TouchesRemoved, IdentityChanged),
    passes_on=(TrafficChanged,), package=__package__, owns=("agent",), updates=("touch",),
    reads=("identifier", "identity_interval", "internal_contact"),
)  # fmt: skip
