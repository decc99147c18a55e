"""Write `events.ndjson`, the events of the golden world. It was run once: a new file has new checksums for no rule's sake.

`python -m tests.golden_world.make_events` writes the same file again as long as `tests/properties/worlds.py` stays as it is.
A line is one entry of the log: `workspace` is the number of a workspace, from 0, and `record` is what the log keeps of the
event. The lines stand in the order in which the events arrive: shuffled, some sent twice, some late.
"""

import datetime as dt
import json
import random
from collections.abc import Iterable
from typing import Any

import msgspec
import orjson

from shared.events.codec import Record, accept, encode_record
from shared.events.instants import to_micros
from tests.golden_world.world import EVENTS
from tests.properties.worlds import world
from tests.unit.test_codec import GOLDEN

WORKSPACES = 18
EVENTS_MAX = 60  # of a random world
SEEDS = 2_000  # from which the worlds are chosen
RECEIVED = dt.datetime(2025, 6, 10, tzinfo=dt.UTC)  # all events of a workspace whose events do not come live


def features(events: list[dict[str, Any]]) -> set[Any]:
    """What a world has that others may lack: types, settings with their values, flags, pairs of types that share an id."""
    found: set[Any] = set()
    types: dict[str, set[str]] = {}
    for event in events:
        found |= {event["type"], *((event["type"], field) for field in event)}
        found |= {("setting", repr(item)) for item in event.get("settings", {}).items()}
        found |= {(event["type"], "contact", tuple(event[name])) for name in ("contact", "into") if name in event}
        types.setdefault(event["id"], set()).add(event["type"])
    found |= {("rivals", *sorted(each)) for each in types.values() if len(each) > 1}
    retracted = {event["event_id"] for event in events if event["type"] == "event_retracted"}
    found |= {("retracted", type_) for event_id in retracted for type_ in types.get(event_id, ())}
    return found


def chosen() -> list[list[dict[str, Any]]]:
    """Random worlds, each the one that adds most to what those before it have."""
    worlds = [world(random.Random(seed), EVENTS_MAX) for seed in range(SEEDS)]
    has = [features(events) for events in worlds]
    known: set[Any] = set()
    out: list[list[dict[str, Any]]] = []
    for _ in range(WORKSPACES):
        best = max(range(SEEDS), key=lambda n: (len(has[n] - known), -n))
        known |= has[best]
        out.append(worlds[best])
    return out


def every_type() -> list[dict[str, Any]]:
    """The golden example of every event type: what random worlds never say is there, too."""
    return [json.loads(path.read_text()) | {"id": f"golden-{path.stem}"} for path in sorted(GOLDEN.glob("*.json"))]


def arriving(events: list[dict[str, Any]], rng: random.Random, *, live: bool) -> Iterable[bytes]:
    """The records of a workspace as they arrive: shuffled, some of them twice; live ones from at once to days later."""
    sent = events + [event for event in events if rng.random() < 0.15]
    rng.shuffle(sent)
    for event in sent:
        found = [dt.datetime.fromisoformat(event[name]) for name in ("occurred_at", "as_of") if name in event]
        late_s = rng.choice([1, 5, 3_600, 800_000])
        received = max(found) + dt.timedelta(seconds=late_s) if live and found else RECEIVED
        yield encode_record(record_of(event, to_micros(received)))


def record_of(event: dict[str, Any], received_us: int) -> Record:
    """What the log keeps of an event. Of a type that ingest refuses today older logs hold records, so it is made by hand."""
    if event["type"] == "contact_forgotten":
        return Record(1, "server", received_us, msgspec.Raw(orjson.dumps(event)))
    record = accept(orjson.dumps(event), 0, "server", received_us, None)
    assert isinstance(record, Record), record
    return record


def main() -> None:
    """Write the file."""
    lines = []
    for number, events in enumerate([*chosen(), every_type()]):
        rng = random.Random(number)
        live = rng.random() < 0.5
        prefix = b'{"workspace":%d,"record":' % number
        lines += [prefix + record + b"}\n" for record in arriving(events, rng, live=live)]
    EVENTS.write_bytes(b"".join(lines))
    print(f"{EVENTS}: {len(lines)} events, {EVENTS.stat().st_size // 1024} KB")


if __name__ == "__main__":
    main()
