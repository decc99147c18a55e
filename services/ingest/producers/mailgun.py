"""`POST /mailgun/v1/webhooks/{account}`: Mailgun's webhooks, signed with the account's signing key.

Mailgun signs a timestamp and a token, but not the message. Somebody who has seen a call could send another message with its signature.
So this process remembers tokens, and refuses a token that came with another message before.
"""

import hmac
import time
from collections import OrderedDict
from hashlib import sha256
from typing import Annotated

import msgspec
from fastapi import APIRouter, Request, Response

from services.ingest.ingest import Ingest
from services.ingest.producers.mail import SIGNED, account_of, answer, check_age, document, forged, signed_at
from shared.events.limits import REQUEST_BYTES_MAX
from shared.events.refusal import UNDECODABLE
from shared.producers.mailgun import PRODUCER, messages
from shared.web.body import receive
from shared.web.problems import Problem

OLD_S = 9 * 3600  # Mailgun repeats a call for 8 hours
TOKEN_CHARACTERS_MAX = 256  # Mailgun's have 50
TOKENS_MAX = 100_000  # remembered by a process, some 250 bytes each: those of about three calls a second for 9 hours


class Signature(msgspec.Struct):
    """The signature in a call: `timestamp` in seconds since 1970, a random `token`, and `signature` in hexadecimal."""

    timestamp: str | int
    token: Annotated[str, msgspec.Meta(max_length=TOKEN_CHARACTERS_MAX)]
    signature: str


class Call(msgspec.Struct):
    """The parts of a call: the signature is checked before the event is read."""

    signature: Signature
    event: msgspec.Raw = msgspec.field(name="event-data", default=msgspec.Raw(b""))


_decode = msgspec.json.Decoder(Call).decode


def routes(ingest: Ingest) -> APIRouter:
    """The route of this file."""
    router = APIRouter()
    tokens = Tokens()

    @router.post(
        "/mailgun/v1/webhooks/{account:id}",
        tags=["producers"],
        openapi_extra=document("`signature` and `event-data`", refusals={400: "not_json", 401: SIGNED}),
    )
    async def post_event(request: Request, account: str) -> Response:
        """Take a call of Mailgun's webhooks, of an account or a domain.

        200: its message is mapped, or kept as unmapped or as a dead letter.
        """
        access, known = await account_of(ingest, PRODUCER, account)
        body = await receive(request, REQUEST_BYTES_MAX)
        try:
            call = _decode(body)
        except UNDECODABLE as error:
            detail = f"the body must be JSON with `signature` and `event-data`; forms, as Mailgun sent them until 2018, are not: {error}"
            raise Problem(400, "not_json", detail) from error
        check_signature(known.secret, call.signature)
        tokens.claim(account, call)
        producers = (await ingest.accepting.of(access.workspace, time.monotonic())).producers
        return await answer(ingest, access, PRODUCER, messages(body, producers))

    return router


def check_signature(secret: str, sent: Signature) -> None:
    """Raise a 401 `Problem` unless the signing key made this signature of the timestamp and the token, and not too long ago."""
    timestamp = str(sent.timestamp)
    at_s = signed_at(timestamp)
    expected = hmac.new(secret.strip().encode(), (timestamp + sent.token).encode(), sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), sent.signature.encode()):
        raise forged("the signature is not that of the account's signing key for this timestamp and token")
    check_age(at_s, OLD_S)


class Tokens:
    """The last `TOKENS_MAX` tokens, each with the digest of the message that it came with."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str], bytes] = OrderedDict()

    def claim(self, account: str, call: Call) -> None:
        """Remember the token of a call. Raises a 401 `Problem` if it came with another message before."""
        digest = _digest(call)
        if self._seen.setdefault((account, call.signature.token), digest) != digest:
            raise forged("`signature.token` came with another message before")
        if len(self._seen) > TOKENS_MAX:
            self._seen.popitem(last=False)


def _digest(call: Call) -> bytes:
    return sha256(bytes(call.event)).digest()
