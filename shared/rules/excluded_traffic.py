"""Rule **excluded traffic**: is this touch counted?

A traffic class is derived from the event, from the kind of its user agent, and from the touch's contact. It is stored with the
touch, never in the log: with other settings of the workspace the same events get other traffic classes.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple

from shared.events.instants import SECOND_US
from shared.rules.influence import TouchType

FLAGGED_MACHINE, FLAGGED_INTERNAL = 1, 2  # bits for the event's own fields `machine` and `internal`
FLAGGED_SCANNER = 4  # a further bit: a mail scanner made the click, by the clicks around it

SCAN_URLS_MIN = 3  # different links of one mail; people follow two within seconds, a scanner follows all
SCAN_BURST_US = 10 * SECOND_US  # that these clicks take at most; nobody reads three pages in that time
SCAN_REACHED_US = 60 * SECOND_US  # since the mail was sent or delivered; scanners begin at once


class TrafficClass(IntEnum):
    """Whether and why a touch is excluded. Only `COUNTED` touches are in metrics, sessions and credit."""

    COUNTED = 0
    MACHINE = 1
    INTERNAL = 2
    RETRACTED = 3


@dataclass(frozen=True, slots=True)
class MachineRules:
    """Which user agents a workspace treats as machines. `always` and `never` are parts of their text, in any case."""

    crawlers: bool = True
    mail_prefetchers: bool = True
    mail_scanners: bool = True
    always: tuple[str, ...] = ()
    never: tuple[str, ...] = ()


class AgentKinds(NamedTuple):
    """The kinds of program that a user agent belongs to: a crawler; a program that prefetches mail; a proxy that fetches a mail's
    images when a person opens the mail; a security scanner of mail.
    """

    crawler: bool
    mail_prefetcher: bool
    mail_image_proxy: bool
    mail_scanner: bool = False


class MachineAgent(NamedTuple):
    """Whether a user agent's touches are a machine's: `opens` for email opens, `visits` for all other types."""

    visits: bool
    opens: bool


def machine_agent(user_agent: str, known: AgentKinds, rules: MachineRules) -> MachineAgent:
    """Whether a user agent is a machine to the workspace; `never` overrides `always`, and both override the kind of program.

    An open by a program that prefetches mail is a machine's; an open through an image proxy is a person's, but a page visit
    by such a proxy is a machine's.
    """
    text = user_agent.lower()
    if any(part.lower() in text for part in rules.never):
        return MachineAgent(visits=False, opens=False)
    if any(part.lower() in text for part in rules.always):
        return MachineAgent(visits=True, opens=True)
    crawls = (known.crawler and rules.crawlers) or (known.mail_scanner and rules.mail_scanners)
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
    """The event's own fields `machine` and `internal`, as bits."""
    return FLAGGED_MACHINE * machine | FLAGGED_INTERNAL * internal


def traffic_class(flags: int, by_machine: bool, internal_owner: bool) -> TrafficClass:
    """The traffic class of a touch; if both apply, it is `machine`."""
    if flags & (FLAGGED_MACHINE | FLAGGED_SCANNER) or by_machine:
        return TrafficClass.MACHINE
    if flags & FLAGGED_INTERNAL or internal_owner:
        return TrafficClass.INTERNAL
    return TrafficClass.COUNTED


class Click(NamedTuple):
    """A click in a mail, in order; `url` is the link, None where the event has none."""

    at_us: int
    event_id: str
    url: str | None


class Burst(NamedTuple):
    """Clicks on many links of a mail within seconds: those from `first` (inclusive) to `last` (exclusive) of a list in order."""

    at_us: int
    first: int
    last: int


def bursts(clicks: Sequence[Click]) -> list[Burst]:
    """Every burst among one contact's clicks in one mail, given in order; they may overlap.

    A burst is all clicks from one of them on, for `SCAN_BURST_US`, if these are on `SCAN_URLS_MIN` different links at least.
    """
    found: list[Burst] = []
    urls: Counter[str | None] = Counter()
    last = 0
    for first, click in enumerate(clicks):
        while last < len(clicks) and clicks[last].at_us - click.at_us <= SCAN_BURST_US:
            urls[clicks[last].url] += 1
            last += 1
        if len(urls) - (None in urls) >= SCAN_URLS_MIN:
            found.append(Burst(click.at_us, first, last))
        urls[click.url] -= 1
        if not urls[click.url]:
            del urls[click.url]
    return found


def scanned(
    clicks: Sequence[Click], found: Iterable[Burst], reached_us: Collection[int], opened_us: Collection[int]
) -> set[str]:
    """The ids of the clicks that a mail scanner made, among one contact's clicks in one mail and the bursts of them.

    A burst is a scanner's if it begins within `SCAN_REACHED_US` after the mail was sent or delivered (`reached_us`), and
    no person had opened the mail before (`opened_us`).
    """
    out: set[str] = set()
    opened_first_us = min(opened_us, default=None)
    marked = 0
    for burst in found:
        if opened_first_us is not None and opened_first_us < burst.at_us:
            break
        if any(0 <= burst.at_us - at_us <= SCAN_REACHED_US for at_us in reached_us):
            out.update(click.event_id for click in clicks[max(marked, burst.first) : burst.last])
            marked = burst.last
    return out
