"""What do the webhooks of the mail services (SendGrid, Mailgun, Postmark) have in common?

The age of a signature, and the answer.
"""

import re
import time
from collections.abc import Sequence
from typing import Any

import orjson
from fastapi import Response

from services.ingest.ingest import Ingest
from services.ingest.producers.messages import MessageOutcomes, take
from services.ingest.producers.openapi import answered
from shared.access.accounts import Account
from shared.access.keys import Access
from shared.events.limits import EVENTS_PER_REQUEST_MAX
from shared.events.refusal import Refusal
from shared.producers.message import Message
from shared.web.problems import Problem

SECONDS = re.compile(r"[0-9]{1,12}\Z")
FUTURE_S = 300  # clocks differ; a call is not signed long before it is sent


async def account_of(ingest: Ingest, producer: str, account: str) -> tuple[Access, Account]:
    """The account of a webhook's URL, and the access that a call has once its signature is checked. Raises a 401 `Problem`."""
    found = await ingest.accounts.find(producer, account, time.monotonic())
    if found is None:
        detail = f"no workspace has this account: `touchline producers connect {producer} --account NAME` connects one"
        raise Problem(401, "account_not_connected", detail)
    return Access(found.workspace, "server", producer), found


def check_age(at_s: int, old_s: int) -> None:
    """Raise a 401 `Problem` if a call was signed more than `old_s` seconds ago, or more than `FUTURE_S` seconds from now."""
    age_s = int(time.time()) - at_s
    if not -FUTURE_S <= age_s <= old_s:
        detail = f"signed {abs(age_s)} s {'ago' if age_s > 0 else 'from now'}; at most {old_s} s ago and {FUTURE_S} s from now are taken"
        raise Problem(401, "signature_expired", detail)


def signed_at(timestamp: str) -> int:
    """The time of a signature in seconds since 1970. Raises a 401 `Problem` if the text is none."""
    if not SECONDS.match(timestamp):
        raise Problem(
            401, "bad_timestamp", "the timestamp of the signature must be whole seconds since 1970-01-01T00:00:00Z"
        )
    return int(timestamp)


def forged(detail: str) -> Problem:
    """The 401 `Problem` for a wrong signature: the sender does not know the secret, or the stored secret is another."""
    return Problem(401, "bad_signature", detail)


async def answer(ingest: Ingest, access: Access, producer: str, messages: Sequence[Message]) -> Response:
    """Take all messages of a call; answer 200 when all of them are durable, the refused ones as dead letters.

    Raises `LogUnavailable` or one of `AWAY`. The answer is 503 then, and the mail service sends the whole call again.
    """
    taken = MessageOutcomes()
    for begin in range(0, len(messages), EVENTS_PER_REQUEST_MAX):
        some = await take(ingest, access, producer, messages[begin : begin + EVENTS_PER_REQUEST_MAX])
        taken.mapped += some.mapped
        taken.unmapped += some.unmapped
        taken.refused += [_at(begin, refusal) for refusal in some.refused]
        taken.position = some.position or taken.position
    position = None if taken.position is None else ingest.positions.write(access.workspace, taken.position)
    refused = [
        {"index": r.index, "id": r.id, "code": r.code, "field": r.field, "message": r.message} for r in taken.refused
    ]
    body = {"mapped": taken.mapped, "unmapped": taken.unmapped, "refused": refused, "position": position}
    return Response(orjson.dumps(body), media_type="application/json")


SIGNED = "account_not_connected, unsigned, bad_timestamp, signature_expired, bad_signature, bad_secret"
POSITION_FIELD = {"position": {"type": ["string", "null"], "description": "for `after`; null if nothing was appended"}}


def document(
    says: str, kind: str = "object", headers: Sequence[dict[str, Any]] = (), refusals: dict[int, str] | None = None
) -> dict[str, Any]:
    """What the OpenAPI document says of a route: the request body, the headers, the answers, the problems by status."""
    schema: dict[str, Any] = {"type": kind, "description": says}
    if kind == "array":
        schema["items"] = {"type": "object"}
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "parameters": list(headers),
        "responses": answered(POSITION_FIELD, {413: "too_large, too_many_events", **(refusals or {401: SIGNED})}),
    }


def _at(begin: int, refusal: Refusal) -> Refusal:
    return Refusal(begin + refusal.index, refusal.id, refusal.code, refusal.field, refusal.message)
