"""Rule **page**: which page asset has this address, and since when?"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple
from unicodedata import normalize
from urllib.parse import parse_qsl, urlencode

from shared.events.instants import BEGINNING_US, END_US
from shared.rules.address import Parts, host_of, same_path, split
from shared.rules.click_ids import Click, click_of
from shared.rules.order import Order
from shared.rules.utm import NOTHING, Utm, in_fragment, normalised, parameters, path_alone, utm_of

PAGE_TYPES = frozenset({"site_page", "landing_page", "blog_post", "case_study", "knowledge_article", "external_page"})
CACHED_URLS = 16_384  # about 15 MB; most visits are to few addresses


class PageUrl(NamedTuple):
    """What the rules read from a URL. `utm` is (campaign, source, medium), normalised; empty is absent.

    `click` is its click id, if any; `source` the parameter of that name, normalised, which HubSpot reads beside the utm. `every_utm` is
    all of its utm values, and `overrides` is False if `utm_nooverride=1` says that the visit has no new source.
    """

    address: str
    host: str
    utm: tuple[str, str, str]
    via_asset_id: str | None
    click: Click | None
    source: str
    every_utm: Utm
    overrides: bool

    @property
    def campaign(self) -> str:
        """The value that a campaign may claim: `utm_campaign`, else the id that an advertising tool gives the campaign."""
        return self.every_utm.campaign or self.every_utm.id


@lru_cache(CACHED_URLS)
def parse(url: str, utm_told: str = "") -> PageUrl:
    """Read a URL; any text can be read.

    `utm_told` holds the event's utm fields, as a query string: each counts where the URL has no value of that name.
    """
    parts, path, first = _parameters_of(url)
    host = host_of(parts.authority)
    address = host.name + host.port + same_path(path)
    if utm_told:
        first = _beside(first, utm_told)
    if not first:
        return PageUrl(address, host.name, ("", "", ""), None, None, "", NOTHING, True)
    utm = utm_of(first)
    return PageUrl(
        address, host.name, utm[:3], first.get("tl_via"), click_of(first), normalised(first.get("source", "")), utm,
        first.get("utm_nooverride") != "1",
    )  # fmt: skip


def _parameters_of(url: str) -> tuple[Parts, str, dict[str, str]]:
    """A URL's parts, its path alone, and its parameters: those of the query, then those of the fragment."""
    parts = split(url)
    path, glued = path_alone(parts.path)
    if not parts.query and not parts.fragment and not glued:
        return parts, path, {}
    return parts, path, parameters(glued, parts.query, parts.fragment and in_fragment(parts.fragment))


def _beside(first: dict[str, str], utm_told: str) -> dict[str, str]:
    """The parameters, and those utm fields that no parameter gives, by any of its names."""
    url = utm_of(first)
    fields = {name: value for name, value in parse_qsl(utm_told) if not getattr(url, name.removeprefix("utm_"))}
    return first | fields


class AddressRules(NamedTuple):
    """Which parts of a URL belong to a page's address besides host and path: parameters by name, the route in the fragment."""

    parameters: tuple[str, ...] = ()
    fragments: bool = False


BY_PATH = AddressRules()


def address_of(url: str, rules: AddressRules) -> str:
    """The address of a URL by a workspace's rules."""
    return parse(url, "").address if rules == BY_PATH else _longer_address(url, rules)


@lru_cache(CACHED_URLS)
def _longer_address(url: str, rules: AddressRules) -> str:
    parts, _, first = _parameters_of(url)
    address = parse(url, "").address
    if named := [(name, normalize("NFC", first[name])) for name in rules.parameters if name in first]:
        address += "?" + urlencode(named)
    if rules.fragments and parts.fragment.startswith(("/", "!/")):
        route, _ = path_alone(parts.fragment.removeprefix("!").partition("?")[0])
        if route := same_path(route):
            address += "#" + route
    return address


class Registration(NamedTuple):
    """The registration of a page asset's address, or of a tracking URL's target; `key` is the key of either."""

    order: Order
    key: int
    asset: int


class Held(NamedTuple):
    """The address, or the link, belonged to this asset from `from_us` (inclusive) to `to_us` (exclusive)."""

    key: int
    asset: int
    from_us: int
    to_us: int


def addresses(registrations: Iterable[Registration]) -> list[Held]:
    """Which asset each address belongs to, and when: the asset that registered it last; before any registration, the first one."""
    by_key: dict[int, list[Registration]] = {}
    for registration in sorted(registrations):
        by_key.setdefault(registration.key, []).append(registration)
    held = []
    for key, ordered in by_key.items():
        for i, registration in enumerate(ordered):
            from_us = registration.order.at_us if i else BEGINNING_US
            to_us = ordered[i + 1].order.at_us if i + 1 < len(ordered) else END_US
            if from_us < to_us:
                held.append(Held(key, registration.asset, from_us, to_us))
    return _joined(held)


def _joined(held: Sequence[Held]) -> list[Held]:
    """Merge adjacent intervals of the same asset."""
    out: list[Held] = []
    for piece in held:
        last = out[-1] if out else None
        if last and (last.key, last.asset, last.to_us) == (piece.key, piece.asset, piece.from_us):
            out[-1] = last._replace(to_us=piece.to_us)
        else:
            out.append(piece)
    return out
