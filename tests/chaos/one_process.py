"""The second stage: one `touchline up` with its own PostgreSQL, on a small disk, under load."""

import asyncio
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import httpx

from shared.database import AWAY
from shared.log.port import EventLog
from shared.log.postgres import PARTITIONS, PostgresLog
from tests.chaos.clients import half_open, slow_readers
from tests.chaos.disk import NoDisk, SmallDisk
from tests.chaos.new_partition import birth
from tests.chaos.poison import storm
from tests.chaos.world import Fault, World, Wrong
from tests.processes import Up, start
from tests.services import environment
from touchline.embedded import Embedded

EVENTS_PER_S = 500  # ingest, projector, API and PostgreSQL share the machine with one another
# The mean over the whole run, also on a busy machine. While the disk is full, nothing is accepted.
EVENTS_PER_S_MIN = 250
WORKSPACES = 3  # beside `default`
AGAIN_WITHIN_S = 60.0
NOTICED_WITHIN_S = 30.0
FULL_S = 4.0  # how long the disk is full after the service has reported it
SWITCHES_MAX = 40  # segments of the write-ahead log; a few are made ahead

FILL = """
CREATE OR REPLACE FUNCTION touchline.fill() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER fill BEFORE INSERT ON touchline.event_log EXECUTE FUNCTION touchline.fill();
"""


@dataclass
class Single(World):
    """All that runs."""

    up: Up | None = None
    disk: SmallDisk | None = field(default=None)
    """None where no file system may be mounted."""
    probes: int = 0
    """How many events of `probe` were accepted."""

    def start(self) -> None:
        """Bring it up on a disk of its own, with a few workspaces."""
        self.data = self.directory / "disk" / "up"
        try:
            self.disk = SmallDisk(self.directory / "disk")
        except NoDisk as error:
            print(
                f"  no small disk can be made ({error}); a trigger of PostgreSQL's raises the error of a full disk instead"
            )
        self.up = start(self.data, errors_to=self.directory / "up.log")
        self._url = Embedded(self.data)._running_elsewhere()
        self.keys["default"] = self.up.keys
        with self.up.client("admin") as client:
            for n in range(WORKSPACES):
                made = client.post("/v1/workspaces", json={"name": f"company {n}"}).json()
                self.keys[made["workspace"]] = made["keys"]
        self.sent = {workspace: set() for workspace in self.keys}

    def stop(self) -> None:
        """End everything, whatever state it is in."""
        if self.disk is not None:
            self.disk.free()
        if self.up is not None and self.up.process.poll() is None:
            code = self.up.stop()
            if code:
                raise Wrong(f"touchline up ended with {code}")
        if self.disk is not None:
            self.disk.close()

    def logs(self) -> list[Path]:
        return [*super().logs(), self.data / "postgres" / "log"]

    def postmaster(self) -> int:
        return int((self.data / "postgres" / "postmaster.pid").read_text().split()[0])

    def write_url(self) -> str:
        assert self.up is not None
        return self.up.url

    def read_urls(self) -> list[str]:
        return [self.write_url()]

    def excused(self, url: str, since_s: float) -> bool:
        return False  # the process lives through all of it

    def database_url(self) -> str:
        return self._url

    def reached_by(self) -> list[str]:
        return ["--data", str(self.data)]

    def environment(self) -> dict[str, str]:
        env = environment("", None)
        del env["TOUCHLINE_DATABASE_URL"]
        return env

    async def open_log(self, pool: "asyncpg.Pool[asyncpg.Record]") -> EventLog:
        return PostgresLog(pool, PARTITIONS)


async def probe(world: Single, client: httpx.AsyncClient) -> tuple[int, str]:
    """Send one event, once; answers status and code. One that was not accepted is what the next call sends, under its id."""
    event = {
        "type": "page_visited",
        "id": f"probe-{world.probes}",
        "visitor_id": "probe",
        "url": "https://probe.example/",
    }
    answer = await client.post(
        f"{world.write_url()}/v1/events", json={"events": [event]}, headers=world.headers("default", "server")
    )
    if answer.status_code == 202:
        world.sent["default"].add(str(event["id"]))
        world.probes += 1
    return answer.status_code, answer.json().get("code", "")


async def until_answered(world: Single, wanted: tuple[int, str], within_s: float, why: str) -> float:
    """Send until an answer is as wanted; answers after how many seconds it was. Any other must be a 503 with a code, or a 202."""
    began_s, met = time.monotonic(), set()
    async with httpx.AsyncClient(timeout=20) as client:
        while time.monotonic() < began_s + within_s:
            found = await probe(world, client)
            if found == wanted:
                return time.monotonic() - began_s
            if found[0] not in (202, 503) or (found[0] == 503 and not found[1]):
                raise Wrong(f"ingest answered {found}")
            met.add(found)
            await asyncio.sleep(0.1)
    raise Wrong(f"{why}: {wanted} was not answered within {within_s:g} s, but {sorted(met)}")


async def kill_postgresql(world: Single) -> str:
    """PostgreSQL's first process is killed; `up` must start it again by itself."""
    killed = world.postmaster()
    with world.crashing():
        os.kill(killed, signal.SIGKILL)
        took_s = await _up_again(world, killed, "PostgreSQL was killed")
    return f"it was started again, and the next event accepted {took_s:.1f} s after the kill"


