"""`POST /hubspot/v1/webhooks`: is a call HubSpot's, and whose are its events?

HubSpot signs a call with the secret of the app that sends it, and says in the body alone which portals (accounts) its events are
of. So the body is read first to learn which secrets it may be signed with, and believed of a portal only where the secret that
is stored for this portal is the one that signed it: who knows one app's secret tells nothing of the portals of another.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import orjson
import structlog
from fastapi import APIRouter, Request, Response

from services.ingest import metrics
from services.ingest.ingest import Ingest
from services.ingest.producers.openapi import answered, header
from services.ingest.producers.taking import take
from shared.access.accounts import Account
from shared.access.keys import Access
from shared.events.refusal import BadRequest
from shared.events.split import read_request
from shared.producers.hubspot import PRODUCER, Stages, is_signed, is_timely, portal_of, read
from shared.web.body import receive
from shared.web.problems import Problem

PATH = "/hubspot/v1/webhooks"
BODY_BYTES_MAX = (
    8 * 1024 * 1024
)  # HubSpot's 100 events, each with a value of the 65,536 characters that a property may have
PORTALS_MAX = 100  # of a call, as many as HubSpot sends events in one
SECRETS_MAX = (
    8  # tried on a call: it is of one app, which has one secret; one may be stored wrongly, or be a former one
)
PORTALS_SHOWN_MAX = 10  # in a line of the log

logger = structlog.stdlib.get_logger("touchline.ingest")


class Signed(NamedTuple):
    """What a request says to show whose it is."""

    signature: str
    timestamp: str


def routes(ingest: Ingest) -> APIRouter:
    """The route of this file."""
    router = APIRouter()

    @router.post(PATH, tags=["producers"], openapi_extra=document())
    async def post_webhooks(request: Request) -> Response:
        """Take the events of HubSpot's webhooks. 200 says that all of them are kept, those that are refused among them.

        A call is signed by HubSpot's signature of version 3; portals are connected by `PUT /v1/producers/hubspot/accounts/PORTAL`.
        """
        signed = _signed(request, time.time_ns() // 1_000_000)
        body = await receive(request, BODY_BYTES_MAX)
        try:
            parts = [bytes(part) for part in read_request(body, ndjson=False).parts]
        except BadRequest as error:
            raise Problem(413 if error.code == "too_many_events" else 400, error.code, str(error)) from error
        portals = [portal_of(part) for part in parts]
        named = [portal for portal in dict.fromkeys(portals) if portal is not None][:PORTALS_MAX]
        accounts = await ingest.accounts.find_all(PRODUCER, named, time.monotonic())
        if not accounts:
            logger.info("a call of HubSpot names no connected portal", portals=named[:PORTALS_SHOWN_MAX])
            raise Problem(401, "account_not_connected", "none of the portals that the events name is connected here")
        verified = _verified(request, ingest.public_url, accounts, signed, body)
        if not verified:
            logger.info("a call of HubSpot has a wrong signature", portals=list(accounts)[:PORTALS_SHOWN_MAX])
            raise Problem(401, "bad_signature", BAD_SIGNATURE)
        answer = await _take(ingest, parts, portals, accounts, verified)
        return Response(orjson.dumps(answer), media_type="application/json")

    return router


BAD_SIGNATURE = (
    "the signature is not that of this address and body by the secret of a portal that the events name. Behind a proxy the "
    "address is what TOUCHLINE_PUBLIC_URL says; the secret is the app's client secret"
)


def _signed(request: Request, now_ms: int) -> Signed:
    """The signature and its time. Raises a 401 `Problem` where there is none of version 3, or none of now."""
    signature = request.headers.get("x-hubspot-signature-v3")
    if signature is None and "x-hubspot-signature" in request.headers:
        message = "signatures of versions 1 and 2 hold for ever and are not taken; send X-HubSpot-Signature-v3"
        raise Problem(401, "signature_version", message)
    if not signature:
        raise Problem(401, "unsigned", "the header X-HubSpot-Signature-v3 is missing")
    timestamp = request.headers.get("x-hubspot-request-timestamp", "")
    timely = is_timely(timestamp, now_ms)
    if timely is None:
        raise Problem(401, "bad_timestamp", "the header X-HubSpot-Request-Timestamp must tell milliseconds since 1970")
    if not timely:
        raise Problem(
            401, "signature_expired", "the signature was made more than 5 minutes ago, or ahead, by this clock"
        )
    return Signed(signature, timestamp)


def _verified(
    request: Request, public_url: str | None, accounts: Mapping[str, Account], signed: Signed, body: bytes
) -> set[str]:
    """The portals whose secret signed the call."""
    addresses = _addresses(request, public_url)
    for secret in list(dict.fromkeys(account.secret for account in accounts.values()))[:SECRETS_MAX]:
        for address in addresses:
            if is_signed(signed.signature, secret, request.method, address, body, signed.timestamp):
                return {portal for portal, account in accounts.items() if account.secret == secret}
    return set()


def _addresses(request: Request, public_url: str | None) -> Sequence[str]:
    """By which addresses HubSpot may have called: the public one or, where none is set, the one that `Host` tells.

    HubSpot calls by https alone, also where a proxy in between ends it. `X-Forwarded-Host` is not heeded.
    """
    path = request.scope.get("raw_path") or request.scope["path"].encode()
    query = request.scope["query_string"]
    target = (path + (b"?" + query if query else b"")).decode("latin-1")
    if public_url is not None:
        return [public_url + target]
    host = request.headers.get("host", "")
    return [f"{scheme}://{host}{target}" for scheme in dict.fromkeys(("https", request.scope["scheme"]))]


async def _take(
    ingest: Ingest, parts: Sequence[bytes], portals: Sequence[str | None], accounts: Mapping[str, Account], verified: set[str]
) -> dict[str, Any]:  # fmt: skip
    """Take in what verified portals tell; what became of every event, for the answer.

    What names no portal is the workspace's that all verified ones belong to. Where that is not one workspace it is nobody's, and
    counted in the log and the metrics alone, as are the events of other portals.
    """
    workspaces = {accounts[portal].workspace for portal in verified}
    sole = next(iter(workspaces)) if len(workspaces) == 1 else None
    places: dict[str, list[int]] = defaultdict(list)
    dropped: Counter[tuple[str, str | None]] = Counter()
    for index, portal in enumerate(portals):
        workspace = accounts[portal].workspace if portal in verified else sole if portal is None else None
        if workspace is not None:
            places[workspace].append(index)
        else:
            why = "no_account" if portal is None else "not_verified" if portal in accounts else "not_connected"
            dropped[why, portal] += 1
    answer: dict[str, Any] = {"mapped": 0, "unmapped": 0, "refused": [], "dropped": _dropped(dropped)}
    for workspace, indexes in places.items():
        stages = Stages.of((await ingest.accepting.of(workspace, time.monotonic())).producers)
        messages = [read(parts[index], stages) for index in indexes]
        taken = await take(ingest, Access(workspace, "server", PRODUCER), PRODUCER, messages)
        answer["mapped"] += taken.mapped
        answer["unmapped"] += taken.unmapped
        answer["refused"] += [
            {"index": indexes[r.index], "code": r.code, "field": r.field, "message": r.message} for r in taken.refused
        ]
    return answer


def _dropped(dropped: "Counter[tuple[str, str | None]]") -> dict[str, int]:
    """How many events belong to no workspace, by why; told in the log and the metrics as well, where their operator looks."""
    by_reason: Counter[str] = Counter()
    for (why, _), messages in dropped.items():
        by_reason[why] += messages
    for why, messages in by_reason.items():
        metrics.MESSAGES.labels(PRODUCER, why).inc(messages)
        portals = [portal for reason, portal in dropped if reason == why][:PORTALS_SHOWN_MAX]
        logger.warning("events of HubSpot were dropped", reason=why, messages=messages, portals=portals)
    return dict(by_reason)


def document() -> dict[str, Any]:
    """What OpenAPI says of the route: the request body, the headers, the answers."""
    event = {
        "type": "object", "required": ["portalId", "occurredAt", "subscriptionType"],
        "properties": {
            "portalId": {"type": "integer"}, "occurredAt": {"type": "integer", "description": "milliseconds since 1970"},
            "subscriptionType": {"type": "string", "description": "such as deal.propertyChange"}, "objectId": {"type": "integer"},
        },
        "description": "an event as HubSpot documents it",
    }  # fmt: skip
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"type": "array", "items": event}}},
        },
        "parameters": [
            header("X-HubSpot-Signature-v3", "by HMAC-SHA256 of method, address, body and timestamp, in base64"),
            header("X-HubSpot-Request-Timestamp", "milliseconds since 1970"),
        ],
        "responses": answered(
            {"dropped": {"type": "object", "additionalProperties": {"type": "integer"}, "description": "events, by reason"}},
            {
                400: "not_json, no_events", 413: "too_large, too_many_events",
                401: "unsigned, signature_version, bad_timestamp, signature_expired, account_not_connected, bad_signature",
            },
        ),
    }  # fmt: skip
