"""`/v1/events`: the newest events, and for each: what did it count for, and why not for more?"""

from typing import Any

from fastapi import APIRouter, Request, Response

from services.api import parameters as takes
from services.api.etags import DependsOn
from services.api.requests import Api, ReadRequest, answer, read_request
from shared.log.port import Position
from shared.reading.cursors import encode_cursor
from shared.reading.explain import explain_event
from shared.reading.recent_events import recent_events
from shared.web.problems import Problem

NO_LATER = 2**63 - 1  # the offset before which a first page begins


def routes(api: Api) -> APIRouter:
    """The routes of this file."""
    router = APIRouter(prefix="/v1/events", tags=["events"])

    @router.get("", openapi_extra=takes.read(takes.AFTER_RECEIVED, *takes.PAGE))
    async def list_events(request: Request) -> Response:
        """The events as they were projected, the latest received first: what each counts for now, or why it does not count.

        With `after_received`, only those that were received after that position, such as the `as_of` of an earlier answer.
        """
        async with read_request(api, request) as read:
            since = _offset(api, read, "after_received", read.query.get("after_received"), -1)
            before = _offset(api, read, "cursor", _position(read.cursor), NO_LATER)
            events = await recent_events(read.snapshot, since, before, read.limit + 1)
            shown, cursor = events[: read.limit], None
            if len(events) > read.limit:
                last = Position(read.snapshot.as_of.partition, shown[-1].offset)
                cursor = encode_cursor([api.positions.write(read.snapshot.workspace, last)])
            return answer(read, {"items": [one.as_json() for one in shown], "next_cursor": cursor})

    @router.get("/{event_id:id}/explain", openapi_extra=takes.read())
    async def get_explain(event_id: str, request: Request) -> Response:
        """What the event counted for, in which campaigns, and why not in others."""
        async with read_request(api, request, depends_on=DependsOn.MORE) as read:
            return answer(read, await explain_event(read.snapshot, event_id))

    return router


def _position(cursor: list[Any] | None) -> str | None:
    """The position in a cursor of this list: a plain offset would reveal how much other workspaces send. Raises a 422 `Problem`."""
    match cursor:
        case None:
            return None
        case [str(position)]:
            return position
        case _:
            raise Problem(422, "bad_parameter", "`cursor` is of another list", field="cursor")


def _offset(api: Api, read: ReadRequest, name: str, text: str | None, absent: int) -> int:
    """The offset of a position that a parameter holds. Raises a 422 `Problem`."""
    if text is None:
        return absent
    try:
        position = api.positions.read(read.snapshot.workspace, text)
    except ValueError as error:
        raise Problem(422, "bad_parameter", str(error), field=name) from error
    if position.partition != read.snapshot.as_of.partition or position.offset > NO_LATER:
        raise Problem(422, "bad_parameter", f"`{name}` is a position of another workspace", field=name)
    return position.offset
