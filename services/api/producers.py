"""`/v1/producers`: what arrived from each producer, and what became of it?"""

from fastapi import APIRouter, Request, Response

from services.api import parameters as takes
from services.api.etags import DependsOn
from services.api.requests import Api, answer, read_request
from shared.store.producer_counts import read_counts


def routes(api: Api) -> APIRouter:
    """The route of this file."""
    router = APIRouter()

    @router.get("/v1/producers", tags=["operations"], openapi_extra=takes.read(*takes.LISTED))
    async def list_producers(request: Request) -> Response:
        """Each producer's messages: accepted, mapped, unmapped, refused by code, by name too; when the first and last came.

        They are counted as they arrive, so the answer is the same in every generation.
        """
        async with read_request(api, request, depends_on=DependsOn.MORE) as read:
            return answer(read, {"items": await read_counts(read.snapshot.connection.raw, read.snapshot.workspace)})

    return router
