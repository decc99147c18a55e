"""`/segment/v1/…`: Segment's HTTP API, for Segment's SDKs and others that speak it.

The write key is a collect or server key.
"""

import time
from collections import Counter
from typing import Annotated
from urllib.parse import urlsplit

import orjson
import structlog
from fastapi import APIRouter, Path, Request, Response

from services.ingest.cors import check_origin, keep_from_browsers, note_invalid
from services.ingest.ingest import Ingest
from services.ingest.limits import not_limited
from services.ingest.producers.messages import take
from services.ingest.producers.openapi import problems, success
from services.ingest.refused_events import keep
from shared.access.keys import KEY_FORM, Access
from shared.compressed import BROKEN, TooLarge, unpacked
from shared.events.codec import KeyClass, Refusal, uuid7
from shared.events.limits import SEGMENT_BATCH_BYTES_MAX
from shared.events.refusal import BadRequest
from shared.producers import segment
from shared.producers.segment_body import message_of, read_body
from shared.store.producer_counts import Outcome
from shared.web.access import IN_URL, IN_URL_SAYS, key_of
from shared.web.body import receive
from shared.web.head import is_head
from shared.web.problems import Problem

CALLS = {
    **{call: call for call in segment.CALLS}, "batch": None, "import": None,
    "t": "track", "p": "page", "s": "screen", "i": "identify", "a": "alias", "g": "group", "b": None,
}  # fmt: skip
"""The type of the messages by the last part of the path, which is a name or the browser SDK's letter.

None: each message names its own.
"""

Call = Annotated[str, Path(json_schema_extra={"enum": list(CALLS)})]
BODY = "(body)"  # the name by which a body without messages is counted
# Of a request as it comes: base64 in a form is longer than the JSON in it.
SENT_BYTES_MAX = 2 * SEGMENT_BATCH_BYTES_MAX
GZIP = b"\x1f\x8b"
SUCCESS = orjson.dumps({"success": True})
ALLOWED = "POST, HEAD, OPTIONS"

logger = structlog.stdlib.get_logger("touchline.ingest")


def routes(ingest: Ingest) -> APIRouter:
    """The routes of this file."""
    router = APIRouter()

    @router.post("/segment/v1/m", tags=["segment"])
    async def metrics(request: Request) -> Response:
        """Take the measurements that the browser SDK sends about itself. They are not kept."""
        try:
            await _received(request)
        except BadRequest as error:
            raise _bad(error) from error
        return _done()

    @router.post("/segment/v1/{call}", tags=["segment"], openapi_extra=document())
    async def post(call: Call, request: Request) -> Response:
        """Take a call of Segment's API, or a batch. 200: everything is durable, refused messages as dead letters."""
        if call not in CALLS:
            raise Problem(404, "not_found", f"there is no call {call[:50]!r}; there are {', '.join(CALLS)}")
        if IN_URL in request.query_params:
            raise Problem(401, "key_in_url", IN_URL_SAYS, field=IN_URL, message=IN_URL_SAYS)
        access = await _allowed(ingest, request, key_of(request))
        sent = b""
        try:
            sent = await _received(request)
            body = read_body(_plain(request, sent), batch=CALLS[call] is None)
        except BadRequest as error:
            if access is not None:
                await _unreadable(ingest, access, sent, error)
            raise _bad(error) from error
        if access is None:
            access = await _allowed(ingest, request, body.key)
        if access is None:
            raise _no_key("no write key: send it as the user name of HTTP Basic, or as `writeKey` in the body")
        ingest.limits.check_key(access)
        key: KeyClass = "server" if access.scope == "server" else "collect"
        now_us = time.time_ns() // 1_000
        producers = (await ingest.accepting.of(access.workspace, time.monotonic())).producers
        messages = [
            segment.not_too_large(
                segment.read(
                    message_of(raw, body.batch_fields, CALLS[call], lambda: uuid7(now_us)), producers, key, now_us
                ),
                len(bytes(raw)),
            )
            for raw in body.messages
        ]
        agent = request.headers.get("user-agent") if key == "collect" else None
        await take(ingest, access, segment.PRODUCER, messages, agent, now_us=now_us)
        return _done()

    @router.get("/segment/v1/projects/{write_key}/settings", tags=["segment"])
    async def settings(write_key: str, request: Request) -> Response:
        """The settings that the browser SDK asks its CDN for: the address that it sends to, and no further code to load."""
        await _check_public(ingest, request, write_key)
        return Response(
            orjson.dumps(settings_document(write_key, request, ingest.public_url)),
            media_type="application/json",
            headers=_CACHED,
        )

    @router.get("/segment/v1/{call}", include_in_schema=False)
    async def asked(call: str, request: Request) -> Response:
        """Answer HEAD, by which some SDKs ask whether the server runs, and refuse GET."""
        if call not in (*CALLS, "m"):
            raise Problem(404, "not_found", f"there is no call {call[:50]!r}; there are {', '.join(CALLS)}")
        if is_head(request):
            return _done()
        raise Problem(405, "method_not_allowed", "messages are sent by POST", headers={"Allow": ALLOWED})

    @router.options("/segment/v1/{call}", include_in_schema=False)
    async def options(call: str) -> Response:
        """Name the allowed methods. A browser's preflight request is answered before (`services.ingest.cors`)."""
        if call not in (*CALLS, "m"):
            raise Problem(404, "not_found", f"there is no call {call[:50]!r}; there are {', '.join(CALLS)}")
        return Response(status_code=204, headers={"Allow": ALLOWED})

    return router


