"""What is a message of an outside producer, and what can it become?

Each file of this folder reads one producer's messages. It does no I/O and applies no rule: it only translates messages into our
events. The receiver (`services.ingest.producers`, an import) checks these events like those of any other sender.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from shared.events.refusal import Code

EventJson = Mapping[str, Any]
"""One of our events as it is sent: a JSON object with `type`, and an `id` that the same message always has."""


@dataclass(frozen=True, slots=True)
class Unmapped:
    """The message has no mapping. The event that stores it as sent has this `id`, `occurred_at` and `sent_at`."""

    id: str | None
    occurred_at: str | None = None
    sent_at: str | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The message is not valid. `field` is the place of the error, the message says what was expected."""

    code: Code
    field: str | None
    message: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One message and its events. `name` is the producer's name of such messages, under which they are counted.

    `sent` is the message as JSON, which is stored if the message is refused or unmapped. A tuple of events may be empty: the
    message is known, and becomes no event.
    """

    name: str
    sent: bytes
    means: tuple[EventJson, ...] | Unmapped | Unreadable


def events_of(producer: str, message: Message) -> Sequence[EventJson]:
    """The events to append: those that a message becomes, or the one that stores it unmapped. It must not be `Unreadable`."""
    means = message.means
    assert not isinstance(means, Unreadable)
    if not isinstance(means, Unmapped):
        return means
    envelope = {"id": means.id, "occurred_at": means.occurred_at, "sent_at": means.sent_at}
    kept = {"producer": producer, "name": message.name, "body": msgspec.Raw(message.sent)}
    return [{"type": "unmapped_event", **{name: value for name, value in envelope.items() if value}, **kept}]
