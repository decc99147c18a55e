"""What arrived from web pages, and what was refused to them or held back by them? For whoever sets a page up; it changes no number.

Each row of `touchline.browser_notice` counts requests of one key, one origin and one kind: the answer to "why do I see nothing yet".
A row of `touchline.browser_arrival` has the ids of the latest events that web pages sent with a key.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import asyncpg

from shared.access.origins import ORIGIN_CHARACTERS_MAX, allows
from shared.access.scopes import OPERATOR_WORKSPACE
from shared.events.instants import to_rfc3339

Kind = Literal[
    "origin_not_allowed", "revoked_key", "unknown_key", "secret_key_in_browser", "consent_awaited", "blocked_by_policy"
]
"""`consent_awaited` and `blocked_by_policy` (the page's Content-Security-Policy) are reported by the tracker on the page."""

ROWS_MAX = 200  # of a key: the origin is what a stranger's browser says, so the rows seen longest ago make room
ARRIVALS_KEPT = 10  # of a key: enough to see that a page works
NOBODYS = ""  # the hint of a key that never existed

WRITE = f"""
WITH arrived AS (
    SELECT coalesce(k.workspace_id, u.workspace, '{OPERATOR_WORKSPACE}') AS workspace_id,
        coalesce(k.hint, u.hint, '{NOBODYS}') AS key_hint, u.origin,
        CASE WHEN u.sha256 IS NULL THEN u.notice WHEN k.sha256 IS NULL THEN 'unknown_key' WHEN k.revoked_at IS NOT NULL THEN 'revoked_key'
            ELSE 'secret_key_in_browser' END AS notice, u.requests
    FROM unnest($1::bytea[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[])
        u(sha256, workspace, hint, origin, notice, requests)
    LEFT JOIN touchline.access_key k ON k.sha256 = u.sha256
    WHERE k.sha256 IS NULL OR k.revoked_at IS NOT NULL OR k.scope <> 'collect'
)
INSERT INTO touchline.browser_notice AS n (workspace_id, key_hint, origin, notice, requests, first_seen, last_seen)
SELECT workspace_id, key_hint, origin, notice, sum(requests), now(), now() FROM arrived GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
ON CONFLICT (workspace_id, key_hint, origin, notice) DO UPDATE
SET requests = n.requests + excluded.requests, last_seen = greatest(n.last_seen, excluded.last_seen)
RETURNING workspace_id, key_hint
"""  # ordered, so that two processes that write the same rows lock them in one order
MAKE_ROOM = f"""
DELETE FROM touchline.browser_notice n USING (
    SELECT origin, notice FROM touchline.browser_notice WHERE workspace_id = $1 AND key_hint = $2
    ORDER BY last_seen DESC, origin, notice OFFSET {ROWS_MAX}
) o WHERE n.workspace_id = $1 AND n.key_hint = $2 AND n.origin = o.origin AND n.notice = o.notice
"""
READ = f"""
SELECT n.key_hint, n.origin, n.notice, n.requests, (extract(epoch FROM n.first_seen) * 1000000)::bigint AS first_us,
    (extract(epoch FROM n.last_seen) * 1000000)::bigint AS last_us, a.hint IS NOT NULL AS in_force, a.origins
FROM touchline.browser_notice n LEFT JOIN touchline.access_key a
    ON a.workspace_id = n.workspace_id AND a.hint = n.key_hint AND a.revoked_at IS NULL
WHERE n.workspace_id = $1 OR (n.workspace_id = '{OPERATOR_WORKSPACE}' AND n.notice = 'unknown_key' AND n.origin IN (
    SELECT unnest(k.origins) FROM touchline.access_key k WHERE k.workspace_id = $1 AND k.revoked_at IS NULL))
ORDER BY n.last_seen DESC, n.origin, n.notice
"""  # a key that does not exist is of no workspace: the operator sees all such rows, others those of their own pages

ARRIVE = f"""
INSERT INTO touchline.browser_arrival AS a (workspace_id, key_hint, event_ids, last_seen)
SELECT w, h, string_to_array(e, E'\\n'), now() FROM unnest($1::text[], $2::text[], $3::text[]) u(w, h, e) ORDER BY 1, 2
ON CONFLICT (workspace_id, key_hint) DO UPDATE
SET event_ids = (excluded.event_ids || a.event_ids)[1:{ARRIVALS_KEPT}], last_seen = excluded.last_seen
"""
KEYS = """
SELECT k.hint, k.origins, k.revoked_at IS NOT NULL AS revoked, coalesce(a.event_ids, '{}') AS event_ids,
    (extract(epoch FROM a.last_seen) * 1000000)::bigint AS last_us
FROM touchline.access_key k LEFT JOIN touchline.browser_arrival a ON a.workspace_id = k.workspace_id AND a.key_hint = k.hint
WHERE k.workspace_id = $1 AND k.scope = 'collect' ORDER BY k.created_at, k.hint
"""


class Notice(NamedTuple):
    """Something that happened to a page of `origin`. `sha256` is the digest of a key that it must not use: of nobody, revoked, or secret."""

    origin: str
    kind: Kind
    workspace: str | None = None
    hint: str | None = None
    sha256: bytes | None = None


async def write_notices(pool: "asyncpg.Pool[asyncpg.Record]", notices: Mapping[Notice, int]) -> None:
    """Add numbers of requests, all or nothing. Raises one of `AWAY` or `asyncpg.PostgresError`."""
    if not notices:
        return
    rows = [(n.sha256, n.workspace, n.hint, n.origin, n.kind, requests) for n, requests in notices.items()]
    async with pool.acquire() as connection, connection.transaction():
        written = await connection.fetch(WRITE, *map(list, zip(*rows, strict=True)))
        for workspace, hint in sorted({(row["workspace_id"], row["key_hint"]) for row in written}):
            await connection.execute(MAKE_ROOM, workspace, hint)


async def write_arrivals(
    pool: "asyncpg.Pool[asyncpg.Record]", arrived: Mapping[tuple[str, str], Sequence[str]]
) -> None:
    """Put the ids of events before the ones that are kept, the newest first, by workspace and key. An id with a line break is left out."""
    by_key = {of: [each for each in ids if "\n" not in each] for of, ids in arrived.items()}
    rows = [(workspace, hint, "\n".join(ids)) for (workspace, hint), ids in by_key.items() if ids]
    if rows:
        await pool.execute(ARRIVE, *map(list, zip(*rows, strict=True)))


async def read_collect_keys(connection: Any, workspace: str) -> list[dict[str, Any]]:
    """The collect keys of a workspace as the JSON answer shows them, with the latest events that web pages sent with each."""
    return [
        {
            "name": row["hint"], "origins": row["origins"], "revoked": row["revoked"], "events": row["event_ids"],
            "last_seen": None if row["last_us"] is None else to_rfc3339(row["last_us"]),
        }
        for row in await connection.fetch(KEYS, workspace)
    ]  # fmt: skip


async def read_notices(connection: Any, workspace: str) -> list[dict[str, Any]]:
    """The notices of a workspace, the latest first, as the JSON answer shows them. `key` is the key's first characters.

    That pages may not use a key is left out if they may by now.
    """
    return [
        {
            "notice": row["notice"], "key": row["key_hint"] or None, "origin": row["origin"] or None, "requests": row["requests"],
            "first_seen": to_rfc3339(row["first_us"]), "last_seen": to_rfc3339(row["last_us"]),
        }
        for row in await connection.fetch(READ, workspace)
        if not (row["notice"] == "origin_not_allowed" and row["in_force"] and allows(row["origins"], row["origin"]))
    ]  # fmt: skip


def kept_origin(origin: str) -> str:
    """An origin as the table stores it: cut, and without characters that PostgreSQL refuses in text."""
    return origin[:ORIGIN_CHARACTERS_MAX].replace("\0", "\N{REPLACEMENT CHARACTER}").encode(errors="replace").decode()
