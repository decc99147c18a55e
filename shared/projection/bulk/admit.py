"""Between the passes: which event has each id, which events are retracted, and which settings has each workspace?"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from hashlib import sha256

from shared.events import types as e
from shared.events.codec import Arrived, canonical, decode_event, decode_record
from shared.log.port import EventLog, partition_of
from shared.projection.bulk.load import Context
from shared.projection.bulk.split import Split, WorkspaceEvent
from shared.projection.sql import Connection, sql
from shared.projection.stages.admission.apply import ADD_RETRACTION, SET_LIVE
from shared.projection.stages.touches.apply import ADD_UTM_READINGS
from shared.projection.stages.traffic.apply import ADD_AGENTS
from shared.recognition.machine_agents import classify_agent
from shared.rules.excluded_traffic import MachineAgent
from shared.rules.keys import event_key
from shared.rules.once import Version, is_plain, latest, winner
from shared.rules.order import Order
from shared.rules.retracted import Retraction, retracted
from shared.rules.settings import Settings, settings

CLAIMED_TWICE = sql("""
SELECT ws, array_agg(log_offset) AS offsets, array_agg(occurred_at_us) AS occurred, array_agg(sent_hash) AS hashes,
    array_agg(as_of_us) AS as_of
FROM {g}.event_index GROUP BY ws, event_key HAVING count(*) > 1
""")
MAKE_LOST = sql("CREATE TABLE {g}.part_lost (partition int, log_offset bigint, ws int)")
DROP_LOST = sql("""
DELETE FROM {g}.event_index s USING {g}.part_lost l WHERE s.ws = l.ws AND s.log_offset = l.log_offset
""")
LOST = sql("SELECT partition, log_offset FROM {g}.part_lost")
ROWS_AT_A_TIME = 5_000


async def settle_ids(connection: Connection, log: EventLog, workspaces: Mapping[int, str]) -> None:
    """Give every id to one event (rule **once**), and record the events that lost their id. In the caller's transaction.

    It reads from the log only the versions of an id that share the latest `as_of` (or have none) and were sent differently.
    """
    await connection.execute(MAKE_LOST)
    cursor = await connection.raw.cursor(CLAIMED_TWICE.replace("{g}", connection.generation))
    while rows := await cursor.fetch(ROWS_AT_A_TIME):
        lost = []
        for row in rows:
            partition = partition_of(workspaces[row["ws"]], log.partitions)
            versions = list(map(Version, row["as_of"], row["hashes"], row["occurred"], row["offsets"]))
            counts = await _winner(log, partition, latest(versions))
            lost += [(partition, version.offset, row["ws"]) for version in versions if version is not counts]
        await connection.copy("part_lost", ("partition", "log_offset", "ws"), lost)
    await connection.execute(DROP_LOST)


async def _winner(log: EventLog, partition: int, contenders: list[Version]) -> Version:
    digests: dict[int, bytes] = {}
    if not is_plain(contenders):
        entries = await log.entries(partition, sorted(version.offset for version in contenders))
        for entry in entries:
            arrived: Arrived = decode_record(entry.value, entry.offset)
            digests[entry.offset] = sha256(canonical(arrived.raw)).digest()
    return winner(contenders, lambda version: digests[version.offset])


async def context_of(connection: Connection, splits: Iterable[Split], ends: Mapping[int, int]) -> Context:
    """The facts of all spans of the log together. `ends` are the partitions' end offsets, exclusive."""
    lost = await _lost(connection, ends)
    context = Context({}, {}, {}, {partition: bytes(bits) for partition, bits in lost.items()})
    events: dict[int, list[WorkspaceEvent]] = defaultdict(list)
    agents: dict[int, dict[int, str]] = defaultdict(dict)
    for found in splits:
        for ws in found.workspaces:
            events[ws] += [
                t for t in found.workspace_events if t.ws == ws and not context.is_lost(found.span.partition, t.offset)
            ]
            agents[ws] |= found.agents[ws]
    for ws, all_events in events.items():
        out = retracted(Retraction(Order(t.occurred_at_us, t.event_id), t.target) for t in all_events if t.target)
        now = _settings(t for t in all_events if not t.target and t.event_id not in out)
        context.settings[ws], context.retracted[ws] = now, out
        judgements = {key: classify_agent(text, now.machine_rules) for key, text in agents[ws].items()}
        context.machines[ws] = {key: agent for key, agent in judgements.items() if any(agent)}
    return context


async def _lost(connection: Connection, ends: Mapping[int, int]) -> dict[int, bytearray]:
    found: dict[int, bytearray] = {}
    if await connection.fetchval(sql("SELECT to_regclass('{g}.part_lost') IS NULL")):
        return found
    for row in await connection.fetch(LOST):
        bits = found.setdefault(row["partition"], bytearray((ends[row["partition"]] + 7) // 8))
        bits[row["log_offset"] >> 3] |= 1 << (row["log_offset"] & 7)
    return found


def _settings(events: Iterable[WorkspaceEvent]) -> Settings:
    changes = []
    for t in events:
        event = decode_event(t.body)
        assert isinstance(event, e.WorkspaceConfigured)
        changes.append((Order(t.occurred_at_us, t.event_id), event.settings))
    return settings(changes)


async def write_retractions_and_agents(connection: Connection, splits: Iterable[Split], context: Context) -> None:
    """Write the retractions and which events they take out, the user agents, and the utm values that read in two ways. In the caller's transaction."""
    agents: dict[int, dict[int, str]] = defaultdict(dict)
    retractions_by_ws: dict[int, list[WorkspaceEvent]] = defaultdict(list)
    for found in splits:
        for ws, known in found.agents.items():
            agents[ws] |= known
        for t in found.workspace_events:
            if t.target and not context.is_lost(found.span.partition, t.offset):
                retractions_by_ws[t.ws].append(t)
    for ws, known in agents.items():
        machines = [context.machines[ws].get(key, MachineAgent(visits=False, opens=False)) for key in known]
        await connection.execute(
            ADD_AGENTS, ws, list(known), list(known.values()), [m.visits for m in machines], [m.opens for m in machines]
        )
    readings: dict[int, dict[int, int]] = defaultdict(dict)
    for found in splits:
        for ws, values in found.readings.items():
            readings[ws] |= values
    for ws, values in readings.items():
        await connection.execute(ADD_UTM_READINGS, ws, list(values), list(values.values()))
    for ws, retractions in retractions_by_ws.items():
        await connection.execute(
            ADD_RETRACTION, ws, [t.target for t in retractions], [t.event_id for t in retractions],
            [t.occurred_at_us for t in retractions], [event_key(t.target) for t in retractions],
        )  # fmt: skip
        out = context.retracted[ws]
        await connection.execute(SET_LIVE, ws, [event_key(event_id) for event_id in out], [False] * len(out))
