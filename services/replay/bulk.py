"""How is a whole history projected in bulk? Split by person, written bucket by bucket, indexed, and derived part by part.

The rules are those of the live projection, and so are the functions that derive contacts, catalog and deals. Each step is
recorded as done in its own transaction, so that a rebuild that was killed continues with the next step.
"""

import asyncio
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import msgspec
import structlog

from services.replay.worker_pool import WorkerContext, WorkerPool
from shared.log.port import EventLog
from shared.projection.bulk.admit import context_of, settle_ids, write_retractions_and_agents
from shared.projection.bulk.derive import DEALS, all_cells, all_contacts, put_together, some_deals, whole_catalog
from shared.projection.bulk.load import PARTS, Bucket, Context
from shared.projection.bulk.spill import Block, SpillLost, read_frames
from shared.projection.bulk.split import ALL, Selection, Span, Split, split, within
from shared.projection.partitions import create_partitions
from shared.projection.sql import Connection, Statement, sql
from shared.projection.tables import indexes, projection
from shared.rules.association import SOCIAL_POSTS_MAX
from shared.rules.settings import Settings

SPAN_EVENTS = 250_000  # of the log, in one step: some seconds of work, which are lost if the process is killed
SPAN_EVENTS_MIN, SPANS = 25_000, 16  # a shorter log is cut into `SPANS` spans, so that every process has work
BUCKET_EVENTS = 100_000  # about 100 MB of memory while a bucket is processed
BUCKETS_MAX = 1_024  # each needs a block of memory while the log is split
DEALS_AT_A_TIME = 500
LOADED = (
    "touch",
    "event_index",
    "entity_event",
    "identifier_mention",
    "identifier",
    "visitor",
    "identity_interval",
    "identity_edge",
)  # written without indexes
ONLY_READ = ("touch_asset_or_page", "touch_via", "touch_utm")  # only readers use these indexes, not the projection
SHARES = {
    "split": 45,
    "ids": 5,
    "load": 28,
    "index": 10,
    "contacts": 5,
    "deals": 4,
    "cells": 3,
}  # of the work, in percent

STEPS = sql("CREATE TABLE {g}.bulk_step (name text PRIMARY KEY, result bytea NOT NULL)")
DONE = sql("INSERT INTO {g}.bulk_step VALUES ($1, $2)")
RESULTS = sql("SELECT name, result FROM {g}.bulk_step")
BEGUN = sql("SELECT to_regclass('{g}.bulk_step') IS NOT NULL")
PLAN = sql("SELECT result FROM {g}.bulk_step WHERE name = 'plan'")
STANDS = sql("SELECT EXISTS (SELECT FROM {g}.progress)")
SET_PROGRESS = sql("""
INSERT INTO {g}.progress (partition, next_offset, epoch, events, received_us)
SELECT partition, next_offset, 1, next_offset, received_us
FROM unnest($1::int[], $2::bigint[], $3::bigint[]) u(partition, next_offset, received_us)
""")
CLEAR = [
    sql(f"DROP TABLE IF EXISTS {{g}}.{name}")
    for name in ("part_identifier", "part_identity_edge", "part_lateness", "part_lost", "bulk_step")
]

Answer = TypeVar("Answer")
Named = tuple[str, Callable[..., Awaitable[None]], tuple[Any, ...]]
"""A step: its name, under which it is recorded as done, its function, and the arguments."""


class Plan(msgspec.Struct, frozen=True):
    """The plan of a bulk projection: up to where the log is read, in which spans, and the folder of the temporary files."""

    folder: str
    upto: dict[int, int]
    spans: list[Span]
    buckets: int


_encode = msgspec.msgpack.encode

logger = structlog.stdlib.get_logger("touchline.replay")


class ProgressReport:
    """Reports progress in whole events, for work that is measured in shares."""

    def __init__(self, events: int, advance: Callable[[int], None]) -> None:
        self._events, self._advance = events, advance
        self._done, self._reported = 0.0, 0

    def add(self, kind: str, part: float) -> None:
        """Count a part (a fraction of 1) of one kind of work as done."""
        self._done += SHARES[kind] * min(part, 1.0) / 100
        self._report(min(int(self._events * self._done), self._events))

    def finish(self) -> None:
        """Count all work as done."""
        self._report(self._events)

    def _report(self, events: int) -> None:
        if events > self._reported:
            self._advance(events - self._reported)
            self._reported = events


