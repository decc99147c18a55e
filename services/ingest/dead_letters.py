"""What can be done with dead letters? Read them, send them again with the time at which they were received, or delete them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import msgspec

from shared.events.codec import Record, Refusal, decode_record, encode_record
from shared.events.refusal import UNDECODABLE
from shared.log.port import EventLog, Position
from shared.producers.message import Unreadable, events_of
from shared.producers.readers import READINGS
from shared.projection.acceptance_settings import AcceptanceSettings, acceptance_settings_of
from shared.rules.acceptance import accept
from shared.sealing.log import vault_of

COLUMNS = """dead_letter_id AS number, workspace_id AS workspace, key_class AS key, reason, detail, event_id, partition,
"offset", body, user_agent, key_hint, producer, (extract(epoch FROM received_at) * 1000000)::bigint AS received_us"""
LIST = f"""
SELECT {COLUMNS} FROM touchline.dead_letter
WHERE workspace_id = $1 AND ($2::text IS NULL OR reason = $2) AND dead_letter_id > $3 ORDER BY dead_letter_id LIMIT $4
"""
SOME = f"""
SELECT {COLUMNS} FROM touchline.dead_letter WHERE workspace_id = $1 AND dead_letter_id = ANY($2::bigint[])
ORDER BY dead_letter_id
"""
DROP = "DELETE FROM touchline.dead_letter WHERE workspace_id = $1 AND dead_letter_id = ANY($2::bigint[])"
PUSHED_OUT = """
SELECT nullif(key_hint, '') AS key, sum(events)::bigint AS events FROM touchline.dead_letter_pushed_out
WHERE workspace_id = $1 GROUP BY 1 ORDER BY 2 DESC, 1
"""

NUMBER_MAX = 2**63 - 1  # of a dead letter

UNDECIDABLE = (
    "another event has its id, and sent as it is this one never counts: send it with an `as_of` that is later than the "
    "other's, or under an id of its own"
)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead letter.

    `body` is the event as it was sent. With an `offset`, which the projector writes, it is the record of the log at `partition` and
    `offset`; with a `producer`, it is the message of that outside producer. `key` is the class of the key that sent it; `key_hint`
    is its first characters, or `backfill`, or None in dead letters of older releases. `received_us` is in microseconds since 1970.
    """

    number: int
    workspace: str
    key: Any
    reason: str
    detail: str
    event_id: str | None
    partition: int | None
    offset: int | None
    body: bytes
    user_agent: str | None
    key_hint: str | None
    producer: str | None
    received_us: int


async def list_letters(
    pool: "asyncpg.Pool[asyncpg.Record]", workspace: str, reason: str | None, after: int, limit: int
) -> list[DeadLetter]:
    """At most `limit` dead letters of a workspace with numbers above `after`, in order; `reason` None: of all reasons."""
    return [DeadLetter(**row) for row in await pool.fetch(LIST, workspace, reason, after, limit)]


async def find_letters(
    pool: "asyncpg.Pool[asyncpg.Record]", workspace: str, numbers: Sequence[int]
) -> list[DeadLetter]:
    """The dead letters of a workspace with these numbers. A number without a dead letter is left out."""
    possible = [number for number in numbers if 0 <= number <= NUMBER_MAX]
    return [DeadLetter(**row) for row in await pool.fetch(SOME, workspace, possible)]


async def pushed_out(pool: "asyncpg.Pool[asyncpg.Record]", workspace: str) -> list[dict[str, Any]]:
    """How many dead letters of each key (its first characters, or None) were deleted because newer ones took their place."""
    return [dict(row) for row in await pool.fetch(PUSHED_OUT, workspace)]


async def drop_letters(pool: "asyncpg.Pool[asyncpg.Record]", workspace: str, numbers: Sequence[int]) -> int:
    """Delete dead letters for ever; answers how many there were."""
    return int((await pool.execute(DROP, workspace, list(numbers))).split()[1])


async def retry_letter(pool: "asyncpg.Pool[asyncpg.Record]", log: EventLog, letter: DeadLetter) -> Position | str:
    """Append the letter's event to the log with the time at which it was received, and delete the letter.

    Answers the position after the event, or the reason why it is refused again; then the letter stays. If the letter cannot be
    deleted after the append, the next try appends the same event, which counts once. Raises `LogUnavailable`.
    """
    values = _again(letter, await acceptance_settings_of(pool, letter.workspace), forgets=vault_of(log) is not None)
    if isinstance(values, str):
        return values
    position = await log.append(letter.workspace, values)
    await drop_letters(pool, letter.workspace, [letter.number])
    return position


def _again(letter: DeadLetter, accepting: AcceptanceSettings, *, forgets: bool) -> list[bytes] | str:
    """The records to append, or the reason why the letter is refused again."""
    if letter.reason == "conflicting_duplicate":
        return UNDECIDABLE
    if letter.offset is not None:
        try:
            decode_record(letter.body)
        except UNDECODABLE as error:
            return str(error)
        return [letter.body]
    events = [letter.body] if letter.producer is None else _read_again(letter, letter.producer, accepting)
    if isinstance(events, str):
        return events
    values = []
    for n, event in enumerate(events):
        outcome = _accepted(
            letter,
            event,
            f"dead-letter-{letter.number}" + (f":{n + 1}" if n else ""),
            accepting.nobody,
            forgets=forgets,
        )
        if isinstance(outcome, Refusal):
            return outcome.detail
        values.append(encode_record(outcome))
    return values


def _accepted(
    letter: DeadLetter, event: bytes, event_id: str, nobody: frozenset[str], *, forgets: bool
) -> Record | Refusal:
    """Check an event as ingest does now. `event_id` becomes its id if it has none, so that every try gives it the same id."""
    outcome = accept(
        event, 0, letter.key, letter.received_us, letter.user_agent, letter.key_hint, nobody=nobody, forgets=forgets
    )
    if isinstance(outcome, Refusal) or outcome.id is None:
        return outcome
    return msgspec.structs.replace(outcome, id=event_id)


def _read_again(letter: DeadLetter, producer: str, accepting: AcceptanceSettings) -> list[bytes] | str:
    """The events that this release makes of an outside producer's message, or the reason why it makes none."""
    reading = READINGS.get(producer)
    if reading is None:
        return f"this release cannot read messages of {producer!r} again"
    message = reading.read(letter.body, accepting.producers, letter.key, letter.received_us)
    if isinstance(message.means, Unreadable):
        return f"{message.means.field}: {message.means.message}" if message.means.field else message.means.message
    return [msgspec.json.encode(event) for event in events_of(producer, message)]
