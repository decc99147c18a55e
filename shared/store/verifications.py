"""Which verifications of the live projection were made, and what came of each? Writes and reads the table `touchline.verification`.

A verification that goes on holds a lock. So one that was killed, which could not write its end, is not taken for one that goes on.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import asyncpg
import structlog

from shared.database import AWAY, error_text
from shared.events.instants import to_rfc3339

KEPT_MAX = 1_000  # runs; hourly ones of six weeks
DIFFERENCES_MAX = 20  # stored of one run: the command prints them all, and one is enough to look further
CHARACTERS_MAX = 300  # of a difference or a failure; longer ones are cut

BEGIN = "INSERT INTO touchline.verification (made_by, generation) VALUES ($1, $2) RETURNING number"
FORGET = """
DELETE FROM touchline.verification WHERE number <= (
    SELECT number FROM touchline.verification ORDER BY number DESC OFFSET $1 LIMIT 1
)
"""
END = """
UPDATE touchline.verification SET ended_at = clock_timestamp(), outcome = $2, offsets = $3, sample = $4, tables = $5,
    row_count = $6, differences = $7, left_out = $8, failure = $9
WHERE number = $1
"""
LOCK = "SELECT pg_advisory_lock(hashtext('touchline.verification'), $1)"
UNLOCK = "SELECT pg_advisory_unlock(hashtext('touchline.verification'), $1)"
READ = """
SELECT number, made_by, generation, outcome, offsets, sample, tables, row_count, differences, left_out, failure,
    (extract(epoch FROM began_at) * 1000000)::bigint AS began_us, (extract(epoch FROM ended_at) * 1000000)::bigint AS ended_us,
    EXISTS (
        SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 2
            AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND l.classid = (hashtext('touchline.verification')::bigint & 4294967295)::oid AND l.objid = v.number::oid
    ) AS goes_on
FROM touchline.verification v WHERE $1::int IS NULL OR number < $1 ORDER BY number DESC LIMIT $2
"""
LAST_AGREED = """
SELECT sample IS NULL AS whole, extract(epoch FROM max(began_at))::float8 AS began_s
FROM touchline.verification WHERE outcome = 'agreed' AND made_by = 'verify' GROUP BY 1
"""

MadeBy = Literal["verify", "rebuild"]

logger = structlog.stdlib.get_logger("touchline.store")


@dataclass
class VerificationResult:
    """What a verification found. `offsets` are those up to which the log was compared, by partition; `differences` are in words.

    `sample` says which part was compared (None: everything), `left_out` names workspaces that were not compared.
    """

    offsets: Mapping[int, int] = field(default_factory=dict)
    sample: Mapping[str, int] | None = None
    tables: int = 0
    rows: int = 0
    differences: Sequence[str] = ()
    left_out: Sequence[str] = ()

    @property
    def outcome(self) -> str:
        """`agreed` or `differed`."""
        return "differed" if self.differences else "agreed"


@dataclass
class Record:
    """A verification that goes on; whoever makes it sets `result`."""

    result: VerificationResult | None = None


@asynccontextmanager
async def recorded(pool: "asyncpg.Pool[asyncpg.Record]", made_by: MadeBy, generation: str) -> AsyncIterator[Record]:
    """Record the verification of a generation that is made meanwhile: its beginning at once, and at the end what was found.

    An error is recorded as why it failed, and goes on to the caller. A verification that is cancelled or killed has no end. Keeps a
    connection of the pool meanwhile.
    """
    async with pool.acquire() as connection:
        number = await connection.fetchval(BEGIN, made_by, generation)
        await connection.execute(LOCK, number)
        await connection.execute(FORGET, KEPT_MAX)
        record = Record()
        try:
            yield record
        except Exception as error:
            await _end(pool, number, "failed", VerificationResult(), error_text(error))
            raise
        else:
            if record.result is not None:
                await _end(pool, number, record.result.outcome, record.result)
        finally:
            if not connection.is_closed():
                await connection.execute(UNLOCK, number)


async def _end(
    pool: "asyncpg.Pool[asyncpg.Record]",
    number: int,
    outcome: str,
    result: VerificationResult,
    failure: str | None = None,
) -> None:
    """Write the end. What was found is not lost if that fails: the caller has it, and a line of the log says that it is not recorded."""
    offsets = {str(partition): offset for partition, offset in result.offsets.items()} or None
    differences = [cut(one) for one in result.differences[:DIFFERENCES_MAX]]
    try:
        await pool.execute(
            END, number, outcome, offsets, result.sample and dict(result.sample), result.tables, result.rows, differences,
            list(result.left_out), failure and cut(failure),
        )  # fmt: skip
    except (asyncpg.PostgresError, *AWAY) as error:
        logger.warning("the end of a verification is not recorded", number=number, error=error_text(error))


def cut(text: str) -> str:
    """A text of at most `CHARACTERS_MAX` characters, the last of which shows that more was there."""
    return text if len(text) <= CHARACTERS_MAX else text[: CHARACTERS_MAX - 1] + "…"


async def read_verifications(connection: Any, before: int | None, limit: int) -> list[dict[str, Any]]:
    """At most `limit` verifications with numbers below `before` (None: all), the latest first, as an answer has them."""
    return [_as_json(row) for row in await connection.fetch(READ, before, limit)]


def _as_json(row: Any) -> dict[str, Any]:
    state = row["outcome"] or ("running" if row["goes_on"] else "not_ended")
    return {
        "number": row["number"], "made_by": row["made_by"], "generation": row["generation"], "state": state,
        "began_at": to_rfc3339(row["began_us"]), "ended_at": None if row["ended_us"] is None else to_rfc3339(row["ended_us"]),
        "sample": row["sample"], "tables": row["tables"], "rows": row["row_count"], "offsets": row["offsets"],
        "events": None if row["offsets"] is None else sum(row["offsets"].values()),
        "differences": row["differences"] or [], "left_out": row["left_out"] or [], "failure": row["failure"],
    }  # fmt: skip


async def last_agreed_s(pool: "asyncpg.Pool[asyncpg.Record]") -> dict[bool, float]:
    """When the latest verification by `verify` that agreed began, in Unix seconds; by whether it compared everything."""
    return {row["whole"]: row["began_s"] for row in await pool.fetch(LAST_AGREED)}
