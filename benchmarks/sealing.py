"""What does sealing cost? End to end, a store that is sealed and one that is not take turns in one run: `python -m benchmarks sealing`.

`python -m benchmarks.sealing` prints the µs of processor time an event that sealing takes in Python, without the database. For comparison:
what ingest and the projector do in Python with the same events. Persons are known already; a new one costs its share of a statement for
all new persons of a request.
"""

import asyncio
import os
import random
import shutil
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import psutil

from benchmarks.load import Server, now, post, read_bodies, until_readable, write_bodies
from shared.events.codec import Record, accept, encode_record
from shared.projection.rows import prepared
from shared.sealing.keys import MasterKey, PersonKey, new_pseudonym
from shared.sealing.log import seal_all
from shared.sealing.names import Name
from shared.sealing.vault import Person, Vault

EVENTS, VISITORS, ROUNDS = 20_000, 2_000, 5
END_TO_END_EVENTS = int(os.environ.get("BENCHMARK_EVENTS", "300000"))
TURNS = int(os.environ.get("BENCHMARK_SEALING_TURNS", "3"))  # of each store; the median of each counts
NOW_US = 1_764_000_000_000_000


class Memory(Vault):
    """A vault that knows everybody at once."""

    def _met(self, workspace: str, name: Name) -> Person:
        person = self._recent[workspace][name] = Person(f"~{name[0]}{new_pseudonym()}", PersonKey(os.urandom(16)))
        return person


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
        out.append(orjson.dumps(event))
    return out


def spent_us(work: Callable[[], object]) -> float:
    """The least processor time of some rounds, in µs an event."""
    times = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times) * 1e6 / EVENTS


async def end_to_end(folder: Path) -> None:
    """From the first request until all is readable, sealed beside not sealed: events a second, and processor time an event.

    The two take turns, and who begins takes turns too. What sealing costs is the median of the ratios of neighbours, so that a machine that gets
    slower or faster meanwhile changes little.
    """
    bodies = folder / "bodies"
    write_bodies(bodies, END_TO_END_EVENTS)
    found: dict[bool, list[dict[str, float]]] = {False: [], True: []}
    for turn in range(TURNS):
        for sealed in (turn % 2 == 1, turn % 2 == 0):
            found[sealed].append(await _from_request_to_read(folder / "data", bodies, sealed=sealed))
            shutil.rmtree(folder / "data")
    for what in found[False][0]:
        plain, sealed_ = ([each[what] for each in found[sealed]] for sealed in (False, True))
        ratios = sorted(s / p - 1 for p, s in zip(plain, sealed_, strict=True))
        print(
            f"  {what:24} plain {statistics.median(plain):10,.1f}   sealed {statistics.median(sealed_):10,.1f}   "
            f"{statistics.median(ratios):+.1%} (from {ratios[0]:+.1%} to {ratios[-1]:+.1%})",
            flush=True,
        )


async def _from_request_to_read(data: Path, bodies: Path, *, sealed: bool) -> dict[str, float]:
    """What one run over a new store takes."""
    with Server.start(data, *(["--sealed"] if sealed else [])) as server:
        before, began = _spent_s(server, data), now()
        accepted, position = await post(server.url, server.keys["server"], read_bodies(bodies))
        await until_readable(server.url, server.keys["read"], position)
        took_s = now() - began
        spent = {who: (s - before[who]) / accepted * 1e6 for who, s in _spent_s(server, data).items()}
    return {"readable, events/s": accepted / took_s, **spent, "all, µs an event": sum(spent.values())}


def _spent_s(server: Server, data: Path) -> dict[str, float]:
    """Seconds of processor time that the processes of the service and PostgreSQL have taken so far, those of ended backends among them."""
    postmaster = psutil.Process(int((data / "postgres" / "postmaster.pid").read_text().split()[0]))
    backends = postmaster.children(recursive=True)
    service = psutil.Process(server.process.pid)
    return {
        "ingest, µs an event": sum(service.cpu_times()[:2]),
        "projector, µs an event": sum(sum(child.cpu_times()[:2]) for child in service.children()),
        "PostgreSQL, µs an event": sum(postmaster.cpu_times()[:4]) + sum(sum(b.cpu_times()[:2]) for b in backends),
    }


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
