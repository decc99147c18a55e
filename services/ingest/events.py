"""`POST /v1/events`: read the events of a request, check each, and append the good ones to the log."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import orjson
from fastapi import APIRouter, Request, Response

from services.ingest import metrics
from services.ingest.cors import allow_collecting, origin_of
from services.ingest.ingest import Ingest
from services.ingest.refused_events import keep
from services.ingest.visitor_cookie import ASKED, cookie_of
from shared.access.keys import Access
from shared.compressed import BROKEN, TooLarge, unpacked
from shared.events.codec import (
    BadRequest,
    KeyClass,
    Record,
    Refusal,
    Sent,
    encode_event,
    encode_record,
    read_request,
    with_sent_at,
)
from shared.events.limits import REQUEST_BYTES_MAX, REQUEST_BYTES_SERVER_MAX
from shared.events.types import Event
from shared.log.port import Position
from shared.rules.acceptance import accept
from shared.store.producer_counts import Outcome
from shared.web.access import IN_URL
from shared.web.body import receive, too_large
from shared.web.direct import Direct
from shared.web.headers import header
from shared.web.parameters import Parameter, declared
from shared.web.problems import Problem

# How counts of messages name what is sent to this route. The name beside it is the key's first characters.
PRODUCER = "events"
TOO_LARGE = 413  # the status for a body that is too large, as it came or decompressed
NDJSON_TYPES = ("application/x-ndjson", "application/ndjson", "application/jsonl")
EXAMPLE = {"type": "page_visited", "visitor_id": "v1", "url": "https://shop.example/?utm_campaign=spring"}


def routes(ingest: Ingest) -> APIRouter:
    """The route of this file."""
    router = APIRouter(route_class=Direct)

    @router.post("/v1/events", status_code=202, tags=["ingest"], openapi_extra=document())
    async def post_events(request: Request) -> Response:
        """Send events: one, an array, `{"events": […]}`, or NDJSON.

        Valid events are accepted even if others in the request are refused. The type `text/plain` is read as JSON.
        """
        access = await allow_collecting(ingest, request)
        ingest.limits.check_key(access)
        key: KeyClass = "server" if access.scope == "server" else "collect"
        bytes_max = REQUEST_BYTES_SERVER_MAX if key == "server" else REQUEST_BYTES_MAX
        user_agent = header(request.scope, b"user-agent") if key == "collect" else None
        body = b""
        try:
            body = await receive(request, bytes_max)
            sent = _events_of(request, body, bytes_max)
        except Problem as problem:
            count_too_large(ingest, access, problem)
            raise
        except UnreadableBody as error:
            if error.kept:
                refusal = Refusal(0, None, error.code, None, str(error))
                await keep(ingest.pool, access, [(refusal, body)], user_agent)
            count(ingest, access, 0, [error.code])
            raise Problem(error.status, error.code, str(error)) from error
        accepting = await ingest.accepting.of(access.workspace, time.monotonic())
        now_us = time.time_ns() // 1000
        records: list[Record] = []
        refused: list[tuple[Refusal, bytes]] = []
        for index, part in enumerate(sent.parts):
            outcome = accept(
                part, index, key, now_us, user_agent, access.hint, nobody=accepting.nobody, sent_at_us=sent.sent_at_us,
                forgets=ingest.forgets,
            )  # fmt: skip
            outcome = ingest.limits.bounded(access, outcome, index, addresses=accepting.addresses)
            if isinstance(outcome, Record):
                records.append(outcome)
            else:
                refused.append((outcome, with_sent_at(part, sent.sent_at_us)))
        if refused:
            await keep(ingest.pool, access, refused, user_agent)
        response = await answer(ingest, access, records, [refusal for refusal, _ in refused])
        if key == "collect" and origin_of(request) is not None:
            _of_page(ingest, access, request, records, response)
        return response

    return router


async def answer(ingest: Ingest, access: Access, records: list[Record], refused: list[Refusal]) -> Response:
    """Append the records; answer 202 when they are durable. Raises a 422 `Problem` if there is none, or `LogUnavailable`."""
    rejected = [{"index": r.index, "id": r.id, "code": r.code, "field": r.field, "message": r.message} for r in refused]
    if not records:
        count(ingest, access, 0, [refusal.code for refusal in refused])
        raise Problem(422, "no_valid_event", "none of the events was accepted", accepted=0, rejected=rejected)
    position = await append(ingest, access.workspace, records)
    count(ingest, access, len(records), [refusal.code for refusal in refused])
    position_text = ingest.positions.write(access.workspace, position)
    body = {"accepted": len(records), "position": position_text, "rejected": rejected}
    return Response(orjson.dumps(body), status_code=202, media_type="application/json")


def count(ingest: Ingest, access: Access, accepted: int, refused: Sequence[str], producer: str = PRODUCER) -> None:
    """Add to the counts of a key: how many events were accepted, and one for each code of a refusal."""
    ingest.limits.spend(access, accepted + len(refused))
    counts: dict[Outcome, int] = (
        Counter(Outcome(producer, access.hint, "refused", code) for code in refused) if refused else {}
    )
    if accepted:
        counts[Outcome(producer, access.hint, "mapped")] = accepted
    ingest.counts.add(access.workspace, counts)


@contextmanager
def too_large_counted(ingest: Ingest, access: Access, producer: str = PRODUCER) -> Iterator[None]:
    """Count a body that is refused because it is too large. The 413 `Problem` is raised again."""
    try:
        yield
    except Problem as problem:
        count_too_large(ingest, access, problem, producer)
        raise


def count_too_large(ingest: Ingest, access: Access, problem: Problem, producer: str = PRODUCER) -> None:
    """Count a refusal if it is that of a body which is too large."""
    if problem.status == TOO_LARGE:
        count(ingest, access, 0, [problem.code], producer)


async def append(ingest: Ingest, workspace: str, records: list[Record]) -> Position:
    """Append records to the log; answers the position after them when they are durable. Raises `LogUnavailable`."""
    position = await ingest.log.append(workspace, list(map(encode_record, records)))
    metrics.ACCEPTED.inc(len(records))
    return position


async def append_event(ingest: Ingest, workspace: str, event: Event) -> Position:
    """Append an event that the service itself makes, as if a server key had sent it.

    Raises a 422 `Problem` or `LogUnavailable`.
    """
    outcome = accept(encode_event(event), 0, "server", time.time_ns() // 1000, None)
    if isinstance(outcome, Refusal):
        raise Problem(422, outcome.code, outcome.message, field=outcome.field)
    return await append(ingest, workspace, [outcome])


def _of_page(ingest: Ingest, access: Access, request: Request, records: list[Record], response: Response) -> None:
    """Note what a web page sent, and set its visitor's cookie in the answer if the page asks for it."""
    ingest.notices.arrived(access, records)
    if b"c=" in request.scope["query_string"] and (cookie := cookie_of(request, [record.event for record in records])):
        response.headers["Set-Cookie"] = cookie


