"""Sentences that explain why something counts, or not. They name people, assets, campaigns and days instead of codes.

Each is a pure function of what it names and of the workspace's time zone. An instant is given as a day; where two instants are
less than a day apart, their times are given too, with the zone.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from shared.events.instants import DAY_US, HOUR_US, MINUTE_US, SECOND_US, from_micros
from shared.rules.deal import DealReason, State
from shared.rules.influence import TouchType as T
from shared.rules.pre_association import KeptOut

NOT_REACHED = "Not checked, since the point above already decides."
PEOPLE_NAMED_MAX = 3  # in one sentence; if there are more, it says how many
URL_SHOWN_CHARACTERS_MAX = 80  # longer ones are cut, so that a sentence stays one

_NUMBERS = ["no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
_KINDS = {
    T.FORM_SUBMITTED: "form", T.CTA_VIEWED: "call to action", T.CTA_CLICKED: "call to action", T.EMAIL_SENT: "email",
    T.EMAIL_DELIVERED: "email", T.EMAIL_OPENED: "email", T.EMAIL_CLICKED: "email", T.EMAIL_BOUNCED: "email",
    T.EMAIL_UNSUBSCRIBED: "email", T.SOCIAL_CLICKED: "social post", T.SOCIAL_INTERACTED: "social post",
    T.LIST_JOINED_STATIC: "static list", T.LIST_JOINED_ACTIVE: "active list", T.WORKFLOW_ENROLLED: "workflow",
}  # fmt: skip
_TYPES = {
    "site_page": "page", "marketing_email": "email", "cta": "call to action", "paid_search": "paid-search campaign",
    "tracking_url": "tracking URL", "sms": "SMS", "external": "external asset",
}  # fmt: skip
_DID = {
    T.PAGE_VISITED: "visited {}", T.FORM_SUBMITTED: "submitted {}", T.CTA_VIEWED: "saw {}", T.CTA_CLICKED: "clicked {}",
    T.EMAIL_SENT: "was sent {}", T.EMAIL_DELIVERED: "received {}", T.EMAIL_OPENED: "opened {}",
    T.EMAIL_CLICKED: "clicked {}", T.EMAIL_BOUNCED: "could not be reached by {}",
    T.EMAIL_UNSUBSCRIBED: "unsubscribed by {}", T.SOCIAL_CLICKED: "clicked {}", T.SOCIAL_INTERACTED: "interacted with {}",
    T.AD_VIEWED: "saw {}", T.AD_CLICKED: "clicked {}", T.ASSET_INTERACTED: "interacted with {}",
    T.LIST_JOINED_STATIC: "joined {}", T.LIST_JOINED_ACTIVE: "joined {}", T.WORKFLOW_ENROLLED: "was enrolled in {}",
}  # fmt: skip


class NamedContact(NamedTuple):
    """A contact: its name by rule **contact**, its first e-mail address, and what its properties say it is called."""

    name: str
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None

    @property
    def called(self) -> str | None:
        """First and last name; None if the properties hold neither."""
        return " ".join(n for n in (self.first_name, self.last_name) if n) or None

    @property
    def full(self) -> str:
        """Such as `Kari Nordmann (kari@example.no, 8001)`; without them `kari@example.no (8001)`, or `contact 8001`."""
        named = [n for n in (self.email, self.name) if n is not None]
        called = " ".join(n for n in (self.first_name, self.last_name) if n)
        if not called:
            called = named.pop(0) if self.email else f"contact {named.pop()}"
        beside = [n for n in dict.fromkeys(named) if n != called]
        return f"{called} ({', '.join(beside)})" if beside else called

    @property
    def begins(self) -> str:
        """As `full`, with a capital letter where it begins with the word `contact`: for the beginning of a sentence."""
        return self.full[0].upper() + self.full[1:] if self.full.startswith("contact ") else self.full

    @property
    def short(self) -> str:
        """A short name, for a sentence that has given the full name before."""
        return self.first_name or self.last_name or self.email or f"contact {self.name}"


class NamedAsset(NamedTuple):
    """An asset: its id, its type and its name, as far as they are known."""

    asset_id: str
    asset_type: str | None = None
    name: str | None = None

    def kind(self, type_: T) -> str:
        """The word for the asset in a sentence about a touch of this type, such as `email`."""
        if type_ in _KINDS:
            return _KINDS[type_]
        if self.asset_type is not None:
            return _TYPES.get(self.asset_type, self.asset_type.replace("_", " "))
        return "ad" if type_ in (T.AD_VIEWED, T.AD_CLICKED) else "asset"

    def with_kind(self, type_: T) -> str:
        """The asset in a sentence about a touch of this type, such as `the email 'Spring mail'`."""
        return f"the {self.kind(type_)} '{self.name or self.asset_id}'"


@dataclass(frozen=True, slots=True)
class DescribedTouch:
    """What a sentence needs of a touch: the contact that owns it (None: an anonymous visitor), its type and its instant.

    `asset` is what was touched, `via` the tracking URL or ad by which the visit came, `utm` its utm_campaign value, `kind` how the
    event describes the interaction. `through` says which of them belongs to the campaign: `asset`, `via` or `utm`; None if none does.
    """

    who: NamedContact | None
    type: T
    at_us: int
    asset: NamedAsset | None = None
    via: NamedAsset | None = None
    utm: str | None = None
    url: str | None = None
    kind: str | None = None
    through: str | None = None

    def did(self, campaign: str | None = None) -> str:
        """What was done, such as `clicked the email 'Spring mail'`. With a campaign's name it also says what belongs to the campaign."""
        of = f" of the campaign '{campaign}'" if campaign is not None else ""
        what = _DID.get(self.type, "interacted with {}").format(self._what()) + (of if self.through == "asset" else "")
        if self.kind is not None:
            what += f" ({self.kind.replace('_', ' ')})"
        if self.via is not None:
            what += f" by {self.via.with_kind(T.PAGE_VISITED)}" + (of if self.through == "via" else "")
        if self.through == "utm":
            what += f" with the utm_campaign '{self.utm}'" + of
        return what

    @property
    def whole(self) -> str:
        """Who did it and what was done: the beginning of a sentence."""
        return f"{self.subject} {self.did()}"

    @property
    def subject(self) -> str:
        """Who did it, for the beginning of a sentence."""
        return "An anonymous visitor" if self.who is None else self.who.begins

    def _what(self) -> str:
        if self.asset is not None:
            return self.asset.with_kind(self.type)
        if self.url is not None:
            parts = urlsplit(self.url)
            shown = (parts.netloc + parts.path).rstrip("/") or self.url
            return f"the page {shown[:URL_SHOWN_CHARACTERS_MAX]}"
        return "something unnamed"