_CACHED = {"Cache-Control": "private, max-age=60"}


def _done() -> Response:
    return Response(SUCCESS, media_type="application/json")


def _no_key(message: str) -> Problem:
    return Problem(
        401, "unauthorized", message, headers={"WWW-Authenticate": 'Basic realm="touchline"'}, message=message
    )


async def _allowed(ingest: Ingest, request: Request, key: str | None) -> Access | None:
    """The access that a write key gives; None if there is no key, or if the text has not the form of a key.

    Raises a 401 or 403 `Problem`.
    """
    if key is None or not KEY_FORM.match(key):
        return None
    access = await ingest.keys.find(key, time.monotonic())
    if access is None:
        note_invalid(ingest, request, key)
        raise _no_key("this write key is unknown, or was revoked")
    if access.scope != "collect":
        keep_from_browsers(request)
    if access.scope not in ("collect", "server"):
        message = f"a {access.scope} key cannot send; a write key is a collect or server key"
        raise Problem(403, "forbidden", message, message=message)
    if access.scope == "server":
        not_limited(request.scope)
    if access.scope == "server" and "origin" in request.headers:
        message = "a server key is a secret and must not be used in a browser: revoke it, and use a collect key there"
        raise Problem(403, "secret_key_in_browser", message, message=message)
    check_origin(ingest, access, request)
    return access


async def _check_public(ingest: Ingest, request: Request, write_key: str) -> None:
    """Raise a 404 or 401 `Problem` if the write key in a URL is no collect key."""
    access = await ingest.keys.find(write_key, time.monotonic()) if KEY_FORM.match(write_key) else None
    if access is None:
        raise Problem(404, "not_found", "there is no collect key of this name")
    if access.scope != "collect":
        keep_from_browsers(request)
        raise Problem(
            401, "key_in_url", f"a {access.scope} key is a secret and must not be used in a browser: use a collect key"
        )


async def _received(request: Request) -> bytes:
    """The body as it came. Raises `BadRequest` if it is longer than any that is taken."""
    try:
        return await receive(request, SENT_BYTES_MAX)
    except Problem as problem:
        if problem.status != 413:
            raise
        raise BadRequest("too_large", f"a request has {SENT_BYTES_MAX:,} bytes at most") from problem


def _bad(error: BadRequest) -> Problem:
    """The 400 `Problem` for a bad body; Segment has no other status for it."""
    return Problem(400, error.code, str(error), message=str(error))


def _plain(request: Request, sent: bytes) -> bytes:
    """The body decompressed, if it is compressed: gzip is recognised by its first bytes, for some SDKs send no header.

    Raises `BadRequest`.
    """
    declared = request.headers.get("content-encoding", "").strip().lower()
    encoding = "gzip" if sent[:2] == GZIP else "zstd" if declared == "zstd" else None
    if encoding is None:
        if declared not in ("", "identity", "gzip"):
            raise BadRequest("bad_encoding", f"content-encoding {declared[:50]!r}; gzip and zstd are understood")
        return sent
    try:
        return unpacked(sent, encoding, SENT_BYTES_MAX)
    except TooLarge as error:
        raise BadRequest(
            "too_large", f"a batch has {SEGMENT_BATCH_BYTES_MAX:,} bytes at most, after decompression"
        ) from error
    except BROKEN as error:
        raise BadRequest("bad_encoding", f"the body is not valid {encoding}, or not all of it: {error}") from error


async def _unreadable(ingest: Ingest, access: Access, sent: bytes, error: BadRequest) -> None:
    """Count a body that cannot be split into messages. If it is no JSON or cannot be decompressed, keep it as a dead letter."""
    if error.code in ("not_json", "bad_encoding") and sent.strip():
        letter = (Refusal(0, None, error.code, None, str(error)), sent)
        await keep(ingest.pool, access, [letter], None, producer=segment.PRODUCER)
    ingest.counts.add(access.workspace, Counter({Outcome(segment.PRODUCER, BODY, "refused", error.code): 1}))


def settings_document(write_key: str, request: Request, public_url: str | None) -> dict[str, object]:
    """The settings for the SDK `@segment/analytics-next`: it sends to `public_url` (None: to the address of this request)."""
    address = urlsplit(public_url or str(request.base_url).rstrip("/"))
    host = address.netloc + address.path
    sending = {"apiKey": write_key, "apiHost": f"{host}/segment/v1", "protocol": address.scheme}
    return {
        "integrations": {
            "Segment.io": {**sending, "unbundledIntegrations": [], "addBundledMetadata": False, "versionSettings": {}}
        },
        "plan": {"track": {"__default": {"enabled": True, "integrations": {}}}},
        "edgeFunction": {},
        "analyticsNextEnabled": True,
        "middlewareSettings": {},
        "enabledMiddleware": {},
        "metrics": {"sampleRate": 0, "host": f"{host}/segment/v1"},
        "legacyVideoPluginsEnabled": False,
        "remotePlugins": [],
    }


def document() -> dict[str, object]:
    """What the OpenAPI document says of a call: the request body, the answers."""
    message = {
        "type": "object",
        "description": "a message, or for `batch` and `import` an object with the list `batch`",
    }
    refusals = {
        400: "not_json, bad_encoding, too_large, too_many_events, missing_field", 401: "unauthorized, key_in_url",
        403: "forbidden, secret_key_in_browser", 404: "not_found",
    }  # fmt: skip
    done = {"type": "object", "properties": {"success": {"type": "boolean"}}}
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": message}}},
        "responses": {"200": success(done), **problems(refusals)},
    }
