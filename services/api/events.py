"""`/v1/events/{id}/explain`: what did this event count for, and why not for more?"""

from fastapi import APIRouter, Request, Response

from services.api import parameters as takes
from services.api.requests import Api, answer, read_request
from services.api.validators import DependsOn
from shared.reading.explain import explain_event


def routes(api: Api) -> APIRouter:
    """The route of this file."""
    router = APIRouter(prefix="/v1/events", tags=["events"])

    @router.get("/{event_id:id}/explain", openapi_extra=takes.read())
    async def get_explain(event_id: str, request: Request) -> Response:
        """What the event counted for, in which campaigns, and why not in others."""
        async with read_request(api, request, depends_on=DependsOn.MORE) as read:
            return answer(read, await explain_event(read.snapshot, event_id))

    return router
