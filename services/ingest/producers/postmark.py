"""`POST /postmark/v1/webhooks`: Postmark's webhooks.

They are not signed: a call carries a server key in HTTP Basic or in a header.
"""

import time

from fastapi import APIRouter, Request, Response

from services.ingest.events import too_large_counted
from services.ingest.ingest import Ingest
from services.ingest.producers.mail import answer, document
from shared.events.limits import REQUEST_BYTES_SERVER_MAX
from shared.events.refusal import BadRequest
from shared.producers.postmark import PRODUCER, messages
from shared.web.access import allow
from shared.web.body import receive
from shared.web.problems import Problem


def routes(ingest: Ingest) -> APIRouter:
    """The route of this file."""
    router = APIRouter()

    @router.post(
        "/postmark/v1/webhooks",
        tags=["producers"],
        openapi_extra=document("a message of Postmark", refusals={401: "unauthorized", 403: "forbidden"}),
    )
    async def post_message(request: Request) -> Response:
        """Take a call of Postmark's webhooks, with a server key as the user name.

        200: its message is mapped, or kept as unmapped or as a dead letter.
        """
        access = await allow(request, ingest.keys, "server")
        with too_large_counted(ingest, access, PRODUCER):
            body = await receive(request, REQUEST_BYTES_SERVER_MAX)
        producers = (await ingest.accepting.of(access.workspace, time.monotonic())).producers
        try:
            read = messages(body, producers)
        except BadRequest as error:
            raise Problem(413, error.code, str(error)) from error
        return await answer(ingest, access, PRODUCER, read)

    return router
