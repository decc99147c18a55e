"""How is history imported? From files into the log, at a rate that does not delay the projection of live events.

Every event has an id, its own or one made of its content, so a file may be sent again, whole or in part: each event counts once.
Refused rows are written to a file beside the source, with line number and reason; they may be corrected and sent.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, Self

import asyncpg
import msgspec
import orjson

from services.replay.earlier_events import Compared, EarlierEvents
from services.replay.mapping.errors import BadMapping
from services.replay.mapping.table import TableMapping, UnmatchedValues
from services.replay.outcome import Deals, Rows
from services.replay.sending import CHUNK_EVENTS, Sender
from services.replay.sources import STDIN, Line, TableFacts, Unreadable, read_lines
from shared.events.codec import BACKFILL, Record, Refusal, canonical, event_type
from shared.events.codec import decode_event as typed
from shared.log.port import EventLog, Position
from shared.projection.acceptance_settings import acceptance_settings_of
from shared.rules.acceptance import accept_restored
from shared.sealing.log import vault_of
from shared.store.producer_counts import Outcome, write_counts

PRODUCER = "backfill"  # the producer under which rows are counted; the message name is the mapping's
EVENTS = "events"  # the message name where there is no mapping
CAMPAIGNS_MAX = 1_000  # unknown campaigns that are listed by name; rows of further ones are refused too, but not listed
LINES_SHOWN = 10  # of the refused lines


@dataclass
class Tally:
    """The outcome of the rows of one source and of their events."""

    accepted: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    first: list[dict[str, Any]] = field(default_factory=list)
    resumed_at: int = 0
    """Lines that an earlier run has sent."""
    rows: Rows = field(default_factory=Rows)
    deals: Deals = field(default_factory=Deals)
    unmet: UnmatchedValues = field(default_factory=UnmatchedValues)
    facts: TableFacts = field(default_factory=TableFacts)
    compared: Compared = field(default_factory=Compared)
    """How many of the accepted events are new, and which of them conflict with events stored before."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Rows that are not data, by the mapping's word for them: `totals`, `footer`."""
    unknown_campaigns: Counter[str] = field(default_factory=Counter)
    """Rows that were refused because their campaign was not created, by the platform's name or id for it."""
    name: str = EVENTS
    """The message name under which rows are counted: their mapping's name."""
    uncounted: Counter[Outcome] = field(default_factory=Counter)
    """Rows whose events are in the log, but that are not yet added to the counts of `touchline producers`."""

    def row(self, *, mapped: bool, reason: str | None) -> None:
        """Count a row: `mapped` if it gave events; `reason` is the code if it was refused."""
        self.rows.count(with_events=mapped, refused=reason is not None)
        if reason is not None:
            self.uncounted[Outcome(PRODUCER, self.name, "refused", reason)] += 1
        else:
            self.uncounted[Outcome(PRODUCER, self.name, "mapped" if mapped else "unmapped")] += 1

    def refuse(self, source: Path, line: Line, event: bytes | None, refusal: Refusal) -> dict[str, Any]:
        """Count a refusal; returns it as it is written beside the source, with the row of the table that gave the event."""
        self.refused[refusal.code] += 1
        refused = {"line": line.number, "code": refusal.code, "field": refusal.field, "message": refusal.message}
        if len(self.first) < LINES_SHOWN:
            self.first.append({"source": str(source), **refused})
        whole = line.body.decode(errors="replace")
        if event is line.body:
            return {**refused, "event": whole}
        return {**refused, "event": None if event is None else event.decode(), "row": whole}


def event_of(
    line: bytes, now_us: int, nobody: frozenset[str] = frozenset(), *, forgets: bool = False
) -> Record | Refusal:
    """The record of one event of a backfill: checked as ingest does, with its own time, and an id that is the same in every run.

    `nobody` are the workspace's own words that identify nobody. `sent_at` corrects no clock: a file is received later than sent.
    """
    outcome = accept_restored(line, 0, "server", now_us, None, BACKFILL, nobody=nobody, live=False, forgets=forgets)
    if isinstance(outcome, Refusal):
        return outcome
    if outcome.occurred_at is not None:
        return Refusal(
            0,
            None,
            "missing_field",
            "occurred_at",
            "an event in a file needs `occurred_at` or `as_of`",
        )
    if outcome.id is not None:
        digest = sha256(canonical(line)).hexdigest()[:32]
        return msgspec.structs.replace(outcome, id=f"backfill-{digest}")
    return outcome


