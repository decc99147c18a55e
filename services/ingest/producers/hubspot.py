"""`POST /hubspot/v1/webhooks`: did HubSpot send a call, and which workspaces do its events belong to?

HubSpot signs a call with the secret of the app that sends it. Only the body says which portals (accounts) the events are of. So the
body is read first, to find the secrets that may have signed it. The events of a portal are taken only if the secret that is stored
for this portal signed the call: somebody who knows the secret of one app cannot send events for the portals of another.
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
from services.ingest.producers.messages import take
from services.ingest.producers.openapi import answered, header
from shared.access.accounts import Account
from shared.access.keys import Access
from shared.events.refusal import BadRequest
from shared.events.split import read_request
from shared.producers.hubspot import PRODUCER, Stages, is_signed, is_timely, portal_of, read
from shared.web.body import receive
from shared.web.problems import Problem

PATH = "/hubspot/v1/webhooks"
# 100 events, which is what HubSpot sends, each with a value of 65,536 characters, which a property may have.
BODY_BYTES_MAX = 8 * 1024 * 1024
PORTALS_MAX = 100  # of a call, as many as HubSpot sends events in one
# How many stored secrets are tried on one call. It comes from one app, which has one secret, but an account may have a wrong or a former one.
SECRETS_MAX = 8
PORTALS_SHOWN_MAX = 10  # in a line of the log

logger = structlog.stdlib.get_logger("touchline.ingest")


class Signed(NamedTuple):
    """The signature of a request, and its time in milliseconds since 1970, both as the headers have them."""

    signature: str
    timestamp: str


def routes(ingest: Ingest) -> APIRouter:
    """The route of this file."""
    router = APIRouter()

    @router.post(PATH, tags=["producers"], openapi_extra=document())
    async def post_webhooks(request: Request) -> Response:
        """Take a call of HubSpot's webhooks. 200: all its events are kept, the refused ones as dead letters.

        A call must have HubSpot's signature of version 3. `PUT /v1/producers/hubspot/accounts/PORTAL` connects a portal.
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
    """The signature of a request and its time. Raises a 401 `Problem` if there is none of version 3, or if it is too old."""
    signature = request.headers.get("x-hubspot-signature-v3")
    if signature is None and "x-hubspot-signature" in request.headers:
        message = "signatures of versions 1 and 2 hold for ever and are not taken; send X-HubSpot-Signature-v3"
        raise Problem(401, "signature_version", message)
    if not signature:
        raise Problem(401, "unsigned", "the header X-HubSpot-Signature-v3 is missing")
    timestamp = request.headers.get("x-hubspot-request-timestamp", "")
    timely = is_timely(timestamp, now_ms)
    if timely is None:
        raise Problem(401, "bad_timestamp", "the header X-HubSpot-Request-Timestamp must be milliseconds since 1970")
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
    """The addresses that HubSpot may have called: the public one or, if none is configured, the one in the header `Host`.

    HubSpot always calls by https, even if a proxy passes the request on by http. `X-Forwarded-Host` is not used: anybody can set it.
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
    """Take the events of verified portals; answers what became of every event.

    An event that names no portal belongs to the workspace of the verified portals, if that is one workspace. Otherwise it is dropped,
    as are the events of portals that are not verified. Dropped events are counted in the metrics, and a log line says how many.
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
    """How many events were dropped, by reason.

    They are also counted in the metrics, and a log line reports them to the operator.
    """
    by_reason: Counter[str] = Counter()
    for (why, _), messages in dropped.items():
        by_reason[why] += messages
    for why, messages in by_reason.items():
        metrics.MESSAGES.labels(PRODUCER, why).inc(messages)
        portals = [portal for reason, portal in dropped if reason == why][:PORTALS_SHOWN_MAX]
        logger.warning("events of HubSpot were dropped", reason=why, messages=messages, portals=portals)
    return dict(by_reason)


def document() -> dict[str, Any]:
    """What the OpenAPI document says of the route: the request body, the headers, the answers."""
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