class Bulk:
    """Projects the first events of a log into an empty generation, up to given offsets."""

    def __init__(
        self, connection: Connection, log: EventLog, worker_pool: WorkerPool, advance: Callable[[int], None],
        selection: Selection = ALL, social_posts_max: int = SOCIAL_POSTS_MAX,
    ) -> None:  # fmt: skip
        self._connection, self._log, self._pool_of_workers, self._advance = connection, log, worker_pool, advance
        self._selection, self._social_posts_max = selection, social_posts_max
        self._done: dict[str, bytes] = {}

    async def run(self, upto: Mapping[int, int]) -> None:
        """Do the steps that are not done yet. Raises `LogDamaged`, or `SpillLost` if the files of an earlier run are gone."""
        plan = await self._plan(upto)
        self._progress = ProgressReport(sum(plan.upto.values()), self._advance)
        with timed("read and split"):
            splits = await self._split(plan)
        with timed("settle ids"):
            context = await self._admit(plan, splits)
        with timed("write rows"):
            await self._load(plan, splits, context)
        with timed("make indexes"):
            await self._index()
        with timed("derive contacts, catalog, deals and cells"):
            await self._derive(context)
        await self._finish(plan, splits)

    async def _plan(self, upto: Mapping[int, int]) -> Plan:
        if await self._connection.fetchval(BEGUN):
            self._done = {row["name"]: row["result"] for row in await self._connection.fetch(RESULTS)}
            plan = msgspec.msgpack.decode(self._done["plan"], type=Plan)
            _check_folder(plan)
            return plan
        events = sum(upto.values())
        length = min(SPAN_EVENTS, max(SPAN_EVENTS_MIN, events // SPANS))
        spans = [
            Span(partition, begin, min(begin + length, end))
            for partition, end in upto.items()
            for begin in range(0, end, length)
        ]
        folder = tempfile.mkdtemp(prefix=f"touchline-{self._connection.generation}-")
        plan = Plan(folder, dict(upto), spans, min(BUCKETS_MAX, events // BUCKET_EVENTS + 1))
        raw = self._connection.raw
        async with raw.transaction():
            await self._connection.execute(STEPS)
            await self._connection.execute(Statement(PARTS))
            for index in indexes(self._connection.generation, LOADED):
                await raw.execute(index.drop)
            await self._connection.execute(DONE, "plan", _encode(plan))
        return plan

    async def _split(self, plan: Plan) -> list[Split]:
        async def one(span: Span) -> Split:
            name = f"split {span.partition} {span.begin}"
            path = Path(plan.folder) / f"{span.partition}-{span.begin}"
            if name in self._done:
                found = _checked(msgspec.msgpack.decode(self._done[name], type=Split))
            else:
                found = await self._pool_of_workers.do(split_span, name, span, str(path), plan.buckets, self._selection)
            self._progress.add("split", span.events / max(1, sum(plan.upto.values())))
            return found

        return await _all([one(span) for span in plan.spans])

    async def _admit(self, plan: Plan, splits: Sequence[Split]) -> Context:
        """Settle which event counts for each id, and collect what later steps need of the whole log, such as settings."""
        if "ids" not in self._done:
            workspaces = {ws: name for found in splits for ws, name in found.workspaces.items()}
            await self._pool_of_workers.do(index_ids, "ids", workspaces)
        context = await context_of(self._connection, splits, plan.upto)
        if "retractions" not in self._done:
            async with self._connection.raw.transaction():
                leaves = {leaf for found in splits for leaf in found.leaves}
                await create_partitions(self._connection.raw, self._connection.generation, leaves)
                await write_retractions_and_agents(self._connection, splits, context)
                await self._connection.execute(DONE, "retractions", b"")
        self._progress.add("ids", 1)
        return context

    async def _load(self, plan: Plan, splits: Sequence[Split], context: Context) -> None:
        path = _write_context(plan, context)
        sources: dict[int, list[tuple[str, list[Block]]]] = defaultdict(list)
        for found in splits:
            for bucket, blocks in found.blocks.items():
                sources[bucket].append((found.path, blocks))

        async def one(bucket: int) -> None:
            if f"load {bucket}" not in self._done:
                await self._pool_of_workers.do(load_bucket, f"load {bucket}", path, sources[bucket])
            self._progress.add("load", 1 / len(sources))

        await _all([one(bucket) for bucket in sorted(sources)])

    async def _index(self) -> None:
        """Create the indexes that the later steps need, and merge the parts of rows that several buckets have written."""
        made = [
            i for i in indexes(self._connection.generation, LOADED)
            if i.name not in ("event_index_pkey", *ONLY_READ) and i.table not in ("identifier", "identity_edge")
        ]  # fmt: skip
        steps: list[Named] = [("together", together, ())]
        steps += [(f"index {i.name}", make_index, (i.make,)) for i in made]
        await self._steps("index", 0.6, steps)
        await self._analyze(LOADED)

    async def _steps(self, kind: str, share: float, steps: Sequence[Named]) -> None:
        """Do the steps that are not done yet; all of them are the fraction `share` of their kind of work."""

        async def one(name: str, step: Callable[..., Awaitable[None]], arguments: tuple[Any, ...]) -> None:
            if name not in self._done:
                await self._pool_of_workers.do(step, name, *arguments)
            self._progress.add(kind, share / len(steps))

        await _all([one(*named) for named in steps])

    async def _derive(self, context: Context) -> None:
        """Derive contacts and catalog, while the indexes for readers are built; then deals and their credit."""
        contacts: list[Named] = []
        others: list[Named] = [
            (f"index {i.name}", make_index, (i.make,))
            for i in indexes(self._connection.generation, ["touch"])
            if i.name in ONLY_READ
        ]
        for ws, settings in context.settings.items():
            contacts.append((f"contacts {ws}", derive_contacts_of, (ws, settings)))
            others.append((f"catalog {ws}", derive_catalog_of, (ws, settings, self._social_posts_max)))
        await _all([self._steps("contacts", 1, contacts), self._steps("index", 0.4, others)])
        deals: list[Named] = []
        for ws, settings in context.settings.items():
            keys = [row["subject"] for row in await self._connection.fetch(DEALS, ws)]
            for begin in range(0, len(keys), DEALS_AT_A_TIME):
                part = keys[begin : begin + DEALS_AT_A_TIME]
                deals.append((f"deals {ws} {begin}", derive_deals_of, (ws, settings, part)))
        await self._steps("deals", 1, deals)
        if self._selection == ALL:  # a what-if has none: to make them takes longer than to read it raw
            cells: list[Named] = [
                (f"cells {ws}", digest_cells_of, (ws, settings)) for ws, settings in context.settings.items()
            ]
            await self._steps("cells", 1, cells)

    async def _analyze(self, tables: Iterable[str]) -> None:
        """ANALYZE tables: without statistics the planner scans whole tables instead of using indexes."""
        names = ", ".join(f"{self._connection.generation}.{table}" for table in tables)
        await self._connection.raw.execute(f"ANALYZE {names}")

    async def _finish(self, plan: Plan, splits: Sequence[Split]) -> None:
        await self._analyze(table for table in projection.tables if table not in ("touch", "event_index"))
        received = dict.fromkeys(plan.upto, 0)
        for found in splits:
            received[found.span.partition] = max(received[found.span.partition], found.received_us)
        async with self._connection.raw.transaction():
            await self._connection.execute(
                SET_PROGRESS, list(plan.upto), list(plan.upto.values()), [received[p] for p in plan.upto]
            )
            for statement in CLEAR:
                await self._connection.execute(statement)
        await asyncio.to_thread(shutil.rmtree, plan.folder, ignore_errors=True)
        self._progress.finish()


@contextmanager
def timed(stage: str) -> Iterator[None]:
    """Log how long a stage takes, in seconds."""
    began_s = time.monotonic()
    yield
    logger.info("a stage is done", stage=stage, took_s=round(time.monotonic() - began_s, 2))


async def is_empty(connection: Connection) -> bool:
    """Whether nothing was projected into a generation batch by batch; a stopped bulk projection may have written rows."""
    return not await connection.fetchval(STANDS)


async def forget_spill(connection: Connection) -> None:
    """Remove the files of a stopped bulk projection, if they are on this machine."""
    if await connection.fetchval(BEGUN):
        plan = msgspec.msgpack.decode(await connection.fetchval(PLAN), type=Plan)
        await asyncio.to_thread(shutil.rmtree, plan.folder, ignore_errors=True)


async def _all(works: Sequence[Coroutine[Any, Any, Answer]]) -> list[Answer]:
    """Run all concurrently; if one fails, cancel the others and raise its error alone."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except* Exception as errors:
        raise _first(errors) from None
    return [task.result() for task in tasks]


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def split_span(
    worker: WorkerContext, name: str, span: Span, path: str, buckets: int, selection: Selection
) -> Split:
    """Step: see `split`."""
    async with within(worker.connection, selection.snapshot):
        found = await split(worker.connection, worker.log, span, Path(path), buckets, selection)
        await worker.connection.execute(DONE, name, _encode(found))
    return found


async def index_ids(worker: WorkerContext, name: str, workspaces: dict[int, str]) -> None:
    """Step: the unique index of the ids; where several events have one id, it first settles which one counts."""
    connection = worker.connection
    (key,) = [index for index in indexes(connection.generation, ["event_index"]) if index.name == "event_index_pkey"]
    make = f"SET LOCAL max_parallel_maintenance_workers = 2; {key.make}"
    try:
        await make_index(worker, name, make)
    except asyncpg.UniqueViolationError:
        async with connection.raw.transaction():
            await settle_ids(connection, worker.log, workspaces)
        await make_index(worker, name, make)


_contexts: dict[str, Context] = {}


def _context(path: str) -> Context:
    """The context of the current rebuild, read once per process."""
    if path not in _contexts:
        _contexts.clear()
        _contexts[path] = msgspec.msgpack.decode(Path(path).read_bytes(), type=Context)
    return _contexts[path]


def _write_context(plan: Plan, context: Context) -> str:
    path = Path(plan.folder) / "context"
    path.write_bytes(_encode(context))
    return str(path)


def _check_folder(plan: Plan) -> None:
    if not Path(plan.folder).is_dir():
        raise SpillLost(f"the folder {plan.folder} does not exist any more")


def _checked(found: Split) -> Split:
    path = Path(found.path)
    if not path.exists() or path.stat().st_size != found.size:
        raise SpillLost(f"the file {path} is missing or has changed since it was written")
    return found


async def load_bucket(
    worker: WorkerContext, name: str, context: str, sources: Sequence[tuple[str, list[Block]]]
) -> None:
    """Step: the rows of a bucket."""
    bucket = Bucket(_context(context))
    for path, blocks in sources:
        bucket.take(read_frames(Path(path), blocks))
    async with worker.connection.raw.transaction():
        await bucket.derive().write(worker.connection)
        await worker.connection.execute(DONE, name, b"")


async def together(worker: WorkerContext, name: str) -> None:
    """Step: see `put_together`; also creates the indexes of the tables that it writes."""
    async with worker.connection.raw.transaction():
        await put_together(worker.connection)
        for index in indexes(worker.connection.generation, ["identifier", "identity_edge"]):
            await worker.connection.raw.execute(index.make)
        await worker.connection.execute(DONE, name, b"")


async def make_index(worker: WorkerContext, name: str, statement: str) -> None:
    """Step: create an index."""
    async with worker.connection.raw.transaction():
        await worker.connection.raw.execute(statement)
        await worker.connection.execute(DONE, name, b"")


async def derive_contacts_of(worker: WorkerContext, name: str, ws: int, settings: Settings) -> None:
    """Step: see `all_contacts`. After a stop it continues with the persons that have no contact yet."""
    await all_contacts(worker.connection, ws, settings)
    await worker.connection.execute(DONE, name, b"")


async def derive_catalog_of(
    worker: WorkerContext, name: str, ws: int, settings: Settings, social_posts_max: int
) -> None:
    """Step: see `whole_catalog`."""
    async with worker.connection.raw.transaction():
        await whole_catalog(worker.connection, ws, settings, social_posts_max)
        await worker.connection.execute(DONE, name, b"")


async def derive_deals_of(worker: WorkerContext, name: str, ws: int, settings: Settings, deals: list[int]) -> None:
    """Step: see `some_deals`."""
    async with worker.connection.raw.transaction():
        await some_deals(worker.connection, ws, settings, deals)
        await worker.connection.execute(DONE, name, b"")


async def digest_cells_of(worker: WorkerContext, name: str, ws: int, settings: Settings) -> None:
    """Step: see `all_cells`."""
    async with worker.connection.raw.transaction():
        await all_cells(worker.connection, ws, settings)
        await worker.connection.execute(DONE, name, b"")
