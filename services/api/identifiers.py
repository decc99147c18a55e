"""`/v1/identifiers`: which identifier joins improbably many others?

A contact has an id and an e-mail or two. An id that events told beside five e-mails is a word that names nobody, a shop's till, or a
shared address; all its strangers are one contact until the events are retracted.
"""

from typing import Any

from fastapi import APIRouter, Request, Response

from services.api import parameters as takes
from services.api.bounds import JOINED_DEFAULT, JOINED_MAX, JOINED_MIN, LIMIT_MAX
from services.api.reading import Api, Reading, answer, encode_cursor, reading
from shared.projection.sql import sql
from shared.web.problems import Problem

JOINED = sql(f"""
SELECT i.identifier, i.text, i.is_email, i.joined, c.name FROM {{g}}.identifier i
JOIN {{g}}.contact c ON c.ws = $1 AND c.contact = i.contact
WHERE i.ws = $1 AND i.joined >= {JOINED_MIN} AND i.joined >= $2 AND i.joined <= $3
    AND (i.joined < $3 OR i.identifier > $4)
ORDER BY i.joined DESC, i.identifier LIMIT $5
""")  # a page, after one that joins $3 and has the key $4


def routes(api: Api) -> APIRouter:
    """The route of this file."""
    router = APIRouter(prefix="/v1/identifiers", tags=["contacts"])

    @router.get("", openapi_extra=takes.read(takes.MIN_JOINED, *takes.PAGE))
    async def list_identifiers(request: Request) -> Response:
        """Identifiers that events join with at least `min_joined` others at once, most first."""
        async with reading(api, request) as read:
            text = read.query.get("min_joined", str(JOINED_DEFAULT))
            if not text.isdecimal() or len(text) > len(str(JOINED_MAX)) or not JOINED_MIN <= int(text) <= JOINED_MAX:
                raise Problem(
                    422, "bad_parameter", f"`min_joined` must be from {JOINED_MIN} to {JOINED_MAX}, not {text[:20]!r}",
                    field="min_joined",
                )  # fmt: skip
            return answer(read, await joined_identifiers(read, int(text), read.limit, read.cursor))

    return router


async def joined_identifiers(
    read: Reading, min_joined: int, limit: int, cursor: list[Any] | None = None
) -> dict[str, Any]:
    """A page of at most `limit` identifiers that are joined with `min_joined` others or more, and where the next begins.

    Raises a 422 `Problem` for a cursor of another list.
    """
    assert limit <= LIMIT_MAX
    rows = await read.fetch(JOINED, min_joined, *_after(cursor), limit + 1)
    more, rows = len(rows) > limit, rows[:limit]
    items = [
        {"identifier": row["text"], "kind": "email" if row["is_email"] else "id", "joined": row["joined"],
         "contact": row["name"]} for row in rows
    ]  # fmt: skip
    last = rows[-1] if more else None
    return {"items": items, "next_cursor": last and encode_cursor([last["joined"], last["identifier"]])}


def _after(cursor: list[Any] | None) -> tuple[int, int]:
    match cursor:
        case None:
            return JOINED_MAX, -(2**63)
        case [int(joined), int(identifier)]:
            return joined, identifier
        case _:
            raise Problem(422, "bad_parameter", "`cursor` is of another list", field="cursor")
