"""Rule **channel**: what is the source of this visit, and to which of the usual channels does the source belong?

The order is HubSpot's: the first of its rules that matches decides. For HubSpot's last rule but one, "any other utm", common
words in `utm_medium` are used too, by the tables of this file.
"""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from shared.rules.click_ids import Click
from shared.rules.influence import TouchType
from shared.rules.page import PageUrl
from shared.rules.referrer import NONE_ADDED, ReferrerRules, source_host

CACHED_TEXTS = 4_096  # values of utm parameters; about 2 MB


class Site(StrEnum):
    """The kind of site of a source."""

    SEARCH = "search"
    SOCIAL = "social"
    MAIL = "mail"
    OTHER = "other"


Known = Callable[[str], Site]
"""Returns the kind of site of a host, or of a name in a utm value."""


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


class TrafficSource(NamedTuple):
    """The source of a visit; both fields are None for a direct visit, `medium` also if the utm gives none."""

    source: str | None
    medium: str | None
    channel: Channel


class Ad(NamedTuple):
    """The fields of an advertisement's registration; None where absent."""

    asset_type: str | None = None
    network: str | None = None
    ad_type: str | None = None


class Word(StrEnum):
    """The meanings of words in `utm_medium`, `utm_source` or `utm_campaign`."""

    PAID_SOCIAL = "paid social"
    ADWORDS = "adword"
    CLICK_PRICE = "ppc, cpc"
    PAID = "paid"
    EMAIL = "email"
    PRICED = "other prices of advertising"
    ADVERTISED = "advertisement"
    DISPLAYED = "display"
    MAILED = "mailing"
    SOCIABLE = "social"
    SEARCHING = "organic or search"
    REFERRING = "referral"


# HubSpot checks whether a text contains these. Words that contain one by chance, or mean the opposite, do not match.
_CLICK_PRICE = re.compile(r"cpc|(?<!a)ppc")  # not the "app" of appcast
_PAID = re.compile(r"(?<!un)(?<!pre)(?<!post)(?<!non)(?<!over)(?<!under)(?<!\bre)paid")
_EMAIL = re.compile(r"(?<!voic)email|(?<![^\W_])e[\W_]+mail")
_NEGATION = frozenset({"non", "not", "no", "un", "pre", "without"})  # a word apart, before "paid"

# Whole words, beyond what HubSpot publishes.
_WORDS: Mapping[Word, frozenset[str]] = {
    Word.PRICED: frozenset(
        {"cpm", "cpv", "cpa", "cpp", "cpe", "cpl", "cps", "cppv", "ppv", "retargeting", "remarketing", "sem", "sea", "pla",
         "pmax", "dsa", "performancemax"}
    ),
    Word.ADVERTISED: frozenset(
        {"ad", "ads", "advert", "adverts", "advertisement", "advertising", "sponsored", "sponsorship", "promoted", "boosted",
         "socialad", "socialads", "textad", "videoad", "searchads", "searchad", "fbads", "facebookads", "metaads",
         "instagramads", "linkedinads", "tiktokads", "snapads", "twitterads", "pinterestads", "redditads", "youtubeads",
         "googleads", "gads", "bingads"}
    ),
    Word.DISPLAYED: frozenset({"display", "banner", "banners", "native", "programmatic", "gdn", "interstitial", "rtb"}),
    Word.MAILED: frozenset({"newsletter", "newsletters", "enews", "enewsletter", "edm", "eblast"}),
    Word.SOCIABLE: frozenset({"sm", "smm", "soc"}),
    Word.SEARCHING: frozenset({"organic", "organico", "orgânico", "search", "organicsearch", "seo", "naturalsearch"}),
    Word.REFERRING: frozenset({"referral", "referrals", "referrer", "link", "partner", "partners"}),
}  # fmt: skip
_SEARCH_PAID = frozenset({Word.ADWORDS, Word.CLICK_PRICE})
_ADVERTISING = frozenset({*_SEARCH_PAID, Word.PAID, Word.PRICED, Word.ADVERTISED, Word.DISPLAYED})
_PAPER = frozenset(
    {"direct", "postal", "post", "snail", "print", "mailer", "mailers"}
)  # with these words, "mail" means a paper letter

SEARCH_ADS = re.compile(
    r"(?<![a-z])(?:search|shopping|performance_max|pmax)(?![a-z])"
)  # kinds of advertisements beside results

