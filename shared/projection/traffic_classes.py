"""Layer *derive*: traffic classes that depend on more than the event: on the workspace's machine rules, and on whose touch it is.

A touch is written with the traffic class that its user agent gives. What the batch or new settings change is found by comparing
stored traffic classes with the rule's, set-based; the sessions and contacts that it concerns are then derived anew.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from shared.projection.persons import OWNED, derive_contacts
from shared.projection.sessions import SET_SESSIONS, VISITORS, Rederivation, VisitorState, rederive, save
from shared.projection.sql import Connection, sql
from shared.projection.work import Work
from shared.recognition.user_agents import CACHED_AGENTS, known
from shared.rules.excluded_traffic import (
    FLAGGED_INTERNAL,
    FLAGGED_MACHINE,
    FLAGGED_SCANNER,
    MachineAgent,
    MachineRules,
    TrafficClass,
    is_machine,
    machine_agent,
    traffic_class,
)
from shared.rules.influence import TouchType
from shared.rules.keys import session_key
from shared.rules.order import Order

KNOWN_AGENTS_MAX = 65_536  # keys that a projector remembers to have written; about 6 MB

ADD_AGENTS = sql("""
INSERT INTO {g}.agent SELECT $1, * FROM unnest($2::bigint[], $3::text[], $4::bool[], $5::bool[]) ON CONFLICT DO NOTHING
""")
AGENTS = sql("SELECT agent, user_agent, visits, opens FROM {g}.agent WHERE ws = $1")
SET_AGENTS = sql("""
UPDATE {g}.agent a SET visits = u.visits, opens = u.opens
FROM unnest($2::bigint[], $3::bool[], $4::bool[]) u(agent, visits, opens) WHERE a.ws = $1 AND a.agent = u.agent
""")
INTERNAL_PERSONS = sql("""
SELECT DISTINCT o.person FROM unnest($2::bigint[]) u(person)
JOIN {g}.identity_interval o ON o.ws = $1 AND o.person = u.person
JOIN {g}.contact c ON c.ws = $1 AND c.contact = o.contact AND c.internal
""")  # which of these persons are, or were for a time, the workspace's own people

# The rule as a table, so that SQL looks traffic classes up and decides none: by flags, then machine, then internal.
_ALL_FLAGS = range((FLAGGED_MACHINE | FLAGGED_INTERNAL | FLAGGED_SCANNER) + 1)
_TABLE = [traffic_class(flags, machine, internal) for internal in (False, True) for machine in (False, True) for flags in _ALL_FLAGS]  # fmt: skip
_OPENINGS = [int(type_) for type_ in TouchType if is_machine(MachineAgent(visits=False, opens=True), type_)]
_TRAFFIC_CLASS = f"""(ARRAY{[int(v) for v in _TABLE]}::smallint[])[1 + t.flags
        + {len(_ALL_FLAGS)} * coalesce(CASE WHEN t.type IN ({", ".join(map(str, _OPENINGS))}) THEN a.opens ELSE a.visits END, false)::int
        + {2 * len(_ALL_FLAGS)} * coalesce(c.internal, false)::int]"""


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
        AND (t.occurred_at_us, t.event_id) >= (o.from_us, o.from_event)
        AND (t.occurred_at_us, t.event_id) < (o.to_us, o.to_event)
    LEFT JOIN {{g}}.contact c ON c.ws = $1 AND c.contact = o.contact
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


@lru_cache(CACHED_AGENTS)
def judged(user_agent: str, rules: MachineRules) -> MachineAgent:
    """What a user agent is to a workspace with these rules."""
    return machine_agent(user_agent, known(user_agent), rules)


async def save_agents(
    connection: Connection, ws: int, rules: MachineRules, agents: Mapping[int, str], remembered: set[int]
) -> None:
    """Write the user agents that are new; `remembered` are the keys that the store has."""
    new = {key: text for key, text in agents.items() if key not in remembered}
    if not new:
        return
    traffic_classes = [judged(text, rules) for text in new.values()]
    await connection.execute(
        ADD_AGENTS,
        ws,
        list(new),
        list(new.values()),
        [v.visits for v in traffic_classes],
        [v.opens for v in traffic_classes],
    )
    if len(remembered) > KNOWN_AGENTS_MAX:
        remembered.clear()
    remembered |= set(new)


async def apply_machine_rules(work: Work) -> None:
    """Judge every user agent by changed rules, and every touch of those that are judged differently."""
    changed = [
        (row["agent"], *now)
        for row in await work.connection.fetch(AGENTS, work.ws)
        if (now := judged(row["user_agent"], work.settings.machine_rules)) != (row["visits"], row["opens"])
    ]
    if changed:
        agents, visits, opens = map(list, zip(*changed, strict=True))
        await work.connection.execute(SET_AGENTS, work.ws, agents, visits, opens)
        await _settle(work, await work.connection.fetch(RECLASSIFY_AGENTS, work.ws, agents))


async def settle_internal(work: Work) -> None:
    """Exclude what the workspace's own people did, by the owners that the batch has left the touches with."""
    if not work.has_internal:
        return
    whole = list(work.owned_anew)
    changed = await work.connection.fetch(RECLASSIFY_PERSONS, work.ws, whole) if whole else []
    persons = {row.person for row in work.touches} - work.owned_anew
    own = {row["person"] for row in await work.connection.fetch(INTERNAL_PERSONS, work.ws, list(persons))}
    if touched := [(row.person, row.occurred_at_us, row.event_id) for row in work.touches if row.person in own]:
        changed += await work.connection.fetch(RECLASSIFY_TOUCHES, work.ws, *map(list, zip(*touched, strict=True)))
    await _settle(work, changed)


async def _settle(work: Work, changed: list[Any]) -> None:
    """Derive anew what changed traffic classes concern: the visitors' sessions, and how their contacts came to be."""
    if not changed:
        return
    spans: dict[int, tuple[Order, Order]] = {}
    lone = []
    for row in changed:
        person, order = row["person"], Order(row["occurred_at_us"], row["event_id"])
        if row["by_visitor"]:
            first, last = spans.get(person, (order, order))
            spans[person] = min(first, order), max(last, order)
        elif row["type"] == TouchType.FORM_SUBMITTED and row["traffic_class"] == TrafficClass.COUNTED:
            lone.append((person, *order, session_key(order.event_id), order.at_us, False))
    if lone:
        await work.connection.execute(SET_SESSIONS, work.ws, *map(list, zip(*lone, strict=True)))
    rows = await work.connection.fetch(VISITORS, work.ws, list(spans))
    states = {row["visitor"]: VisitorState.of(row) for row in rows}
    await rederive(work, [Rederivation(visitor, *spans[visitor]) for visitor in states], states)
    await save(work, states)
    owners = await work.connection.fetch(OWNED, work.ws, [row["person"] for row in changed])
    identifiers, contacts = work.identifiers, work.contacts
    work.identifiers, work.contacts = set(), {row["contact"] for row in owners}
    await derive_contacts(work)
    work.identifiers |= identifiers
    work.contacts |= contacts