@dataclass
class Backfill:
    """Sends sources to one workspace, at most `events_per_s`. `advance` is called with the bytes of a source that are done."""

    pool: "asyncpg.Pool[asyncpg.Record]"
    log: EventLog
    workspace: str
    events_per_s: float
    advance: Callable[[int], None]
    dry_run: bool = False
    mapping: TableMapping | None = None
    """Turns the rows of a table into events."""
    known: EarlierEvents | None = None
    """The events stored before: one object for all sources of a run; None makes one for this source."""

    @property
    def _forgets(self) -> bool:
        """Whether contacts can be forgotten: whether the store is sealed."""
        return vault_of(self.log) is not None

    async def run(self, source: Path) -> Tally:
        """Send a source, beginning where an earlier run stopped.

        Raises `OSError`, `Unreadable`, `BadMapping` or, after a minute, `LogUnavailable`.
        """
        tally = Tally(name=EVENTS if self.mapping is None else Path(self.mapping.name).stem)
        nobody = (await acceptance_settings_of(self.pool, self.workspace)).nobody
        progress = BackfillProgress(source, self.workspace, self.log.identity)
        done = 0 if self.dry_run else progress.read()
        tally.resumed_at = done
        began_s, sent, reported_bytes = time.monotonic(), 0, 0
        known = self.known or EarlierEvents(self.pool, self.log, self.workspace)
        sender = self._sender = Sender(self.pool, self.log, self.workspace)
        await sender.fresh()
        await known.begin()
        by = self.mapping
        if by is not None and by.asks_campaigns:
            if (ids := await known.campaigns()) is None:
                raise BadMapping(f"{by.name}: the list of campaigns could not be read: {known.unknown}")
            by = replace(by, campaigns=replace(by.campaigns, ids=ids))
        with Refused(source, None if self.dry_run else done) as refused:
            for chunk in _chunks(read_lines(source, by, tally.facts)):
                last = chunk[-1]
                found = [
                    (line.number, record)
                    for line in chunk if line.number > done
                    for record in taken(source, line, tally, refused, nobody, forgets=self._forgets)
                ]  # fmt: skip
                records = [record for _, record in found]
                await known.judge(tally.compared, source, found)
                if not self.dry_run and last.number > done:
                    if (after := await self._append(records)) is not None:
                        known.sent(after.offset)
                    refused.flush()
                    progress.write(last.number)
                    await self._count(tally)
                    sent += len(records)
                    await asyncio.sleep(max(0.0, began_s + sent / self.events_per_s - time.monotonic()))
                    await sender.fresh()
                self.advance(last.bytes_read - reported_bytes)
                reported_bytes = last.bytes_read
        progress.remove()
        return tally

    async def _count(self, tally: Tally) -> None:
        """Add the outcomes of the rows that are done to the producers' counts. Raises one of `AWAY`. If the run is killed here, they stay uncounted."""
        counts, tally.uncounted = tally.uncounted, Counter()
        await write_counts(self.pool, {self.workspace: counts})

    async def _append(self, records: list[Record]) -> Position | None:
        return await self._sender.append(records)


def taken(
    source: Path, line: Line, tally: Tally, refused: "Refused", nobody: frozenset[str], *, forgets: bool = False
) -> list[Record]:
    """The records of a row's events: all of them, or none if one is refused. Writes down the refusal."""
    now_us = time.time_ns() // 1000
    outcomes = [
        (made, made if isinstance(made, Refusal) else event_of(made, now_us, nobody, forgets=forgets))
        for made in line.events
    ]
    wrong = [(made, outcome) for made, outcome in outcomes if isinstance(outcome, Refusal)]
    tally.row(mapped=bool(outcomes) or line.summed, reason=wrong[0][1].code if wrong else None)
    for column, value in line.unmet:
        tally.unmet.count(column, value)
    if line.skipped:
        tally.skipped[line.skipped] += 1
    for campaign in line.unknown:
        if campaign in tally.unknown_campaigns or len(tally.unknown_campaigns) < CAMPAIGNS_MAX:
            tally.unknown_campaigns[campaign] += 1
    kept = len(outcomes) - len(wrong)
    for made, outcome in wrong:
        sent = None if isinstance(made, Refusal) else made
        refused.write(tally.refuse(source, line, sent, _with_others(outcome, kept)))
    if wrong:
        return []
    records = [outcome for _, outcome in outcomes if isinstance(outcome, Record)]
    events = [typed(bytes(record.event)) for record in records]
    for event in events:
        tally.accepted[event_type(event)] += 1
    tally.deals.observe(events)
    return records


