"""What can be done with events that were kept aside? Look at them, send them again at their own time, or drop them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import msgspec

from shared.events.codec import Refusal, decode_record, encode_record
from shared.events.refusal import UNDECODABLE
from shared.log.port import EventLog, Position
from shared.projection.accepting import accepting_of
from shared.rules.acceptance import accept

COLUMNS = """dead_letter_id AS number, workspace_id AS workspace, key_class AS key, reason, detail, event_id, partition,
"offset", body, user_agent, key_hint, (extract(epoch FROM received_at) * 1000000)::bigint AS received_us"""
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

UNDECIDABLE = (
    "another event has its id, and sent as it is this one never counts: send it with an `as_of` that is later than the "
    "other's, or under an id of its own"
)


@dataclass(frozen=True, slots=True)
class Letter:
    """One event that was kept aside. `body` is the event as sent or, with an `offset`, the log's record of it.

    `key_hint` tells which key sent it: its first characters, or `backfill`; None for letters of older releases.
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
    received_us: int


async def list_letters(
    pool: "asyncpg.Pool[asyncpg.Record]", workspace: str, reason: str | None, after: int, limit: int
) -> list[Letter]:
    """Letters of a workspace in the order in which they were kept, those after the number `after`."""
    return [Letter(**row) for row in await pool.fetch(LIST, workspace, reason, after, limit)]


async def find_letters(pool: "asyncpg.Pool[asyncpg.Record]", workspace: str, numbers: Sequence[int]) -> list[Letter]:
    """Those of the letters that there are."""
    return [Letter(**row) for row in await pool.fetch(SOME, workspace, list(numbers))]


async def pushed_out(pool: "asyncpg.Pool[asyncpg.Record]", workspace: str) -> list[dict[str, Any]]:
    """How many letters of each key (its hint, or None) are gone, because later ones of the key or its class came."""
    return [dict(row) for row in await pool.fetch(PUSHED_OUT, workspace)]


async def drop_letters(pool: "asyncpg.Pool[asyncpg.Record]", workspace: str, numbers: Sequence[int]) -> int:
    """Remove letters for good; answers how many there were."""
    return int((await pool.execute(DROP, workspace, list(numbers))).split()[1])


async def retry_letter(pool: "asyncpg.Pool[asyncpg.Record]", log: EventLog, letter: Letter) -> Position | str:
    """Append the event as if it had just been received when it was; answers where it is, or why it still cannot be.

    A letter that was sent again is dropped. If that fails, the next try appends the same event, which counts once.
    Raises `LogUnavailable`.
    """
    value = _again(letter, (await accepting_of(pool, letter.workspace)).nobody)
    if isinstance(value, str):
        return value
    position = await log.append(letter.workspace, [value])
    await drop_letters(pool, letter.workspace, [letter.number])
    return position


def _again(letter: Letter, nobody: frozenset[str]) -> bytes | str:
    """The record to append, or what is still wrong."""
    if letter.reason == "conflicting_duplicate":
        return UNDECIDABLE
    if letter.offset is not None:
        try:
            decode_record(letter.body)
        except UNDECODABLE as error:
            return str(error)
        return letter.body
    outcome = accept(letter.body, 0, letter.key, letter.received_us, letter.user_agent, letter.key_hint, nobody=nobody)
    if isinstance(outcome, Refusal):
        return outcome.detail
    if outcome.id is not None:  # it came without one; every try must give it the same
        outcome = msgspec.structs.replace(outcome, id=f"dead-letter-{letter.number}")
    return encode_record(outcome)