@dataclass(frozen=True, slots=True)
class LocalTime:
    """Writes instants, given in microseconds since 1970, in the workspace's time zone."""

    zone: ZoneInfo

    def day(self, at_us: int) -> str:
        """The day of an instant, such as `3 March 2024`."""
        at = self._local(at_us)
        return f"{at.day} {at:%B %Y}"

    def pair(self, at_us: int, other_us: int) -> tuple[str, str]:
        """Two instants, so that a reader sees which is earlier: their days, or days and times if less than a day is between them.

        Each begins with "on" or "at". The second does not repeat the day of the first; where times are given, it ends with the zone.
        """
        one, other = self._local(at_us), self._local(other_us)
        same = one.date() == other.date()
        if abs(at_us - other_us) >= DAY_US and not same:
            return f"on {self.day(at_us)}", f"on {self.day(other_us)}"
        second = f"at {_time(other)}" if same else f"on {self.day(other_us)} at {_time(other)}"
        return f"on {self.day(at_us)} at {_time(one)}", f"{second} ({self.zone.key})"

    def apart(self, at_us: int, other_us: int) -> str:
        """How long it is between two instants, such as `two days` or `35 minutes`."""
        apart_us = abs(at_us - other_us)
        days = abs((self._local(at_us).date() - self._local(other_us).date()).days)
        if apart_us >= DAY_US and days:
            return _count(days, "day")
        if apart_us < SECOND_US:
            return "less than a second"
        unit_us, unit = next(
            (u, name)
            for u, name, from_us in (
                (HOUR_US, "hour", 2 * HOUR_US),
                (MINUTE_US, "minute", 2 * MINUTE_US),
                (SECOND_US, "second", 0),
            )
            if apart_us >= from_us
        )
        more = "more than " if apart_us % unit_us else ""
        return more + _count(apart_us // unit_us, unit)

    def beside(self, at_us: int, other_us: int, what: str) -> str:
        """When an instant was, and how long before or after another one at which `what` happened.

        Such as `on 3 March 2024, two days after the deal closed on 1 March 2024`.
        """
        when, other = self.pair(at_us, other_us)
        if at_us == other_us:
            return f"{when} ({self.zone.key}), at the very instant at which {what}"
        side = "before" if at_us < other_us else "after"
        return f"{when}, {self.apart(at_us, other_us)} {side} {what} {other}"

    def _local(self, at_us: int) -> dt.datetime:
        return from_micros(at_us).astimezone(self.zone)


@dataclass(frozen=True, slots=True)
class DescribedDeal:
    """What sentences need of a deal. `decided_us` is when an event last set its state, else when it was created; in microseconds."""

    deal_id: str
    name: str | None
    state: State
    created_us: int
    closed_us: int | None
    decided_us: int

    @property
    def begins(self) -> str:
        """The deal at the beginning of a sentence, such as `The deal 'Big order'`."""
        return f"The deal '{self.name or self.deal_id}'"


def deletion(clock: LocalTime, deal: DescribedDeal) -> str:
    """The sentence of the check `not_deleted`."""
    if deal.state is State.DELETED:
        return f"{deal.begins} was deleted on {clock.day(deal.decided_us)}; a deleted deal counts for no campaign."
    return f"{deal.begins} was created on {clock.day(deal.created_us)} and was not deleted."


def outcome(clock: LocalTime, deal: DescribedDeal) -> str:
    """The sentence of the check `not_lost`."""
    if deal.state is State.LOST:
        return f"{deal.begins} was lost on {clock.day(deal.decided_us)}; a lost deal counts for no campaign."
    if deal.state is State.WON:
        return f"{deal.begins} was won on {clock.day(deal.decided_us)}."
    if deal.decided_us != deal.created_us:
        return f"{deal.begins} was reopened on {clock.day(deal.decided_us)} and is open."
    return f"{deal.begins} is open."


def associated(clock: LocalTime, deal: DescribedDeal, who: NamedContact, joined_us: int, others: int) -> str:
    """The sentence of the check `contact_associated_before_close` where it holds; `others` is how many other contacts were associated."""
    if deal.closed_us is None:
        too = f", as {'is' if others == 1 else 'are'} {_count(others, 'other contact')}" if others else ""
        return f"{who.begins} was associated with the deal on {clock.day(joined_us)} and still is{too}."
    too = f"; so {'was' if others == 1 else 'were'} {_count(others, 'other contact')}" if others else ""
    return f"{who.begins} was associated with the deal {clock.beside(joined_us, deal.closed_us, 'it closed')}{too}."


def not_associated(
    clock: LocalTime, deal: DescribedDeal, reason: DealReason, who: NamedContact | None, changed_us: int | None, touch: DescribedTouch | None, campaign: str
) -> str:  # fmt: skip
    """The sentence of the check `contact_associated_before_close` where it does not hold.

    `who` was associated or dissociated at `changed_us`; `touch` is the touch of the campaign that would have counted, if any.
    """
    if who is None or changed_us is None:
        return f"Nobody was ever associated with the deal '{deal.name or deal.deal_id}'."
    late = reason is DealReason.CONTACT_ASSOCIATED_AFTER_CLOSE
    when = (
        f"on {clock.day(changed_us)}"
        if deal.closed_us is None
        else clock.beside(changed_us, deal.closed_us, "it closed")
    )
    changed = f"{who.begins} was {'associated with' if late else 'removed from'} the deal {when}"
    if touch is not None:
        did, then = touch.did(campaign), clock.pair(touch.at_us, changed_us)[0]
        return f"{changed}. So it does not count that {who.short} {did} {then}."
    return f"{changed}; {'nobody was associated with it earlier' if late else 'nobody was left in it'}."


def influenced(clock: LocalTime, deal: DescribedDeal, touch: DescribedTouch, campaign: str) -> str:
    """The sentence of the check `contact_influenced_before_close` where it holds."""
    if deal.closed_us is None:
        return f"{touch.subject} {touch.did(campaign)} on {clock.day(touch.at_us)}; the deal is open."
    return f"{touch.subject} {touch.did(campaign)} {clock.beside(touch.at_us, deal.closed_us, 'the deal closed')}."


def not_influenced(
    clock: LocalTime, deal: DescribedDeal, reason: DealReason, touch: DescribedTouch | None, people: Sequence[NamedContact], number: int, campaign: str,
    *, kept_out: bool,
) -> str:  # fmt: skip
    """The sentence of the check `contact_influenced_before_close` where it does not hold.

    `touch` is the touch that came too late, or that influences no deal; `people` are the first of the `number` of contacts
    that are eligible.
    `kept_out`: touches that were kept out of the campaign follow as checks of their own.
    """
    below = "; what was kept out of the campaign follows below" if kept_out else ""
    one = people[0] if number == 1 else None
    if touch is None:
        has = ("has", "had")[deal.closed_us is not None]
        who = f"{one.full} {has} no" if one else f"none of {_names(people, number)} {has} a"
        text = f"{who} touch of the campaign '{campaign}' that influences a deal{below}."
        if deal.closed_us is not None:
            return f"Before the deal closed on {clock.day(deal.closed_us)}, {text}"
        return f"{one.begins}{text.removeprefix(one.full)}" if one else f"N{text[1:]}"
    if reason is DealReason.INFLUENCED_AFTER_CLOSE:
        sentence = influenced(clock, deal, touch, campaign).removesuffix(".")
        nobody = f"{one.short} has no" if one else "nobody in the deal has an"
        return f"{sentence}; {nobody} earlier touch that counts for the campaign{below}."
    what = "Joining a static list" if reason is DealReason.STATIC_LIST else "Being enrolled in a workflow"
    did = f"{touch.subject} {touch.did(campaign)} on {clock.day(touch.at_us)}"
    whoever = one.short if one else "anybody in the deal"
    return f"{did}. {what} influences no deal, and nothing that {whoever} did in the campaign does{below}."


def counts(clock: LocalTime, touch: DescribedTouch, campaign: str) -> str:
    """A sentence that says why a touch counts for a campaign."""
    return f"{touch.subject} {touch.did(campaign)} on {clock.day(touch.at_us)}."


def kept_out(clock: LocalTime, why: KeptOut, touch: DescribedTouch, campaign: str, turned_us: int | None) -> str:
    """A sentence that says why a touch does not count for a campaign.

    `turned_us` is when what it touched came into the campaign (or left it), or when its utm value began (or ceased) to be
    claimed; None if the campaign never held or claimed it while it counted.
    """
    if why is KeptOut.MACHINE:
        return f"{touch.whole} on {clock.day(touch.at_us)}, but a machine did that and no person, so it does not count."
    if why is KeptOut.INTERNAL:
        day = clock.day(touch.at_us)
        return f"{touch.whole} on {day}, but that is traffic of the workspace's own people, which does not count."
    if why is KeptOut.UTM_NOT_CLAIMED_THEN:
        return _not_claimed(clock, touch, campaign, turned_us)
    asset, type_ = (touch.via, T.PAGE_VISITED) if touch.through == "via" else (touch.asset, touch.type)
    it = "it" if asset is None else f"the {asset.kind(type_)}"
    came = "came into" if why is KeptOut.BEFORE_ASSOCIATION else "left"
    if turned_us is not None:
        moved = f"{it} {came} the campaign '{campaign}'"
        return f"{touch.whole} {clock.beside(touch.at_us, turned_us, moved)}."
    return f"{touch.whole} on {clock.day(touch.at_us)}, when {it} was not in the campaign '{campaign}'."


def _not_claimed(clock: LocalTime, touch: DescribedTouch, campaign: str, turned_us: int | None) -> str:
    if turned_us is None:
        return (
            f"{touch.whole} on {clock.day(touch.at_us)}, but the campaign '{campaign}' did not claim that value then."
        )
    when, turned = clock.pair(touch.at_us, turned_us)
    ever = "claims that value only since" if turned_us > touch.at_us else "claimed that value only until"
    return f"{touch.whole} {when}, but the campaign '{campaign}' {ever} {turned[3:]}."


def _time(at: dt.datetime) -> str:
    if at.microsecond:
        return f"{at:%H:%M:%S.%f}"
    return f"{at:%H:%M:%S}" if at.second else f"{at:%H:%M}"


def _count(n: int, unit: str) -> str:
    number_word = _NUMBERS[n] if 0 < n < len(_NUMBERS) else f"{n}"
    return f"{number_word} {unit}{'' if n == 1 else 's'}"


def _names(people: Sequence[NamedContact], number: int) -> str:
    parts = [who.full for who in people]
    if number > len(people):
        parts.append(_count(number - len(people), "other contact"))
    return f"{', '.join(parts[:-1])} and {parts[-1]}"
