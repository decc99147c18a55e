"""`/v1/producers`: what arrived from each producer, and what became of it?"""

from hashlib import blake2b

import orjson
from fastapi import APIRouter, Request, Response

from services.api import parameters as takes
from services.api.reading import Api, answer, reading
from shared.store.producer_counts import read_counts


def routes(api: Api) -> APIRouter:
    """The route of this file."""
    router = APIRouter()

    @router.get("/v1/producers", tags=["operations"], openapi_extra=takes.read())
    async def list_producers(request: Request) -> Response:
        """Each producer's messages: accepted, mapped, unmapped, refused by code, by name too; when the first and last came.

        They are counted as they arrive, so the answer is the same in every generation.
        """
        async with reading(api, request) as read:
            items = await read_counts(read.connection.raw, read.workspace)
            response = answer(read, {"items": items})
            # Messages that are refused move no position, and the answer changes all the same.
            digest = blake2b(orjson.dumps(items), digest_size=8).hexdigest()
            response.headers["ETag"] = f'{response.headers["ETag"][:-1]}/{digest}"'
            return response

    return router