class UnreadableBody(BadRequest):
    """A request body that cannot be split into events. `kept`: the whole body is kept as one dead letter."""

    def __init__(self, status: int, code: Any, message: str, *, kept: bool) -> None:
        super().__init__(code, message)
        self.status, self.kept = status, kept


def _events_of(request: Request, sent: bytes, bytes_max: int) -> Sent:
    """Decompress a body and split it into events. Raises `UnreadableBody`, or a 413 or 415 `Problem`."""
    encoding = (header(request.scope, b"content-encoding") or "identity").strip().lower()
    if encoding in ("gzip", "zstd"):
        try:
            body = unpacked(sent, encoding, bytes_max)
        except TooLarge as error:
            raise too_large(bytes_max) from error
        except BROKEN as error:
            message = f"the body is not valid {encoding}, or not all of it: {error}"
            raise UnreadableBody(400, "bad_encoding", message, kept=True) from error
    elif encoding in ("identity", ""):
        body = sent
    else:
        raise Problem(415, "unsupported_encoding", f"content-encoding {encoding!r}; gzip and zstd are understood")
    content_type = (header(request.scope, b"content-type") or "").partition(";")[0].strip().lower()
    try:
        return read_request(body, ndjson=content_type in NDJSON_TYPES)
    except BadRequest as error:
        status = 413 if error.code == "too_many_events" else 422
        raise UnreadableBody(
            status, error.code, str(error), kept=error.code == "not_json" and bool(body.strip())
        ) from error


PARAMETERS = (
    Parameter(IN_URL, "a collect key, which is public; every other key is sent as `Authorization: Bearer KEY`"),
    Parameter(ASKED, "1: set the cookie of a new visitor, if this service is of the same site as the page", {"type": "string", "enum": ["1"]}),
)  # fmt: skip


def document() -> dict[str, Any]:
    """What the OpenAPI document says of the route."""
    return {**declared(*PARAMETERS), "requestBody": request_body()}


def request_body() -> dict[str, Any]:
    """What the OpenAPI document says of the request body; the schemas of the events are its components."""
    one = {"$ref": "#/components/schemas/Event"}
    batch = {
        "type": "object", "required": ["events"],
        "properties": {
            "events": {"type": "array", "items": one, "description": "the events"},
            "sent_at": {"type": "string", "format": "date-time", "description": "the sender's clock when it sent the request"},
        },
    }  # fmt: skip
    return {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"anyOf": [one, {"type": "array", "items": one}, batch]},
                "example": EXAMPLE,
            },
            "application/x-ndjson": {
                "schema": {"type": "string", "format": "binary", "description": "an event a line"}
            },
            "text/plain": {
                "schema": {"type": "string", "description": "JSON as above, as `navigator.sendBeacon` sends it"}
            },
        },
    }


def event_schemas() -> dict[str, Any]:
    """The JSON Schema of every event type by its name, and `Event`, which is any of them: components of the OpenAPI document."""
    (union,), schemas = msgspec.json.schema_components((Event,), ref_template="#/components/schemas/{name}")
    return {**schemas, "Event": union}
