"""`POST /v1/contact-tokens`, and what a token means in the URL of a pixel or a redirect."""

import datetime as dt
import time
from typing import Annotated, Any

import msgspec
import orjson
from fastapi import APIRouter, Request, Response
from starlette.datastructures import QueryParams

from services.ingest.ingest import Ingest
from shared.access.contact_tokens import BadToken, mint
from shared.access.keys import Access
from shared.events.codec import Record, Refusal, encode_event
from shared.events.emails import normalised_email
from shared.events.instants import SECOND_US, to_micros, to_rfc3339
from shared.events.limits import EVENTS_PER_REQUEST_MAX, REQUEST_BYTES_MAX, TEXT_CHARACTERS_MAX
from shared.events.types import Contact, EmailOpened, Event, Instant, PageVisited
from shared.rules.acceptance import accept
from shared.web.access import allow
from shared.web.body import receive
from shared.web.parameters import check, declared
from shared.web.problems import Problem

IN_QUERY = "c"
END_OF_TIME_US = to_micros(dt.datetime.max.replace(tzinfo=dt.UTC))  # of what can be written as a date


class _Wanted(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a call. Each contact is read by itself, so that a bad one is refused alone."""

    contacts: Annotated[list[msgspec.Raw], msgspec.Meta(min_length=1, max_length=EVENTS_PER_REQUEST_MAX)]
    expires_at: Instant | None = None


def routes(ingest: Ingest) -> APIRouter:
    """The route of this file."""
    router = APIRouter()

    @router.post("/v1/contact-tokens", tags=["ingest"], openapi_extra=_document())
    async def post_contact_tokens(request: Request) -> Response:
        """Mint tokens for up to 1,000 contacts. Each has its own result; one that is refused does not hinder the others.

        A token stands in the URL of an e-mail's picture or link. It shows nobody who the contact is.
        """
        access = await allow(request, ingest.keys, "server")
        check(request)
        wanted, expires_s = _read(await receive(request, REQUEST_BYTES_MAX), time.time_ns() // 1000)
        nobody = (await ingest.accepting.of(access.workspace, time.monotonic())).nobody
        key = await ingest.contact_tokens.key_of(access.workspace)
        items: list[dict[str, Any]] = []
        for index, raw in enumerate(wanted.contacts):
            contact = _contact(raw, index, nobody)
            if isinstance(contact, Refusal):
                problem = {"code": contact.code, "field": contact.field, "message": contact.message}
                items.append({"index": index, **problem})
            else:
                token = mint(key, access.workspace, contact, expires_s)
                items.append({"index": index, "contact": msgspec.to_builtins(contact), "token": token})
        expires_at = None if expires_s is None else to_rfc3339(expires_s * SECOND_US)
        refused = any("code" in item for item in items)
        body = orjson.dumps({"items": items, "expires_at": expires_at})
        return Response(body, 207 if refused else 200, media_type="application/json")

    return router


def _read(body: bytes, now_us: int) -> tuple[_Wanted, int | None]:
    """The body, and when the tokens expire, in seconds since 1970. Raises a 400 or 422 `Problem`."""
    try:
        wanted = msgspec.json.decode(body, type=_Wanted)
    except msgspec.ValidationError as error:
        raise Problem(422, "bad_value", str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(400, "not_json", f"the body is not JSON: {error}") from error
    if wanted.expires_at is None:
        return wanted, None
    expires_us = to_micros(wanted.expires_at)
    if expires_us <= now_us:
        raise Problem(422, "bad_value", "the tokens would have expired already", field="expires_at")
    if expires_us > END_OF_TIME_US:
        raise Problem(422, "bad_value", "this is after the year 9999 in UTC", field="expires_at")
    return wanted, expires_us // SECOND_US


def _contact(raw: msgspec.Raw, index: int, nobody: frozenset[str]) -> Contact | Refusal:
    """A contact object, checked as that of an event and normalised."""
    event = b'{"type":"email_opened","asset_id":"a","contact":' + bytes(raw) + b"}"
    outcome = accept(event, index, "server", time.time_ns() // 1000, None, nobody=nobody)
    if isinstance(outcome, Refusal):
        return outcome
    contact = msgspec.json.decode(bytes(raw), type=Contact)
    return Contact(id=contact.id, email=None if contact.email is None else normalised_email(contact.email))


async def by_token(ingest: Ingest, access: Access, request: Request, now_us: int) -> Record | Refusal | None:
    """The event that a pixel with a contact token means, as a record of the log; None if the pixel has nothing to do with tokens.

    Such an event names its contact on the word of the server key that minted the token, so it is taken as if that key had sent it.
    Raises one of `AWAY`.
    """
    sent = request.query_params
    opened = sent.get("t", "page") == "open"
    if not opened and IN_QUERY not in sent:
        return None
    for name in ("a", IN_QUERY) if opened else ():
        if not sent.get(name):
            return Refusal(
                0, None, "missing_field", name, "an open names the e-mail (`a`) and the contact's token (`c`)"
            )
    contact = await contact_of(ingest, access, sent, now_us)
    if not isinstance(contact, Contact):
        return contact
    event: Event
    if opened:
        event = EmailOpened(asset_id=sent["a"], contact=contact, user_agent=agent_of(request))
    else:
        url = sent.get("u", "") or request.headers.get("referer", "")
        event = PageVisited(
            visitor_id=sent.get("v") or None, url=url, referrer=sent.get("r") or None, contact=contact,
            user_agent=agent_of(request),
        )  # fmt: skip
    return await taken(ingest, access, event, now_us)


async def contact_of(ingest: Ingest, access: Access, sent: QueryParams, now_us: int) -> Contact | Refusal | None:
    """The contact that the token in a URL names; None without one. Raises one of `AWAY`."""
    token = sent.get(IN_QUERY)
    if not token:
        return None
    try:
        return await ingest.contact_tokens.read(access.workspace, token, now_us)
    except BadToken as error:
        return Refusal(0, None, "bad_value", IN_QUERY, str(error))


async def taken(ingest: Ingest, access: Access, event: Event, now_us: int) -> Record | Refusal:
    """The record of an event that names a contact by a token."""
    nobody = (await ingest.accepting.of(access.workspace, time.monotonic())).nobody
    return accept(encode_event(event), 0, "server", now_us, None, access.hint, nobody=nobody)


def agent_of(request: Request) -> str | None:
    """The browser's or mail program's user agent, cut to what an event may have."""
    agent = request.headers.get("user-agent")
    return agent[:TEXT_CHARACTERS_MAX] if agent else None


def _document() -> dict[str, Any]:
    contact = {"$ref": "#/components/schemas/Contact"}
    schema = {
        "type": "object", "required": ["contacts"], "additionalProperties": False,
        "properties": {
            "contacts": {"type": "array", "items": contact, "minItems": 1, "maxItems": EVENTS_PER_REQUEST_MAX},
            "expires_at": {"type": "string", "format": "date-time", "description": "absent: the tokens do not expire"},
        },
    }  # fmt: skip
    extra = declared()
    extra["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return extra
