"""Rule **excluded traffic**: is this touch to be counted?

A verdict is derived from the event, from what its user agent is known to be, and from whose touch it is. It is stored beside
the touch, never in the log: other rules of the workspace give other verdicts of the same events.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from shared.rules.influence import TouchType

FLAGGED_MACHINE, FLAGGED_INTERNAL = 1, 2  # bits of what an event says of itself


class Verdict(IntEnum):
    """What a touch is to the counts. Only `COUNTED` is in any metric, session or credit."""

    COUNTED = 0
    MACHINE = 1
    INTERNAL = 2
    RETRACTED = 3


@dataclass(frozen=True, slots=True)
class MachineRules:
    """Which user agents a workspace takes for machines. `always` and `never` are parts of their text, in any case."""

    crawlers: bool = True
    mail_prefetchers: bool = True
    always: tuple[str, ...] = ()
    never: tuple[str, ...] = ()


class Known(NamedTuple):
    """What is known of a user agent: it crawls; it fetches mail unasked; it fetches a mail's images when a person opens it."""

    crawler: bool
    mail_prefetcher: bool
    mail_image_proxy: bool


class MachineAgent(NamedTuple):
    """What a user agent's touches are: of any type but the opening of an email, and that."""

    visits: bool
    opens: bool


def machine_agent(user_agent: str, known: Known, rules: MachineRules) -> MachineAgent:
    """Whether a user agent is a machine to the workspace; `never` wins over `always`, both over what is known.

    What fetches mail unasked opens it like nobody; through an image proxy a person opens it, but nobody visits a page.
    """
    text = user_agent.lower()
    if any(part.lower() in text for part in rules.never):
        return MachineAgent(visits=False, opens=False)
    if any(part.lower() in text for part in rules.always):
        return MachineAgent(visits=True, opens=True)
    crawls = known.crawler and rules.crawlers
    return MachineAgent(
        visits=crawls or (known.mail_image_proxy and rules.mail_prefetchers),
        opens=crawls or (known.mail_prefetcher and rules.mail_prefetchers),
    )


def is_machine(agent: MachineAgent, type_: TouchType) -> bool:
    """Whether a touch of this type by this agent is a machine's."""
    return agent.opens if type_ is TouchType.EMAIL_OPENED else agent.visits


def internal_contact(emails: Iterable[str], domains: Collection[str]) -> bool:
    """Whether a contact, by its emails (lower-cased), is one of the workspace's own people."""
    return any(email.rpartition("@")[2] in domains for email in emails)


def flagged(machine: bool, internal: bool) -> int:
    """What an event says of itself, as bits."""
    return FLAGGED_MACHINE * machine | FLAGGED_INTERNAL * internal


def verdict(flags: int, by_machine: bool, internal_owner: bool) -> Verdict:
    """The verdict on a touch; of two reasons `machine` is told first."""
    if flags & FLAGGED_MACHINE or by_machine:
        return Verdict.MACHINE
    if flags & FLAGGED_INTERNAL or internal_owner:
        return Verdict.INTERNAL
    return Verdict.COUNTED
