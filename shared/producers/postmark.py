"""What do Postmark's webhooks mean?

A call holds one message, whose kind is its `RecordType`. Most have no id, so a digest of what they are about is theirs. Postmark does
not tell that an email was sent. The text of an email that bounced or was complained about is not kept.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from shared.events.registry import KeyClass
from shared.producers import mail
from shared.producers.mail import KEPT, Format, Reading
from shared.producers.message import Message
from shared.rules.settings import Producers

PRODUCER = "postmark"

INSTANTS = {
    "Delivery": "DeliveredAt",
    "Bounce": "BouncedAt",
    "SpamComplaint": "BouncedAt",
    "Open": "ReceivedAt",
    "Click": "ReceivedAt",
    "SubscriptionChange": "ChangedAt",
}
MEANS = {
    "Delivery": "email_delivered",
    "Bounce": "email_bounced",
    "SpamComplaint": KEPT,
    "Open": "email_opened",
    "Click": "email_clicked",
    "SubscriptionChange": "email_unsubscribed",
}
NO_FAILURE = frozenset(  # kinds of bounce that are answers to an email which arrived, or are about none of ours
    {"AutoResponder", "AddressChange", "ChallengeVerification", "Subscribe", "OpenRelayTest", "InboundError"}
)
BY_THE_CONTACT = ("ManualSuppression", "Recipient")  # SuppressionReason and Origin of an unsubscription
TEXT_OF_THE_EMAIL = "Content"

_encode = msgspec.json.Encoder().encode


def messages(body: bytes, producers: Producers) -> list[Message]:
    """The one message of a call."""
    return [_kept(message) for message in mail.messages(body, FORMAT, producers.mail_asset_from)]


def read(sent: bytes, producers: Producers, _key: KeyClass = "server", _received_us: int = 0) -> Message:
    """Read again what was kept: one message. Never raises."""
    return _kept(mail.message(sent, FORMAT, producers.mail_asset_from))


def is_mapped(name: str, producers: Producers) -> bool:
    """Whether messages of this name, if they were unmapped when they came, may be mapped now."""
    return mail.may_be_mapped(MEANS.get(name), producers.mail_asset_from)


def _kept(message: Message) -> Message:
    """The message without the text of its email."""
    if TEXT_OF_THE_EMAIL.encode() not in message.sent or message.name not in MEANS:
        return message
    fields = msgspec.json.decode(message.sent)
    fields.pop(TEXT_OF_THE_EMAIL, None)
    return Message(message.name, _encode(fields), message.means)


def _name(message: Mapping[str, Any]) -> str:
    return mail.name_of(message, "RecordType")


def _read(message: Mapping[str, Any], name: str) -> Reading:
    if name not in MEANS:
        return Reading(mail.event_id(PRODUCER, message), None, KEPT)
    occurred_at = mail.from_iso(message, INSTANTS[name])
    recipient = mail.text_of(message, "Recipient") or mail.needed(message, "Email")
    about = (message.get(field) for field in ("MessageID", "ID", "OriginalLink", "SuppressSending"))
    event_id = mail.event_id(PRODUCER, name, recipient, occurred_at, *about)
    type_ = _type_of(message, name)
    if type_ is None or type_ == KEPT:
        return Reading(event_id, occurred_at, type_)
    fields: dict[str, Any] = {"contact": {"email": recipient}}
    if type_ in ("email_opened", "email_clicked"):
        fields |= mail.agent_of(mail.text_of(message, "UserAgent"))
    if type_ == "email_clicked":
        fields |= mail.url_of(mail.text_of(message, "OriginalLink"))
    return Reading(event_id, occurred_at, type_, fields, _assets(message))


def _type_of(message: Mapping[str, Any], name: str) -> str | None:
    """The event that a message means by what it says of its kind."""
    if name == "Bounce":
        kind = mail.text_of(message, "Type")
        if kind in NO_FAILURE:
            return None
        return {"Unsubscribe": "email_unsubscribed", "SpamComplaint": KEPT}.get(kind or "", "email_bounced")
    if name == "SubscriptionChange":
        if message.get("SuppressSending") is not True:
            return KEPT
        origin = (message.get("SuppressionReason"), message.get("Origin"))
        return (
            "email_unsubscribed" if origin == BY_THE_CONTACT else None
        )  # bounces and complaints have messages of their own
    return MEANS[name]


def _assets(message: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    return {**mail.arguments(message.get("Metadata")), "category": mail.texts(message.get("Tag"))}


FORMAT = Format(_name, _read)
