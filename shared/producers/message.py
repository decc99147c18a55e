"""What is a message of an outside producer, and what can become of it?

A file of this folder reads one producer's messages. It does no I/O and decides nothing that a rule decides: it says the same in
our words. Who takes messages in (`services.ingest.producers`, an import) checks the events like those of anybody else.
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
    """No mapping takes the message. The event that keeps it as it was sent has this `id`, `occurred_at` and `sent_at`."""

    id: str | None
    occurred_at: str | None = None
    sent_at: str | None = None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The message cannot be what it says it is. `field` is where, the message says what was expected."""

    code: Code
    field: str | None
    message: str
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One message and what it means. `name` is what the producer calls such messages: they are counted by it.

    `sent` is the message as JSON, to be kept where it is refused or unmapped. A tuple of events may be empty: the message is
    understood, and says nothing that counts.
    """

    name: str
    sent: bytes
    means: tuple[EventJson, ...] | Unmapped | Unreadable


def events_of(producer: str, message: Message) -> Sequence[EventJson]:
    """The events to append: those that a message means, or the one that keeps it as it is. It must not be `Unreadable`."""
    means = message.means
    assert not isinstance(means, Unreadable)
    if not isinstance(means, Unmapped):
        return means
    envelope = {"id": means.id, "occurred_at": means.occurred_at, "sent_at": means.sent_at}
    kept = {"producer": producer, "name": message.name, "body": msgspec.Raw(message.sent)}
    return [{"type": "unmapped_event", **{name: told for name, told in envelope.items() if told}, **kept}]
