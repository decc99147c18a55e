"""`POST /v1/preview`: what would these events change? Nothing is appended, and nothing is changed."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import asyncpg
import msgspec
import orjson
from fastapi import APIRouter, Request, Response

from services.ingest.catalog.turn import NotInTime
from services.ingest.ingest import Ingest
from shared.access.keys import Access
from shared.events.codec import Record, Refusal, decode_event, read_request
from shared.events.limits import REQUEST_BYTES_MAX
from shared.events.refusal import BadRequest
from shared.events.types import WorkspaceConfigured
from shared.reading.preview import PREVIEW_S, NotProjected, TooMuch, preview
from shared.rules.acceptance import accept
from shared.sealing.log import vault_of
from shared.sealing.reveal import revealed
from shared.web.access import allow
from shared.web.body import receive
from shared.web.parameters import check, declared
from shared.web.problems import Problem, unavailable

EVENTS_MAX = 100  # a form of the dashboard sends a few; a history is what a what-if is for
AT_ONCE_MAX = 1  # of a process: each holds the live projection of a partition
LATE = (asyncpg.LockNotAvailableError, asyncpg.QueryCanceledError, asyncpg.DeadlockDetectedError, TimeoutError)


def routes(ingest: Ingest) -> APIRouter:
    """The route of this file."""
    router = APIRouter()
    at_once = asyncio.Semaphore(AT_ONCE_MAX)

    @router.post("/v1/preview", tags=["campaigns"], openapi_extra=_document())
    async def post_preview(request: Request) -> Response:
        """What up to 100 events would change if they were sent now: the campaigns and assets that they name, and every metric of every
        campaign that would change, before and after. Takes a server or an admin key.
        """
        access = await allow(request, ingest.keys, "server", "admin")
        check(request)
        events = _read(await receive(request, REQUEST_BYTES_MAX))
        records = await _accepted(ingest, access, events)
        try:
            async with at_once:
                async with ingest.turns.take(access.workspace, access.hint):
                    pass  # everything that was accepted before is projected now
                async with asyncio.timeout(PREVIEW_S), ingest.pool.acquire() as raw:
                    answer = await preview(raw, access.workspace, ingest.log, records)
        except (NotInTime, *LATE) as error:
            raise unavailable(
                f"this cannot be previewed within {PREVIEW_S:g} s; try again later", 5, "preview_timeout"
            ) from error
        except TooMuch as error:
            raise Problem(422, "too_much", str(error)) from error
        except NotProjected as error:
            raise Problem(422, "bad_value", str(error)) from error
        answer = await revealed(vault_of(ingest.log), access.workspace, answer)
        return Response(orjson.dumps(answer), media_type="application/json")

    return router


def _read(body: bytes) -> Sequence[bytes | msgspec.Raw]:
    """The events of a body, as `POST /v1/events` takes them. Raises a 413 or 422 `Problem`."""
    try:
        sent = read_request(body, ndjson=False)
    except BadRequest as error:
        raise Problem(422, error.code, str(error)) from error
    if len(sent.parts) > EVENTS_MAX:
        raise Problem(413, "too_many_events", f"{len(sent.parts)} events; a preview takes {EVENTS_MAX} at most")
    return sent.parts


async def _accepted(ingest: Ingest, access: Access, parts: Sequence[bytes | msgspec.Raw]) -> list[Record]:
    """The records that the events would be. Raises a 422 `Problem` if one would be refused."""
    nobody = (await ingest.accepting.of(access.workspace, time.monotonic())).nobody
    now_us = time.time_ns() // 1000
    records, rejected = [], []
    for index, part in enumerate(parts):
        outcome = accept(part, index, "server", now_us, None, access.hint, nobody=nobody, forgets=ingest.forgets)
        if isinstance(outcome, Refusal):
            refused = {"index": index, "id": outcome.id, "code": outcome.code, "field": outcome.field}
            rejected.append({**refused, "message": outcome.message})
        elif isinstance(decode_event(bytes(outcome.event)), WorkspaceConfigured):
            message = "settings concern all of history: `touchline replay what-if` shows what they would change"
            rejected.append(
                {"index": index, "id": outcome.id, "code": "bad_value", "field": "type", "message": message}
            )
        else:
            records.append(outcome)
    if rejected or not records:
        raise Problem(422, "no_valid_event", "these events would be refused", rejected=rejected)
    return records


def _document() -> dict[str, Any]:
    event = {"$ref": "#/components/schemas/Event"}
    schema = {
        "type": "object", "required": ["events"],
        "properties": {"events": {
            "type": "array", "items": event, "minItems": 1, "maxItems": EVENTS_MAX, "description": "the events that would be sent",
        }},
    }  # fmt: skip
    extra = declared()
    extra["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return extra
