"""What happens to an event that was refused? It is kept whole, with its reason, so that nothing is lost with it."""

from collections.abc import Sequence

import asyncpg

from services.ingest import metrics
from shared.access.keys import Access
from shared.events.codec import Refusal

COLLECT_DEAD_LETTERS_MAX = 10_000  # a workspace; anybody can send rubbish with a public key

KEEP = """
INSERT INTO touchline.dead_letter (workspace_id, key_class, key_hint, user_agent, reason, detail, event_id, body)
SELECT $1, $2, $3, $4, * FROM unnest($5::text[], $6::text[], $7::text[], $8::bytea[])
"""
BOUND = """
DELETE FROM touchline.dead_letter WHERE workspace_id = $1 AND key_class = 'collect' AND dead_letter_id <= (
    SELECT dead_letter_id FROM touchline.dead_letter WHERE workspace_id = $1 AND key_class = 'collect'
    ORDER BY dead_letter_id DESC OFFSET $2 LIMIT 1)
"""  # the oldest beyond the limit


async def keep(
    pool: "asyncpg.Pool[asyncpg.Record]", access: Access, refused: Sequence[tuple[Refusal, bytes]],
    user_agent: str | None,
) -> None:  # fmt: skip
    """Write refused events to `dead_letter`; `user_agent` is that of their request where it is a browser's."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(
            KEEP, access.workspace, access.scope, access.hint, _text(user_agent), [r.code for r, _ in refused],
            [r.detail for r, _ in refused], [_text(r.id) for r, _ in refused],
            [body for _, body in refused],
        )  # fmt: skip
        if access.scope == "collect":
            await connection.execute(BOUND, access.workspace, COLLECT_DEAD_LETTERS_MAX)
    metrics.EVENTS.labels("refused").inc(len(refused))
    for refusal, _ in refused:
        metrics.DEAD_LETTERS.labels(refusal.code).inc()


def _text(value: str | None) -> str | None:
    return None if value is None else value.replace("\0", "\N{REPLACEMENT CHARACTER}")
