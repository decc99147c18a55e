"""Which identifier is joined with more others than one person has?

A contact has an id and one or two e-mail addresses. An id that events name together with five addresses is a word that names nobody, a
shop's till, or a shared address; all these different people are one contact until the events are retracted.
"""

from typing import Any

from shared.projection.sql import sql
from shared.reading.cursors import encode_cursor
from shared.reading.limits import JOINED_MAX, JOINED_MIN, LIMIT_MAX
from shared.reading.snapshot import Snapshot

FIRST_PAGE = (JOINED_MAX, -(2**63))

JOINED = sql(f"""
SELECT i.identifier, i.text, i.is_email, i.joined, c.name FROM {{g}}.identifier i
JOIN {{g}}.contact c ON c.ws = $1 AND c.contact = i.contact
WHERE i.ws = $1 AND i.joined >= {JOINED_MIN} AND i.joined >= $2 AND i.joined <= $3
    AND (i.joined < $3 OR i.identifier > $4)
ORDER BY i.joined DESC, i.identifier LIMIT $5
""")  # a page, after one that joins $3 and has the key $4


async def joined_identifiers(
    snapshot: Snapshot, min_joined: int, limit: int, after: tuple[int, int] = FIRST_PAGE
) -> dict[str, Any]:
    """A page of at most `limit` identifiers that events join with `min_joined` others or more, most first; and its cursor.

    `after` is the key of the last item of the page before: with how many it is joined, and the identifier's key.
    """
    assert limit <= LIMIT_MAX
    rows = await snapshot.fetch(JOINED, min_joined, *after, limit + 1)
    more, rows = len(rows) > limit, rows[:limit]
    items = [
        {"identifier": row["text"], "kind": "email" if row["is_email"] else "id", "joined": row["joined"],
         "contact": row["name"]} for row in rows
    ]  # fmt: skip
    last = rows[-1] if more else None
    return {"items": items, "next_cursor": last and encode_cursor([last["joined"], last["identifier"]])}
