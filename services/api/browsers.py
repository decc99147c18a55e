"""`/v1/browsers`: what did web pages send with the workspace's collect keys, and what was refused to them?"""

from fastapi import APIRouter, Request, Response

from services.api import parameters as takes
from services.api.etags import DependsOn
from services.api.requests import Api, answer, read_request
from shared.store.browser_notices import read_collect_keys, read_notices


def routes(api: Api) -> APIRouter:
    """The route of this file."""
    router = APIRouter()

    @router.get("/v1/browsers", tags=["operations"], openapi_extra=takes.read())
    async def browsers(request: Request) -> Response:
        """The collect keys with the ids of the latest events that web pages sent with each, and why pages sent none.

        Ids and notices are written within a second of the request, so the answer is the same in every generation.
        """
        async with read_request(api, request, depends_on=DependsOn.MORE) as read:
            connection, workspace = read.snapshot.connection.raw, read.snapshot.workspace
            body = {
                "keys": await read_collect_keys(connection, workspace),
                "notices": await read_notices(connection, workspace),
            }
            return answer(read, body)

    return router