# Touches whose type gives their source.
OF_TYPE: Mapping[TouchType, Channel] = {
    **dict.fromkeys((t for t in TouchType if t.name.startswith("EMAIL_")), Channel.EMAIL),
    TouchType.SOCIAL_CLICKED: Channel.ORGANIC_SOCIAL,
    TouchType.SOCIAL_INTERACTED: Channel.ORGANIC_SOCIAL,
}
ADVERTISED = frozenset({TouchType.AD_CLICKED, TouchType.AD_VIEWED})
_OF_MEDIUM = {Site.SEARCH: "organic", Site.SOCIAL: "social", Site.MAIL: "referral", Site.OTHER: "referral"}
_OF_SITE = {"organic": Channel.ORGANIC_SEARCH, "social": Channel.ORGANIC_SOCIAL, "email": Channel.EMAIL}


def traffic_source(
    page: PageUrl, referrer: str | None, site: Known, rules: ReferrerRules = NONE_ADDED, *, first: bool = False
) -> TrafficSource:
    """The source of a page visit: its utm; else the network of a click id; else its referrer's host; else none.

    `site` classifies hosts and names. The parameter `source`, which HubSpot reads beside the utm, counts only if it contains
    one of the words that HubSpot's rules name. `first` says that it is the visitor's first touch, so that a referrer of a
    sign-in page does not mean that the visitor came back.
    """
    if not page.overrides:
        return TrafficSource(None, None, Channel.DIRECT)
    campaign, source, medium = page.utm
    host = (source_host(page.host, referrer, rules, came_back=not first) if referrer else None) or ""
    if campaign or source or medium:
        seen = _Seen(campaign, source, medium, page.source, page.click, host, site)
        return TrafficSource(source or None, medium or None, _grouped(seen))
    click = page.click
    if _SEARCH_PAID & words(page.source):
        return TrafficSource(page.source, None, Channel.PAID_SEARCH)
    if click is not None and click.paid:
        return TrafficSource(click.network, click.medium, _paid(site(click.network)))
    if Word.EMAIL in words(page.source):
        return TrafficSource(page.source, None, Channel.EMAIL)
    if click is not None:
        return TrafficSource(click.network, click.medium, _OF_SITE[click.medium])
    if not host:
        return TrafficSource(None, None, Channel.DIRECT)
    medium = _OF_MEDIUM[site(host)]
    return TrafficSource(host, medium, _OF_SITE.get(medium, Channel.REFERRAL))


class _Seen(NamedTuple):
    """The values of a visit with a utm; `source_parameter` is its parameter `source`, `host` the host of an external referrer."""

    campaign: str
    source: str
    medium: str
    source_parameter: str
    click: Click | None
    host: str
    site: Known

    @property
    def of_network(self) -> bool:
        """Whether it came from a social network: by its source, its medium, its referrer, or a click id."""
        if Site.SOCIAL in (self.site(self.source), self._by_medium) or (
            self.host and self.site(self.host) is Site.SOCIAL
        ):
            return True
        marked = self.click is not None and self.site(self.click.network) is Site.SOCIAL
        return marked and self.site(self.source) is not Site.SEARCH

    @property
    def _by_medium(self) -> Site:
        return (
            self.site(self.medium) if len(self.medium) > 1 else Site.OTHER
        )  # `x` alone as a medium does not mean the network

    @property
    def of_engine(self) -> bool:
        """Whether a source or a medium names a search engine."""
        return Site.SEARCH in (self.site(self.source), self._by_medium)

    @property
    def from_google(self) -> bool:
        """Whether a search of Google referred it."""
        return "google" in self.host.split(".") and self.site(self.host) is Site.SEARCH


def _grouped(seen: _Seen) -> Channel:
    """The channel of a visit with a utm. The numbers are those of HubSpot's rules."""
    medium, source = words(seen.medium), words(seen.source)
    paid, social = {Word.PAID, Word.CLICK_PRICE} & medium, Word.SOCIABLE in medium
    if social and not _ADVERTISING & medium and seen.of_network:
        return Channel.ORGANIC_SOCIAL  # 1
    if _SEARCH_PAID & words(seen.source_parameter):
        return Channel.PAID_SEARCH  # 2
    if seen.click is not None and seen.click.paid:
        return _paid(seen.site(seen.click.network))  # 3
    if Word.PAID_SOCIAL in medium | source or (paid and (social or seen.of_network)):
        return Channel.PAID_SOCIAL  # 4
    if _SEARCH_PAID & medium:
        return Channel.PAID_SEARCH  # 6, of the medium
    if Word.EMAIL in medium:
        return Channel.EMAIL  # 7, of the medium
    if _SEARCH_PAID & source:
        return Channel.PAID_SEARCH  # 6, of the source
    if Word.EMAIL in source | words(seen.source_parameter):
        return Channel.EMAIL  # 7, of the source
    if (meant := _meant(medium, seen)) is not None:
        return meant
    if not seen.medium and Word.MAILED in source:
        return Channel.EMAIL
    if seen.from_google:
        return Channel.PAID_SEARCH  # 5
    if _SEARCH_PAID & words(seen.campaign):
        return Channel.PAID_SEARCH  # 6, of the campaign
    if Word.EMAIL in words(seen.campaign):
        return Channel.EMAIL  # 7, of the campaign
    return _by_source(seen)  # 8


