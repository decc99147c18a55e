"""What do the events of SendGrid's Event Webhook mean?

A call holds an array of events; each has an id of its own (`sg_event_id`), by which it counts once however often it is sent.
What is deferred will be delivered or bounce; what is dropped never left. Neither counts. A spam report is none of our events,
nor is a subscription that begins again: they are kept as sent.
"""

from collections.abc import Mapping
from typing import Any

from shared.events.registry import KeyClass
from shared.producers import mail
from shared.producers.mail import KEPT, Format, Reading
from shared.producers.message import Message
from shared.rules.settings import Producers

PRODUCER = "sendgrid"

MEANS: dict[str, str | None] = {
    "processed": "email_sent",
    "delivered": "email_delivered",
    "open": "email_opened",
    "click": "email_clicked",
    "bounce": "email_bounced",
    "unsubscribe": "email_unsubscribed",
    "group_unsubscribe": "email_unsubscribed",
    "group_resubscribe": KEPT,
    "spamreport": KEPT,
    "deferred": None,
    "dropped": None,
}
CAMPAIGNS = ("marketing_campaign_id", "singlesend_id", "mc_auto_id")  # of older and newer Marketing Campaigns
ARGUMENTS = ("unique_args", "custom_args")  # mostly they stand beside SendGrid's own fields instead


def messages(body: bytes, producers: Producers) -> list[Message]:
    """The messages of a call. Raises `BadRequest` where there are too many."""
    return mail.messages(body, FORMAT, producers.mail_asset_from)


def read(sent: bytes, producers: Producers, _key: KeyClass = "server", _received_us: int = 0) -> Message:
    """Read again what was kept: one event of a call. Never raises."""
    return mail.message(sent, FORMAT, producers.mail_asset_from)


def is_mapped(name: str, producers: Producers) -> bool:
    """Whether messages of this name, if they were unmapped when they came, may be mapped now."""
    return mail.may_be_mapped(MEANS.get(name), producers.mail_asset_from)


def _name(message: Mapping[str, Any]) -> str:
    return mail.name_of(message, "event")


def _read(message: Mapping[str, Any], name: str) -> Reading:
    type_ = MEANS.get(name, KEPT)
    event_id = mail.event_id(PRODUCER, message.get("sg_event_id") or message)
    if type_ is None or type_ == KEPT:
        return Reading(event_id, mail.from_seconds(message) if "timestamp" in message else None, type_)
    fields: dict[str, Any] = {"contact": {"email": mail.needed(message, "email")}}
    if type_ in ("email_opened", "email_clicked"):
        fields |= mail.agent_of(mail.text_of(message, "useragent"))
    if type_ == "email_clicked":
        fields |= mail.url_of(mail.text_of(message, "url"))
    if type_ == "email_opened" and message.get("sg_machine_open") in (True, "true"):
        fields["machine"] = True
    return Reading(event_id, mail.from_seconds(message), type_, fields, _assets(message))


def _assets(message: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    campaigns = tuple(text for name in CAMPAIGNS for text in mail.texts(message.get(name)))
    places = {"category": mail.texts(message.get("category")), "campaign": campaigns}
    return {**mail.arguments(message, *(message.get(name) for name in ARGUMENTS)), **places}


FORMAT = Format(_name, _read)