async def _up_again(world: Single, before: int, why: str) -> float:
    began_s = time.monotonic()
    while time.monotonic() < began_s + AGAIN_WITHIN_S:
        try:
            if world.postmaster() != before:
                break
        except (FileNotFoundError, IndexError, ValueError):
            pass  # it is being written, or not there
        await asyncio.sleep(0.05)
    else:
        raise Wrong(f"{why}, and it was not started again within {AGAIN_WITHIN_S:g} s")
    await until_answered(world, (202, ""), AGAIN_WITHIN_S, why)
    return time.monotonic() - began_s


async def fill_disk(world: Single) -> str:
    """The disk is full for a while: nothing is accepted, and the answer says why; then all goes on."""
    if world.disk is None:
        return await _fill_by_trigger(world)
    await asyncio.to_thread(world.disk.fill)
    try:
        noticed_s = await until_answered(world, (503, "disk_full"), NOTICED_WITHIN_S, "the disk is full")
        refused = await _still_full(world)
    finally:
        await asyncio.to_thread(world.disk.free)
    again_s = await until_answered(world, (202, ""), AGAIN_WITHIN_S, "the disk has room again")
    return f"503 disk_full {noticed_s:.1f} s after it was full, {refused} times; accepted {again_s:.1f} s after there was room"


async def _fill_by_trigger(world: Single) -> str:
    connection = await asyncpg.connect(world.database_url())
    try:
        await connection.execute(FILL)
        noticed_s = await until_answered(world, (503, "disk_full"), NOTICED_WITHIN_S, "the disk is full")
        await asyncio.sleep(FULL_S)
        await connection.execute("DROP TRIGGER fill ON touchline.event_log")
    finally:
        await connection.close()
    again_s = await until_answered(world, (202, ""), AGAIN_WITHIN_S, "the disk has room again")
    return f"simulated: 503 disk_full after {noticed_s:.1f} s; accepted {again_s:.1f} s after the end"


async def _still_full(world: Single) -> int:
    """While the disk is full, every event is refused as `disk_full`, or kept where there was room for it; `/readyz` says so."""
    refused, until_s = 0, time.monotonic() + FULL_S
    async with httpx.AsyncClient(timeout=20) as client:
        while time.monotonic() < until_s:
            found = await probe(world, client)
            if found not in ((503, "disk_full"), (202, "")):
                raise Wrong(f"the disk is full, but ingest answered {found}")
            refused += found[0] == 503
            await asyncio.sleep(0.1)
        ready = await client.get(f"{world.write_url()}/readyz")
    if ready.status_code != 503 or "is full" not in str(ready.json()["disk"]):
        raise Wrong(f"the disk is full, but /readyz answered {ready.status_code}: {ready.text[:500]}")
    return refused


async def fill_log_ahead(world: Single) -> str:
    """The disk is so full that PostgreSQL cannot write its log ahead: it ends all connections, and mostly itself.

    It may be unable to start until there is room; `up` must wait for that, and not give up.
    """
    if world.disk is None:
        raise Wrong("there is no small disk; leave this fault out")
    with world.crashing():
        return await _fill_log_ahead(world, world.disk)


async def _fill_log_ahead(world: Single, disk: SmallDisk) -> str:
    before = world.postmaster()
    await asyncio.to_thread(disk.fill)
    try:
        await _end_the_log_ahead(world)
        noticed_s = await until_answered(
            world, (503, "disk_full"), NOTICED_WITHIN_S, "PostgreSQL has ended on a full disk"
        )
        refused = await _still_full(world)
        assert world.up is not None
        if world.up.process.poll() is not None:
            raise Wrong("`touchline up` ended because the disk was full")
    finally:
        await asyncio.to_thread(disk.free)
    again_s = await until_answered(
        world, (202, ""), AGAIN_WITHIN_S, "PostgreSQL ended on a full disk, which has room again"
    )
    ended = "ended" if world.postmaster() != before else "ended all its connections and recovered"
    return (
        f"PostgreSQL {ended}; 503 disk_full {noticed_s:.1f} s later, {refused} times; accepted {again_s:.1f} s after there was "
        "room, without anybody's help"
    )


async def _end_the_log_ahead(world: Single) -> None:
    """Use up the segments of the write-ahead log that are there, until PostgreSQL ends for want of another."""
    try:
        connection = await asyncpg.connect(world.database_url())
        for _ in range(SWITCHES_MAX):
            await connection.execute("SELECT pg_logical_emit_message(true, 'chaos', 'x'), pg_switch_wal()")
    except (*AWAY, OSError):
        return
    raise Wrong(f"PostgreSQL had {SWITCHES_MAX} segments of its log on a full disk")


FAULTS = (
    Fault(
        "PostgreSQL killed under `touchline up`", kill_postgresql, times_max=3
    ),  # at the sixth within ten minutes it ends
    Fault("disk full", fill_disk),
    Fault("disk full and PostgreSQL ended by it", fill_log_ahead, times_max=2),
    Fault("partition's birth during `verify`", birth),
    Fault("slow readers", slow_readers),
    Fault("200 half-open clients", half_open),
    Fault("poison storm", storm),
)


def faults(world: Single) -> tuple[Fault, ...]:
    """Those that can be injected on this machine."""
    return tuple(fault for fault in FAULTS if world.disk is not None or fault.inject is not fill_log_ahead)
