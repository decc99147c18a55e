"""What do Mailgun's webhooks mean?

A call holds one event, `event-data`, beside its signature. Mailgun's ids are those of a day, so the instant is part of ours. A
failure that is not permanent is tried again, and what Mailgun suppressed never left: neither counts. A complaint is none of our
events: it is kept as sent.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from shared.events.refusal import UNDECODABLE
from shared.events.registry import KeyClass
from shared.producers import mail
from shared.producers.mail import KEPT, Format, Reading
from shared.producers.message import Message, Unreadable
from shared.rules.settings import Producers

PRODUCER = "mailgun"
EVENT = "event-data"

MEANS: dict[str, str | None] = {
    "accepted": "email_sent",
    "delivered": "email_delivered",
    "opened": "email_opened",
    "clicked": "email_clicked",
    "failed": "email_bounced",
    "unsubscribed": "email_unsubscribed",
    "complained": KEPT,
    "rejected": None,
}
SUPPRESSED = "suppress-"  # a reason of a failure that begins so: the address was on a list, nothing was sent

_decode_call = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def messages(body: bytes, producers: Producers) -> list[Message]:
    """The one message of a call: its `event-data`. The signature, which differs each time that it is sent, is no part of it."""
    try:
        event = _decode_call(body)[EVENT]
    except (KeyError, *UNDECODABLE):
        wrong = Unreadable("missing_field", EVENT, f"the body must be a JSON object that holds `{EVENT}`")
        return [Message(mail.NAMELESS, body, wrong)]
    return [mail.message(bytes(event), FORMAT, producers.mail_asset_from)]


def read(sent: bytes, producers: Producers, _key: KeyClass = "server", _received_us: int = 0) -> Message:
    """Read again what was kept: the `event-data` of a call. Never raises."""
    return mail.message(sent, FORMAT, producers.mail_asset_from)


def is_mapped(name: str, producers: Producers) -> bool:
    """Whether messages of this name, if they were unmapped when they came, may be mapped now."""
    return mail.may_be_mapped(MEANS.get(name), producers.mail_asset_from)


def _name(message: Mapping[str, Any]) -> str:
    return mail.name_of(message, "event")


def _read(message: Mapping[str, Any], name: str) -> Reading:
    type_ = MEANS.get(name, KEPT)
    if name == "failed" and _not_final(message):
        type_ = None
    occurred_at = mail.from_seconds(message) if "timestamp" in message or type_ not in (None, KEPT) else None
    own_id = message.get("id")
    event_id = mail.event_id(PRODUCER, f"{own_id}:{occurred_at}") if own_id else mail.event_id(PRODUCER, message)
    if type_ is None or type_ == KEPT:
        return Reading(event_id, occurred_at, type_)
    fields: dict[str, Any] = {"contact": {"email": mail.needed(message, "recipient")}}
    if type_ in ("email_opened", "email_clicked"):
        client = mail.object_of(message, "client-info")
        fields |= mail.agent_of(mail.text_of(client, "user-agent"))
        if client.get("bot"):  # apple, gmail, generic
            fields["machine"] = True
    if type_ == "email_clicked":
        fields |= mail.url_of(mail.text_of(message, "url"))
    return Reading(event_id, occurred_at, type_, fields, _assets(message))


def _not_final(message: Mapping[str, Any]) -> bool:
    """Whether a failure is tried again, or was none because nothing was sent."""
    reason = message.get("reason")
    return message.get("severity") == "temporary" or (isinstance(reason, str) and reason.startswith(SUPPRESSED))


def _assets(message: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    campaigns = message.get("campaigns")
    listed = campaigns if isinstance(campaigns, list) else []
    ids = tuple(text for each in listed if isinstance(each, dict) for text in mail.texts(each.get("id")))
    places = {"category": mail.texts(message.get("tags")), "campaign": ids}
    return {**mail.arguments(message.get("user-variables")), **places}


FORMAT = Format(_name, _read)