def _with_others(refusal: Refusal, kept: int) -> Refusal:
    """A refusal that also says how many other events of the row are not sent because of it."""
    if not kept:
        return refusal
    others = "the row's other event is" if kept == 1 else f"the row's other {kept} events are"
    return replace(refusal, message=f"{refusal.message}; {others} not sent either")


def _chunks(lines: Iterator[Line]) -> Iterator[list[Line]]:
    """Rows in groups of about `CHUNK_EVENTS` events; a row without events counts as one."""
    chunk: list[Line] = []
    events = 0
    for line in lines:
        chunk.append(line)
        events += max(1, len(line.events))
        if events >= CHUNK_EVENTS:
            yield chunk
            chunk, events = [], 0
    if chunk:
        yield chunk


class BackfillProgress:
    """How many lines of a source are in the log: a small file beside it, which is removed when all are."""

    def __init__(self, source: Path, workspace: str, log: str) -> None:
        self._source = source
        self._path = None if source == STDIN else source.with_name(source.name + ".backfill")
        self._of: Mapping[str, Any] = {"workspace": workspace, "log": log, **self._state()}

    def _state(self) -> dict[str, int]:
        if self._path is None:
            return {}
        stat = self._source.stat()
        return {"size": stat.st_size, "modified_ns": stat.st_mtime_ns}

    def read(self) -> int:
        """The lines that are done; 0 where the source has changed since, or the run was for another workspace or log.

        Raises `Unreadable` if the file has other content.
        """
        if self._path is None or not self._path.exists():
            return 0
        try:
            stored = orjson.loads(self._path.read_bytes())
            return int(stored["lines"]) if all(stored.get(name) == value for name, value in self._of.items()) else 0
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise Unreadable(
                f"{self._path} should say how many lines an earlier run has sent, and does not; remove it to begin at the "
                "first line (what is sent again counts once)"
            ) from error

    def write(self, lines: int) -> None:
        """Record that this many lines are done."""
        if self._path is not None:
            partial = self._path.with_name(self._path.name + ".partial")
            partial.write_bytes(orjson.dumps({**self._of, "lines": lines}))
            partial.replace(self._path)

    def remove(self) -> None:
        """All are."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


class Refused:
    """The refused rows of a source: an NDJSON file beside it, created at the first refusal."""

    def __init__(self, source: Path, done: int | None) -> None:
        """`done`: lines that an earlier run sent, whose refusals stay in the file; None writes no file."""
        self.path = (
            Path("stdin.refused.ndjson") if source == STDIN else source.with_name(source.name + ".refused.ndjson")
        )
        self._done = done
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        if self._done is not None and self.path.exists():
            partial = self.path.with_name(self.path.name + ".partial")
            try:
                with self.path.open("rb") as before, partial.open("wb") as kept:
                    for number, line in enumerate(before, 1):
                        if self._line_of(line, number) <= self._done:
                            kept.write(line)
                partial.replace(self.path)
            finally:
                partial.unlink(missing_ok=True)
            if not self.path.stat().st_size:
                self.path.unlink()
        return self

    def _line_of(self, refusal: bytes, number: int) -> int:
        try:
            return int(orjson.loads(refusal)["line"])
        except (ValueError, TypeError, LookupError) as error:
            raise Unreadable(
                f"line {number} of {self.path} is not what an earlier run has written there; move the file away"
            ) from error

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def write(self, refusal: Mapping[str, Any]) -> None:
        """Add one refusal."""
        if self._done is not None:
            self._write(orjson.dumps(refusal))

    def _write(self, line: bytes) -> None:
        if self._file is None:
            self._file = self.path.open("ab")
        self._file.write(line + b"\n")

    def flush(self) -> None:
        """Write the refusals to disk, before their lines are recorded as done."""
        if self._file is not None:
            self._file.flush()
