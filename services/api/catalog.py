"""`/v1/catalog/unresolved`: what do events name that nobody created, registered or claimed?"""

from typing import Any

from fastapi import APIRouter, Request, Response

from services.api import parameters as takes
from services.api.requests import Api, ReadRequest, answer, read_request
from shared.reading.unresolved import KINDS, Page, unresolved
from shared.reading.unresolved_events import EVENT_ORDER, events_naming
from shared.web.problems import Problem


def routes(api: Api) -> APIRouter:
    """The routes of this file."""
    router = APIRouter(prefix="/v1/catalog", tags=["campaigns"])

    @router.get("/unresolved", openapi_extra=takes.read(takes.UNRESOLVED_KIND, *takes.PAGE))
    async def get_unresolved(request: Request) -> Response:
        """What events name and nobody mended yet: campaigns that nobody created, assets that nobody registered, utm values with visits that
        no campaign claims, and pages with visits that no asset registered. With `kind`, a page of one of these lists; without it, the beginning of each.
        """
        async with read_request(api, request, heavy=True) as read:
            kind = read.chosen("kind", KINDS)
            if kind is not None:
                page = await _page(read, kind)
                return answer(read, {"kind": kind, "items": page.items, "next_cursor": page.next_cursor})
            if read.cursor is not None:
                raise Problem(422, "bad_parameter", "`cursor` goes with `kind`: each list has its own", field="cursor")
            pages = {each: await _page(read, each) for each in KINDS}
            body: dict[str, Any] = {each: page.items for each, page in pages.items()}
            return answer(read, {**body, "next_cursors": {each: page.next_cursor for each, page in pages.items()}})

    @router.get("/unresolved/events", openapi_extra=takes.read(takes.NAMED_KIND, takes.NAMED, *takes.PAGE))
    async def get_unresolved_events(request: Request) -> Response:
        """The events behind an entry of one of these lists, in order: those that name the campaign, or the asset, or the visits that came with
        the utm value, or of the page. Also of what has been resolved since.
        """
        async with read_request(api, request, heavy=True) as read:
            kind, name = read.choice("kind", KINDS), read.query.get("name", "")
            if not name:
                raise Problem(422, "bad_parameter", "`name` must be given: the name of what events name", field="name")
            after = read.after_key(EVENT_ORDER)
            page = read.page_of(*await events_naming(read.snapshot, kind, name, after, read.limit + 1))
            return answer(read, {"kind": kind, "name": name, **page})

    return router


async def _page(read: ReadRequest, kind: str) -> Page:
    cursor = read.cursor
    try:
        if cursor is not None and len(cursor) != 1:
            raise TypeError
        return await unresolved(read.snapshot, kind, read.limit, None if cursor is None else cursor[0])
    except TypeError as error:
        raise Problem(422, "bad_parameter", "`cursor` is of another list", field="cursor") from error
