"""Rule **channel**: what brought this visit, and in which of the usual channels does that fall?"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import NamedTuple

from shared.rules.influence import TouchType
from shared.rules.page import PageUrl
from shared.rules.referrer import NONE_ADDED, ReferrerRules, source_host


class Site(StrEnum):
    """What a source is known to be."""

    SEARCH = "search"
    SOCIAL = "social"
    OTHER = "other"


class Channel(StrEnum):
    """The groups of sources."""

    ORGANIC_SEARCH = "organic_search"
    PAID_SEARCH = "paid_search"
    PAID_SOCIAL = "paid_social"
    ORGANIC_SOCIAL = "organic_social"
    EMAIL = "email"
    REFERRAL = "referral"
    DIRECT = "direct"
    OTHER = "other"
    OFFLINE = "offline"


class Brought(NamedTuple):
    """What brought a visit; both are None if it came by itself, `medium` also if the utm names none."""

    source: str | None
    medium: str | None
    channel: Channel


PAID = frozenset({"cpc", "ppc", "cpm", "cpv", "cpa", "cpp", "paid", "paidsearch", "paidsocial", "retargeting"})
SEARCHING = frozenset({"organic", "search", "organicsearch"})
SOCIABLE = frozenset({"social", "sm", "socialmedia", "socialnetwork", "organicsocial"})
MAILED = frozenset({"email", "mail", "newsletter"})
REFERRING = frozenset({"referral", "link", "partner"})

# Touches that say by their type what brought them.
OF_TYPE: Mapping[TouchType, Channel] = {
    **dict.fromkeys((t for t in TouchType if t.name.startswith("EMAIL_")), Channel.EMAIL),
    TouchType.SOCIAL_CLICKED: Channel.ORGANIC_SOCIAL,
    TouchType.SOCIAL_INTERACTED: Channel.ORGANIC_SOCIAL,
}
ADVERTISED = frozenset({TouchType.AD_CLICKED, TouchType.AD_VIEWED})


def brought(
    page: PageUrl,
    referrer: str | None,
    site: Callable[[str], Site],
    rules: ReferrerRules = NONE_ADDED,
    *,
    first: bool = False,
) -> Brought:
    """What brought a page visit: its utm; else a click id's network; else the host that its referrer names; else nothing.

    `first` says that it is the first that the visitor was ever seen to do: from a sign-in page, it did not come back.
    """
    if not page.overrides:
        return Brought(None, None, Channel.DIRECT)
    campaign, source, medium = page.utm
    if campaign or source or medium:
        return Brought(source or None, medium or None, _grouped(source, medium, site))
    if (network := page.click_network) is not None:
        return Brought(network, "cpc", _grouped(network, "cpc", site))
    host = source_host(page.host, referrer, rules, came_back=not first) if referrer else None
    if host is None:
        return Brought(None, None, Channel.DIRECT)
    medium = {Site.SEARCH: "organic", Site.SOCIAL: "social", Site.OTHER: "referral"}[site(host)]
    return Brought(host, medium, _grouped(host, medium, site))


def _grouped(source: str, medium: str, site: Callable[[str], Site]) -> Channel:
    words = medium.replace("-", "").replace("_", "").replace(" ", "")
    of = site(source) if source else Site.OTHER
    if words in PAID:
        return Channel.PAID_SOCIAL if of is Site.SOCIAL or words == "paidsocial" else Channel.PAID_SEARCH
    if words in MAILED or (not medium and source in MAILED):
        return Channel.EMAIL
    if words in SOCIABLE or (of is Site.SOCIAL and words not in SEARCHING):
        return Channel.ORGANIC_SOCIAL
    if words in SEARCHING or (of is Site.SEARCH and not medium):
        return Channel.ORGANIC_SEARCH
    return Channel.REFERRAL if words in REFERRING else Channel.OTHER


def of_touch(type_: TouchType, asset_type: str | None, of_session: Brought | None) -> Brought:
    """What brought a touch that is no page visit: as its type says, else as its session was, else nothing that we know.

    `asset_type` tells an advertisement's place; `of_session` is what brought its session's first page visit.
    """
    if type_ in OF_TYPE:
        return Brought(None, None, OF_TYPE[type_])
    if type_ in ADVERTISED:
        return Brought(None, None, Channel.PAID_SEARCH if asset_type == "paid_search" else Channel.PAID_SOCIAL)
    return of_session or Brought(None, None, Channel.OFFLINE)
