"""`/v1/identifiers`: which identifier joins improbably many others?"""

from typing import Any

from fastapi import APIRouter, Request, Response

from services.api import parameters as takes
from services.api.requests import Api, answer, read_request
from shared.reading.identifiers import FIRST_PAGE, joined_identifiers
from shared.reading.limits import JOINED_DEFAULT, JOINED_MAX, JOINED_MIN
from shared.web.problems import Problem


def routes(api: Api) -> APIRouter:
    """The route of this file."""
    router = APIRouter(prefix="/v1/identifiers", tags=["contacts"])

    @router.get("", openapi_extra=takes.read(takes.MIN_JOINED, *takes.PAGE))
    async def list_identifiers(request: Request) -> Response:
        """Identifiers that events join with at least `min_joined` others at once, most first."""
        async with read_request(api, request) as read:
            text = read.query.get("min_joined", str(JOINED_DEFAULT))
            if not text.isdecimal() or len(text) > len(str(JOINED_MAX)) or not JOINED_MIN <= int(text) <= JOINED_MAX:
                raise Problem(
                    422, "bad_parameter", f"`min_joined` must be from {JOINED_MIN} to {JOINED_MAX}, not {text[:20]!r}",
                    field="min_joined",
                )  # fmt: skip
            return answer(read, await joined_identifiers(read.snapshot, int(text), read.limit, _after(read.cursor)))

    return router


def _after(cursor: list[Any] | None) -> tuple[int, int]:
    """The key of the last identifier of the page before, by the cursor. Raises a 422 `Problem`."""
    match cursor:
        case None:
            return FIRST_PAGE
        case [int(joined), int(identifier)]:
            return joined, identifier
        case _:
            raise Problem(422, "bad_parameter", "`cursor` is of another list", field="cursor")
