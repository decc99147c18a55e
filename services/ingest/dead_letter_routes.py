"""`/v1/dead-letters`: the events of a workspace that were refused and kept, and sending them again or deleting them."""

from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from services.ingest.dead_letters import DeadLetter, drop_letters, find_letters, list_letters, retry_letter
from services.ingest.ingest import Ingest
from shared.access.keys import Access
from shared.events.instants import to_rfc3339
from shared.web.access import allow
from shared.web.parameters import Parameter, check, declared
from shared.web.problems import Problem

PATH, ONE = "/v1/dead-letters", "/v1/dead-letters/{number}"
LIMIT_DEFAULT, LIMIT_MAX = 50, 200  # a letter has up to 32 KiB
DIGITS_MAX = 18  # numbers of dead letters have 63 bits
REASON = Parameter("reason", "only dead letters of this reason", {"type": "string", "examples": ["missing_field"]})
LIMIT = Parameter("limit", "how many items a page has at most", {"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT})  # fmt: skip
CURSOR = Parameter("cursor", "the `next_cursor` of the page before")


def routes(ingest: Ingest) -> APIRouter:
    """The routes of this file. All take an admin key, for a dead letter is shown as it was sent."""
    router = APIRouter()

    @router.get(PATH, tags=["operations"], openapi_extra=declared(REASON, LIMIT, CURSOR))
    async def get_letters(request: Request) -> Response:
        """The dead letters of the workspace, the oldest first, each with the reason, what is wrong, and the body as it was sent."""
        access = await allow(request, ingest.keys, "admin")
        check(request)
        parameters = request.query_params
        limit = _whole(parameters.get("limit", str(LIMIT_DEFAULT)), "limit")
        if not 1 <= limit <= LIMIT_MAX:
            raise Problem(422, "bad_parameter", f"`limit` must be from 1 to {LIMIT_MAX}", field="limit")
        reason = parameters.get("reason")
        if reason is not None and "\0" in reason:
            raise Problem(422, "bad_parameter", "no reason has the character U+0000", field="reason")
        after = _whole(parameters.get("cursor", "0"), "cursor")
        letters = await list_letters(ingest.pool, access.workspace, reason, after, limit + 1)
        cursor = str(letters[limit - 1].number) if len(letters) > limit else None
        return _json({"items": [_shown(letter) for letter in letters[:limit]], "next_cursor": cursor})

    @router.post(ONE + "/retry", tags=["operations"], openapi_extra=declared())
    async def post_retry(number: str, request: Request) -> Response:
        """Check a dead letter again as this release does, and append it to the log as of when it was received. If it is refused again,
        that is 409 `refused_again`, and it stays.
        """
        access = await allow(request, ingest.keys, "admin")
        check(request)
        letter = await _letter(ingest, access, number)
        outcome = await retry_letter(ingest.pool, ingest.log, letter)
        if isinstance(outcome, str):
            raise Problem(409, "refused_again", outcome)
        return _json({"position": ingest.positions.write(access.workspace, outcome)})

    @router.delete(ONE, tags=["operations"], status_code=204, openapi_extra=declared())
    async def delete_letter(number: str, request: Request) -> Response:
        """Delete a dead letter for ever."""
        access = await allow(request, ingest.keys, "admin")
        check(request)
        letter = await _letter(ingest, access, number)
        await drop_letters(ingest.pool, access.workspace, [letter.number])
        return Response(status_code=204)

    return router


def _whole(text: str, name: str) -> int:
    """A whole number that a parameter holds. Raises a 422 `Problem`."""
    if not (text.isascii() and text.isdecimal()) or len(text) > DIGITS_MAX:
        raise Problem(422, "bad_parameter", f"`{name}` is a whole number, not {text[:40]!r}", field=name)
    return int(text)


async def _letter(ingest: Ingest, access: Access, number: str) -> DeadLetter:
    """The dead letter of a number. Raises a 404 `Problem`."""
    known = number.isascii() and number.isdecimal() and len(number) <= DIGITS_MAX
    letters = await find_letters(ingest.pool, access.workspace, [int(number)]) if known else []
    if not letters:
        raise Problem(404, "not_found", f"there is no dead letter {number[:40]!r}")
    return letters[0]


def _shown(letter: DeadLetter) -> dict[str, Any]:
    return {
        "number": letter.number, "reason": letter.reason, "detail": letter.detail, "event_id": letter.event_id, "key": letter.key_hint,
        "producer": letter.producer, "received_at": to_rfc3339(letter.received_us), "body": letter.body.decode(errors="replace"),
    }  # fmt: skip


def _json(body: dict[str, Any]) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")
