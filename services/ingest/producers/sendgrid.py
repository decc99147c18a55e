"""`POST /sendgrid/v1/webhooks/{account}`: SendGrid's Event Webhook. It is signed with a private key; the account stores the public key.

SendGrid repeats a call for up to 24 hours, and does not say whether it signs it again. So a signature is accepted for a little longer.
A repeated call, from SendGrid or from somebody who has seen it, changes nothing: its events have ids, and each id counts once.
"""

import base64
import time

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from fastapi import APIRouter, Request, Response

from services.ingest.ingest import Ingest
from services.ingest.producers.mail import account_of, answer, check_age, document, forged, signed_at
from services.ingest.producers.openapi import header
from shared.access.public_keys import public_key
from shared.events.refusal import BadRequest
from shared.producers.sendgrid import PRODUCER, messages
from shared.web.body import receive
from shared.web.problems import Problem

SIGNATURE = "X-Twilio-Email-Event-Webhook-Signature"
TIMESTAMP = "X-Twilio-Email-Event-Webhook-Timestamp"
OLD_S = 25 * 3600  # SendGrid repeats a call for 24 hours
BODY_BYTES_MAX = 2 * 1024 * 1024  # SendGrid sends 768 KB at most

HEADERS = (
    header(SIGNATURE, "by ECDSA and SHA-256 of the timestamp and the body, in base64"),
    header(TIMESTAMP, "seconds since 1970"),
)


def routes(ingest: Ingest) -> APIRouter:
    """The route of this file."""
    router = APIRouter()

    @router.post(
        "/sendgrid/v1/webhooks/{account:id}",
        tags=["producers"],
        openapi_extra=document("events of SendGrid", "array", HEADERS),
    )
    async def post_events(request: Request, account: str) -> Response:
        """Take a call of SendGrid's Event Webhook. 200: every event is mapped, or kept as unmapped or as a dead letter."""
        access, known = await account_of(ingest, PRODUCER, account)
        signature, timestamp = request.headers.get(SIGNATURE), request.headers.get(TIMESTAMP)
        if not signature or not timestamp:
            detail = f"the headers {SIGNATURE} and {TIMESTAMP} are needed: turn on the signed event webhook"
            raise Problem(401, "unsigned", detail)
        check_age(signed_at(timestamp), OLD_S)
        body = await receive(request, BODY_BYTES_MAX)
        check_signature(known.secret, signature, timestamp, body)
        producers = (await ingest.accepting.of(access.workspace, time.monotonic())).producers
        try:
            read = messages(body, producers)
        except BadRequest as error:
            raise Problem(413, error.code, str(error)) from error
        return await answer(ingest, access, PRODUCER, read)

    return router


def check_signature(secret: str, signature: str, timestamp: str, body: bytes) -> None:
    """Raise a 401 `Problem` unless the private key of this public key made the signature of the timestamp and the body."""
    try:
        key = public_key(secret)
    except ValueError as error:
        raise Problem(
            401, "bad_secret", f"{error}: connect the account with the public key that SendGrid shows"
        ) from error
    try:
        key.verify(base64.b64decode(signature, validate=True), timestamp.encode() + body, ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError) as error:
        raise forged("the signature is not that of the account's public key for this body and timestamp") from error
