"""How is a stored message (a dead letter that is retried, an unmapped event) read again? By its producer's reading."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from shared.events.registry import KeyClass
from shared.producers import hubspot, mailgun, postmark, segment, sendgrid
from shared.producers.message import Message
from shared.rules.settings import Producers


class Reading(NamedTuple):
    """How one producer's messages read.

    `read` takes a message as it was kept, the workspace's settings, the class of the key that sent it, and when it was received;
    it never raises. `is_mapped` says whether messages that are counted by a name are mapped now.
    """

    read: Callable[[bytes, Producers, KeyClass, int], Message]
    is_mapped: Callable[[str, Producers], bool]


READINGS: Mapping[str, Reading] = {
    segment.PRODUCER: Reading(segment.read, segment.is_mapped),
    hubspot.PRODUCER: Reading(hubspot.read_again, hubspot.is_mapped),
    sendgrid.PRODUCER: Reading(sendgrid.read, sendgrid.is_mapped),
    mailgun.PRODUCER: Reading(mailgun.read, mailgun.is_mapped),
    postmark.PRODUCER: Reading(postmark.read, postmark.is_mapped),
}
"""By the name of the producer."""