def _meant(medium: frozenset[Word], seen: _Seen) -> Channel | None:
    """The channel of a medium with words that HubSpot does not publish; None if it has none."""
    if Word.MAILED in medium:
        return Channel.EMAIL
    if _ADVERTISING & medium:
        if seen.of_network or Word.SOCIABLE in medium:
            return Channel.PAID_SOCIAL
        if Word.DISPLAYED in medium:
            return Channel.OTHER
        searches = bool({Word.PAID, Word.PRICED} & medium) or Word.SEARCHING in medium or seen.of_engine
        return Channel.PAID_SEARCH if searches else Channel.OTHER
    if Word.SOCIABLE in medium:
        return Channel.ORGANIC_SOCIAL
    if Word.SEARCHING in medium:
        return Channel.ORGANIC_SOCIAL if seen.site(seen.source) is Site.SOCIAL else Channel.ORGANIC_SEARCH
    if Word.REFERRING in medium:
        return Channel.ORGANIC_SOCIAL if seen.site(seen.source) is Site.SOCIAL else Channel.REFERRAL
    if len(seen.medium) > 1 and seen.site(seen.medium) is Site.SOCIAL:
        return Channel.ORGANIC_SOCIAL
    return None


def _by_source(seen: _Seen) -> Channel:
    """The channel by the site in the source, where the words of the utm decide nothing."""
    of = seen.site(seen.source) if seen.source else Site.OTHER
    if of is Site.SOCIAL:
        return Channel.ORGANIC_SOCIAL
    if not seen.medium and of is Site.SEARCH:
        return Channel.ORGANIC_SEARCH
    return Channel.OTHER


def _paid(of: Site) -> Channel:
    return Channel.PAID_SOCIAL if of is Site.SOCIAL else Channel.PAID_SEARCH


@lru_cache(CACHED_TEXTS)
def words(text: str) -> frozenset[Word]:
    """The meanings of the words in a value; the value is normalised as in rule **utm**."""
    found = set()
    each = [word for word in re.split(r"[\W_]+", text) if word]
    joined = "".join(each)
    if "paidsocial" in joined:
        found.add(Word.PAID_SOCIAL)
    if "adword" in text:
        found.add(Word.ADWORDS)
    if _CLICK_PRICE.search(text):
        found.add(Word.CLICK_PRICE)
    before = ["", *each]
    if any(_PAID.search(word) and b not in _NEGATION for b, word in zip(before, each, strict=False)):
        found.add(Word.PAID)
    if _EMAIL.search(text):
        found.add(Word.EMAIL)
    whole = {*each, joined}
    found |= {word for word, texts in _WORDS.items() if texts & whole}
    if any(word.startswith("mail") for word in each) and not _PAPER & whole:
        found.add(Word.MAILED)
    if any(word.startswith("social") for word in each) or "organicsocial" in joined:
        found.add(Word.SOCIABLE)
    return frozenset(found)


def of_touch(type_: TouchType, ad: Ad, of_session: TrafficSource | None, site: Known) -> TrafficSource:
    """The source of a touch other than a page visit: by its type, else its session's source, else unknown.

    `ad` is the advertisement's registration; `of_session` is the source of its session's first page visit.
    """
    if type_ in OF_TYPE:
        return TrafficSource(None, None, OF_TYPE[type_])
    if type_ in ADVERTISED:
        return TrafficSource(None, None, of_ad(ad, site))
    return of_session or TrafficSource(None, None, Channel.OFFLINE)


def of_ad(ad: Ad, site: Known) -> Channel:
    """The channel of an advertisement: by its kind and its network, and without these by the type of its asset."""
    kind = re.sub(r"[\W_]+", "_", (ad.ad_type or "").strip().casefold())
    if not kind and ad.asset_type == "paid_search":
        return Channel.PAID_SEARCH
    of = site(ad.network) if ad.network else None
    if of is Site.SOCIAL or kind == "social":
        return Channel.PAID_SOCIAL
    if kind:
        return Channel.PAID_SEARCH if SEARCH_ADS.search(kind) else Channel.OTHER
    return {None: Channel.PAID_SOCIAL, Site.SEARCH: Channel.PAID_SEARCH}.get(of, Channel.OTHER)
