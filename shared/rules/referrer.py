"""Rule **referrer**: is this referrer the source of a visit, or did the visitor only return from it?"""

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from ipaddress import AddressValueError, IPv4Address
from typing import NamedTuple
from urllib.parse import unquote

from publicsuffixlist import PublicSuffixList

from shared.rules.address import HOST_CHARACTERS_MAX, ascii_host, host_of, split
from shared.rules.facts import facts
from shared.rules.utm import parameters

CACHED_REFERRERS = 16_384  # about 5 MB
_FACTS = facts("ignored_referrers")
SIGN_IN = frozenset(_FACTS["sign_in"]["hosts"])
SIGN_IN_LABEL = re.compile("|".join(_FACTS["sign_in"]["labels"]))
PASSED = frozenset({*_FACTS["payment"]["hosts"], *_FACTS["verification"]["hosts"]})
PASSED_LABEL = re.compile("|".join(_FACTS["verification"]["labels"]))
NOT_PUBLIC = frozenset(_FACTS["not_public"]["domains"])

_WEB = re.compile(r"\s*https?://", re.IGNORECASE)
_APP = re.compile(
    r"\s*android-app:(?://)?(?P<id>[A-Za-z]\w*(?:\.[A-Za-z]\w*)+)(?:[/?#].*)?\s*", re.IGNORECASE | re.ASCII
)
_HOST = re.compile(r"(?:[a-z0-9_-]{1,63}\.)+[a-z0-9-]*[a-z][a-z0-9-]*", re.ASCII)
_AMP_VIEWER = re.compile(r"/amp/(?:s/)?(?P<host>[^/]+)")  # of www.google.com
_AMP_CACHE = re.compile(r"/[a-z]+/(?:s/)?(?P<host>[^/]+)")  # of cdn.ampproject.org


class ReferrerRules(NamedTuple):
    """A workspace's own hosts, and its hosts that are never a source. Each includes its subdomains."""

    own_hosts: frozenset[str] = frozenset()
    ignored: frozenset[str] = frozenset()


NONE_ADDED = ReferrerRules()


@lru_cache(CACHED_REFERRERS)
def source_host(
    page_host: str, referrer: str, rules: ReferrerRules = NONE_ADDED, *, came_back: bool = True
) -> str | None:
    """The host, or the app, of a referrer that is the source of a visit to a page of `page_host`; None if it is not a source.

    `came_back` is False for the first touch of a visitor, who cannot have returned from a sign-in page.
    """
    host = host_named(referrer)
    if host is None or passes_through(host) or (came_back and signs_in(host)) or _covered(host, rules.ignored):
        return None
    origin = _original(host, referrer)
    if _covered(host, rules.own_hosts) or _covered(origin, rules.own_hosts):
        return None
    page_site = site(_original(page_host, ""))
    return None if page_site in (site(host), site(origin)) else host


def host_named(referrer: str) -> str | None:
    """The public host of a web address, or the id of an Android app; None where a referrer is neither."""
    if (app := _APP.fullmatch(referrer)) is not None:
        return app["id"].lower()
    if _WEB.match(referrer) is None:
        return None
    host = host_of(split(referrer).authority).name
    return host if _is_public(host) else None


@lru_cache(CACHED_REFERRERS)
def reduced(referrer: str) -> str:
    """The shortest referrer that this rule reads as it reads the given one: its host, or its app; empty if it reads nothing.

    Of a translated page or an AMP page it also keeps where the original host is named.
    """
    if (app := _APP.fullmatch(referrer)) is not None:
        return f"android-app://{app['id']}"
    if (host := host_named(referrer)) is None:
        return ""
    origin = _original(host, referrer)
    authority = split(referrer).authority.rpartition("@")[2]
    short = f"https://{authority}/"
    if _original(host, short) == origin:
        return short
    folded = f"https://{authority}{split(referrer).path}"
    return folded if _original(host, folded) == origin else f"{short}?u=https://{origin}/"


@lru_cache(CACHED_REFERRERS)
def signs_in(host: str) -> bool:
    """Whether people sign in to other sites on this host, by the published list."""
    return _covered(host, SIGN_IN) or _has_label(host, SIGN_IN_LABEL)


@lru_cache(CACHED_REFERRERS)
def passes_through(host: str) -> bool:
    """Whether people pay or confirm their identity on this host and then return, by the published list."""
    return _covered(host, PASSED) or _has_label(host, PASSED_LABEL)


def host_of_setting(text: str) -> str:
    """Normalise a host of a setting (`www.Shop.example`, `*.shop.example`, `bücher.example`) for comparison."""
    return host_of(ascii_host(text.strip().removeprefix("*.").removeprefix("."))).name


def _is_public(host: str) -> bool:
    """Whether anybody can reach it: a name with a dot in a public domain, or a public IPv4 address."""
    if len(host) > HOST_CHARACTERS_MAX:
        return False
    try:
        return IPv4Address(host).is_global
    except AddressValueError:
        return _HOST.fullmatch(host) is not None and not _covered(host, NOT_PUBLIC)


def _covered(host: str, names: frozenset[str]) -> bool:
    """Whether a host is one of these names, or a subdomain of one."""
    return bool(names) and any(name in names for name in _and_above(host))


def _and_above(host: str) -> Iterator[str]:
    yield host
    while "." in host:
        host = host.partition(".")[2]
        yield host


def _has_label(host: str, label: re.Pattern[str]) -> bool:
    """Whether the host has such a label before its registrable domain: `acs.bank.example`, but not `acs.example`."""
    below = host.removesuffix(site(host)).rstrip(".")
    return bool(below) and any(map(label.fullmatch, below.split(".")))


@lru_cache(CACHED_REFERRERS)
def site(host: str) -> str:
    """The registrable domain of a host (`shop.example` of `blog.shop.example`); a host that has none, or an IP address, is its own."""
    return host if host[-1:].isdigit() else _suffixes().privatesuffix(host) or host


@cache
def _suffixes() -> PublicSuffixList:
    """The public suffix list in the package, with private suffixes such as `github.io`. Uses no network."""
    return PublicSuffixList()


def _original(host: str, url: str) -> str:
    """The original host of a translated page or an AMP page; any other host unchanged."""
    if host.endswith(".translate.goog"):
        return host_of(_unfolded(host.removesuffix(".translate.goog"))).name
    if host in ("translate.google.com", "translate.googleusercontent.com"):
        return host_of(split(parameters(split(url).query).get("u", "")).authority).name or host
    if host == "cdn.ampproject.org" or (site(host).startswith("google.") and url):
        form = _AMP_CACHE if host == "cdn.ampproject.org" else _AMP_VIEWER
        found = form.match(split(url).path)
        return host if found is None else host_of(unquote(found["host"])).name
    if host.endswith(".cdn.ampproject.org"):
        return host_of(_unfolded(host.removesuffix(".cdn.ampproject.org"))).name
    return host


def _unfolded(label: str) -> str:
    """Decode a host that was written as one label: `-` is a dot, `--` a hyphen."""
    return label.replace("--", "\0").replace("-", ".").replace("\0", "-")
