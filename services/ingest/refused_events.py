"""What happens to an event that was refused? It is kept as a dead letter, with the reason.

A body that is longer than any event may be is cut, and its reason says so. There is a limit of dead letters for each key, so that one
key cannot take the room of another, and a limit for all keys of one class in a workspace. Beyond a limit the oldest dead letters are
deleted; beyond the limit of a class, those of the keys that have the most. The deleted ones are counted for each key. Dead letters
that the projector wrote are never deleted here.
"""

import random
from collections.abc import Sequence

import asyncpg
import structlog

from services.ingest import metrics
from shared.access.keys import Access
from shared.events.codec import Refusal
from shared.events.limits import EVENT_ID_CHARACTERS_MAX, KEPT_BYTES_MAX, TEXT_CHARACTERS_MAX

KEY_LETTERS_MAX = {
    "collect": 10_000,  # of a key: 320 MB; anybody can send rubbish with a public key
    "server": 100_000,  # a bad backfill over HTTP is mended and sent again from here
}
CLASS_LETTERS_MAX = {
    "collect": 30_000,  # of all keys of the class that a workspace has: 960 MB, however many keys there are
    "server": 200_000,  # two bad backfills at once, whole
}
logger = structlog.stdlib.get_logger("touchline.ingest")

# To find the oldest letters, all are read. This is done so many times while as many new letters come as are kept: so up to 5 % more are kept.
BOUNDS_PER_FILL = 20

KEEP = """
INSERT INTO touchline.dead_letter (workspace_id, key_class, key_hint, user_agent, producer, reason, detail, event_id, body)
SELECT $1, $2, $3, $4, $9, * FROM unnest($5::text[], $6::text[], $7::text[], $8::bytea[])
"""
OF_KEY = """
SELECT dead_letter_id FROM touchline.dead_letter
WHERE workspace_id = $1 AND key_class = $2 AND "offset" IS NULL AND key_hint = $4 ORDER BY dead_letter_id DESC OFFSET $3
"""  # the oldest beyond the limit, of those of one key that ingest refused
OF_CLASS = """
SELECT dead_letter_id FROM (
    SELECT dead_letter_id, row_number() OVER (PARTITION BY key_hint ORDER BY dead_letter_id DESC) AS place
    FROM touchline.dead_letter WHERE workspace_id = $1 AND key_class = $2 AND "offset" IS NULL
) d ORDER BY place, dead_letter_id DESC OFFSET $3
"""  # every key's latest come first, so a key that has few keeps them all; of older releases the key is not known, as if it were one
PUSH_OUT = """
WITH surplus AS ({surplus}), found AS (
    SELECT d.dead_letter_id FROM touchline.dead_letter d JOIN surplus USING (dead_letter_id) FOR UPDATE OF d SKIP LOCKED
), gone AS (
    DELETE FROM touchline.dead_letter WHERE dead_letter_id IN (SELECT dead_letter_id FROM found) RETURNING key_hint
), counted AS (
    INSERT INTO touchline.dead_letter_pushed_out AS p (workspace_id, key_class, key_hint, events)
    SELECT $1, $2, coalesce(key_hint, ''), count(*) FROM gone GROUP BY 3 ORDER BY 3
    ON CONFLICT (workspace_id, key_class, key_hint) DO UPDATE SET events = p.events + excluded.events
) SELECT count(*) FROM gone
"""  # in one order and past what another one removes, so that two of them never wait for each other


async def keep(
    pool: "asyncpg.Pool[asyncpg.Record]", access: Access, refused: Sequence[tuple[Refusal, bytes]],
    user_agent: str | None, *, producer: str | None = None,
) -> None:  # fmt: skip
    """Write refused events, each with its body, to `touchline.dead_letter`, and now and then delete those beyond the limits.

    `user_agent` is that of the request if a browser sent it. `producer` names the outside producer whose messages these are; None:
    they are our own events. Raises `asyncpg.PostgresError` or one of `AWAY`; then none is written.
    """
    async with pool.acquire() as connection:
        await connection.execute(
            KEEP, access.workspace, access.scope, access.hint, _text(user_agent, TEXT_CHARACTERS_MAX),
            [r.code for r, _ in refused], [_text(r.detail + _cut(body)) for r, body in refused],
            [_text(r.id, EVENT_ID_CHARACTERS_MAX) for r, _ in refused], [body[:KEPT_BYTES_MAX] for _, body in refused], producer,
        )  # fmt: skip
        for surplus, most, of in (
            (OF_KEY, KEY_LETTERS_MAX[access.scope], (access.hint,)),
            (OF_CLASS, CLASS_LETTERS_MAX[access.scope], ()),
        ):
            if random.random() < len(refused) * BOUNDS_PER_FILL / most:
                statement = PUSH_OUT.format(surplus=surplus)
                gone = await connection.fetchval(statement, access.workspace, access.scope, most, *of)
                if gone:
                    logger.warning(
                        "dead letters are deleted for later ones",
                        workspace=access.workspace,
                        key=access.hint,
                        deleted=gone,
                        most=most,
                    )
                metrics.PUSHED_OUT.labels(access.scope).inc(gone)
    metrics.EVENTS.labels("refused").inc(len(refused))
    for refusal, _ in refused:
        metrics.DEAD_LETTERS.labels(refusal.code).inc()


def _cut(body: bytes) -> str:
    """What is added to the reason of a body that is cut; empty if it is kept whole."""
    return "" if len(body) <= KEPT_BYTES_MAX else f" (kept: the first {KEPT_BYTES_MAX:,} of {len(body):,} bytes)"


def _text(value: str | None, characters_max: int | None = None) -> str | None:
    """A text that a column of PostgreSQL can hold: cut, and without null characters."""
    return None if value is None else value[:characters_max].replace("\0", "\N{REPLACEMENT CHARACTER}")
