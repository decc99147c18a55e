"""Rule **page**: which page asset is this address, and since when?"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from shared.events.instants import BEGINNING_US, END_US
from shared.rules.click_ids import Click, click_of
from shared.rules.order import Order
from shared.rules.utm import normalised

PAGE_TYPES = frozenset({"site_page", "landing_page", "blog_post", "case_study", "knowledge_article", "external_page"})
CACHED_URLS = 16_384  # about 15 MB; most visits are of few addresses
_DEFAULT_PORTS = {"http": 80, "https": 443}


class PageUrl(NamedTuple):
    """What the rules read from a URL. `utm` is (campaign, source, medium), normalised; empty is absent.

    `click` is what the click id in it says; `source` the parameter of that name, normalised, which HubSpot reads beside the utm.
    """

    address: str
    host: str
    utm: tuple[str, str, str]
    via_asset_id: str | None
    click: Click | None
    source: str


@lru_cache(CACHED_URLS)
def parse(url: str) -> PageUrl:
    """Read a URL; one that cannot be parsed is an address of its own, without host or query."""
    try:
        parts = urlsplit(url if "://" in url or url.startswith("/") else "//" + url)
        host = without_www((parts.hostname or "").lower())
        port = parts.port
    except ValueError:
        return PageUrl(url, "", ("", "", ""), None, None, "")
    shown_port = "" if port is None or port == _DEFAULT_PORTS.get(parts.scheme, port) else f":{port}"
    first: dict[str, str] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        first.setdefault(name.lower(), value)
    utm = (
        normalised(first.get("utm_campaign", "")),
        normalised(first.get("utm_source", "")),
        normalised(first.get("utm_medium", "")),
    )
    return PageUrl(
        host + shown_port + parts.path.removesuffix("/"), host, utm, first.get("tl_via") or None, click_of(first),
        normalised(first.get("source", "")),
    )  # fmt: skip


def without_www(host: str) -> str:
    """The host without a leading `www.`."""
    return host.removeprefix("www.")


class Registration(NamedTuple):
    """A page asset told its address."""

    order: Order
    address: str
    asset: int


class Held(NamedTuple):
    """From `from_us` (inclusive) to `to_us` (exclusive) the address was this asset's."""

    address: str
    asset: int
    from_us: int
    to_us: int


def addresses(registrations: Iterable[Registration]) -> list[Held]:
    """Who had each address when: the asset that registered it last; before anyone did, the first that did."""
    by_address: dict[str, list[Registration]] = {}
    for registration in sorted(registrations):
        by_address.setdefault(registration.address, []).append(registration)
    held = []
    for address, told in by_address.items():
        for i, registration in enumerate(told):
            from_us = registration.order.at_us if i else BEGINNING_US
            to_us = told[i + 1].order.at_us if i + 1 < len(told) else END_US
            if from_us < to_us:
                held.append(Held(address, registration.asset, from_us, to_us))
    return _joined(held)


def _joined(held: Sequence[Held]) -> list[Held]:
    """Neighbouring pieces of the same asset as one."""
    out: list[Held] = []
    for piece in held:
        last = out[-1] if out else None
        if last and (last.address, last.asset, last.to_us) == (piece.address, piece.asset, piece.from_us):
            out[-1] = last._replace(to_us=piece.to_us)
        else:
            out.append(piece)
    return out
