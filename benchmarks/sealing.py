"""What does sealing cost in this process? `python -m benchmarks.sealing` prints µs of processor time an event, without the database.

For comparison: what ingest and the projector do in Python with the same events. Persons are known already; a new one costs its share
of a statement for all new persons of a request.
"""

import asyncio
import json
import os
import random
import time
from collections.abc import Callable, Collection

from shared.events.codec import Record, accept, encode_record
from shared.projection.rows import prepared
from shared.sealing.keys import MasterKey, PersonKey, new_pseudonym
from shared.sealing.log import seal_all
from shared.sealing.names import Name
from shared.sealing.vault import Person, Vault

EVENTS, VISITORS, ROUNDS = 20_000, 2_000, 5
NOW_US = 1_764_000_000_000_000


class Memory(Vault):
    """A vault that knows everybody at once."""

    async def persons(self, workspace: str, names: Collection[Name]) -> dict[Name, Person]:
        for name in names:
            if (workspace, name) not in self._persons:
                self._persons[workspace, name] = Person(f"~{name.kind}{new_pseudonym()}", PersonKey(os.urandom(16)))
        return {name: self._persons[workspace, name] for name in names}


def visits(rng: random.Random) -> list[bytes]:
    """Page visits as a tracker sends them: some with parameters of their own, most with a referrer."""
    out = []
    for n in range(EVENTS):
        event = {
            "type": "page_visited", "id": f"e{n}", "visitor_id": f"visitor-{rng.randrange(VISITORS)}",
            "url": f"https://shop.example/p{rng.randrange(200)}" + rng.choice(["", "?utm_source=x&utm_campaign=spring", "?page=3&q=shoes"]),
            "occurred_at": "2025-11-20T10:00:00Z",
        }  # fmt: skip
        if rng.random() < 0.6:
            event["referrer"] = f"https://www.google.com/search?q={rng.randrange(50)}"
        out.append(json.dumps(event).encode())
    return out


def spent_us(work: Callable[[], object]) -> float:
    """The least processor time of some rounds, in µs an event."""
    times = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times) * 1e6 / EVENTS


def main() -> None:
    sent = visits(random.Random(1))

    def accepted() -> list[bytes]:
        records = [accept(each, i, "collect", NOW_US, None) for i, each in enumerate(sent)]
        return [encode_record(record) for record in records if isinstance(record, Record)]

    values = accepted()
    vault = Memory(None, MasterKey(os.urandom(32)), None, durable=False)

    def sealed() -> list[bytes]:
        return asyncio.run(seal_all(vault, "w", values))[0]

    stored = sealed()
    size = sum(map(len, stored)) / sum(map(len, values))
    print(f"accept and encode    {spent_us(accepted):6.1f} µs an event")
    print(f"seal                 {spent_us(sealed):6.1f} µs an event; {size:.2f} times the bytes")
    print(f"prepare, plain       {spent_us(lambda: [prepared(value, 0) for value in values]):6.1f} µs an event")
    print(f"prepare, sealed      {spent_us(lambda: [prepared(value, 0) for value in stored]):6.1f} µs an event")


if __name__ == "__main__":
    main()
