"""How much may a public key and an address send? Token buckets by key and by address, and bounds on what a key adds in a day.

A collect key is in the source of web pages, so anybody can send with it. Its events, and the requests of one address, are limited
by rate: beyond that the answer is 429 with `Retry-After`. Distinct visitors, contacts, assets, visited pages and utm values each make rows that stay; a key adds a
bounded number of them a day, and an event with one more is refused. Server keys are secret, and have no such limits.

Each process counts for itself and in memory, and a restart begins anew. Of rates it takes its share (`Rates.processes`); of what is bounded for a day,
up to n times as much gets through n processes.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Literal

import msgspec
import structlog
from starlette.types import Scope

from services.ingest import metrics
from services.ingest.limit_settings import Rates
from shared.access.keys import Access
from shared.events.codec import Record
from shared.events.refusal import Code, Refusal
from shared.events.registry import name_of
from shared.events.types import PageVisited
from shared.rules.page import BY_PATH, AddressRules, parse
from shared.rules.page import address_of as page_of
from shared.web.problems import Problem

RATE_LIMITED = "rate_limited"
BURST_S = 10  # of the rate may come at once: a page that opens, a queue that was offline
KEYS_MAX = 200  # that a process counts for, 6 MiB each at most; the one that sent longest ago is forgotten first
ADDRESSES_MAX = 100_000  # the same for addresses, some 200 bytes each
CACHED_ADDRESSES = 4_096  # about 1 MB; a page sends several requests from one address
IPV6_PREFIX_BITS = 64  # one subscriber has all addresses of it
DAY_US = 86_400_000_000
# Under this name, the scope of a request that seems to have a server key says whether the key was found valid.
SERVER_KEY = "touchline.server_key"
VISIT = name_of(PageVisited)
NEAR = 0.8  # of a bound: then the first alarm comes
EXACT_MAX = 500  # values that are kept each; beyond them a Bloom filter takes their place
BITS_A_VALUE, PROBES = 16, 7  # then one new value in two thousand is taken for a known one
LATELY_MAX = 4_096  # values that the filter need not be asked for again, and URLs that need not be read again; some 300 kB of each kind

Kind = Literal["visitors", "contacts", "assets", "pages", "utm_values"]
KINDS: dict[Kind, tuple[str, Code]] = {
    "visitors": ("visitor_id", "too_many_visitors"),
    "contacts": ("contact.email", "too_many_contacts"),
    "assets": ("asset_id", "too_many_assets"),
    "pages": ("url", "too_many_pages"),
    "utm_values": ("url", "too_many_utm_values"),
}
"""What is bounded: the field in which it stands, and the code of an event that is refused for it."""

logger = structlog.stdlib.get_logger("touchline.ingest")


class Buckets:
    """Token buckets by name. Each fills with `per_s` tokens a second up to `BURST_S` times as many; at most `most` are remembered."""

    def __init__(self, per_s: int, most: int) -> None:
        self._per_s, self._most = per_s, most
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._left)

    def wait_s(self, name: str, now_s: float) -> int:
        """After how many whole seconds the bucket has a token again; 0 if it has one."""
        missing = 1 - self._tokens(name, now_s)
        return 0 if not self._per_s or missing <= 0 else max(1, math.ceil(missing / self._per_s))

    def take(self, name: str, tokens: int, now_s: float) -> None:
        """Take tokens, more than there are if need be: what was received is paid for later."""
        if not self._per_s or not tokens:
            return
        self._left[name] = self._tokens(name, now_s) - tokens, now_s
        self._left.move_to_end(name)
        if len(self._left) > self._most:
            self._left.popitem(last=False)

    def _tokens(self, name: str, now_s: float) -> float:
        full = float(self._per_s * BURST_S)
        left, at_s = self._left.get(name, (full, now_s))
        return min(full, left + (now_s - at_s) * self._per_s)


class Distinct:
    """Counts distinct values up to a bound, exactly while they are few; then it takes some new ones for known ones, never the reverse."""

    def __init__(self, bound: int) -> None:
        self.bound, self.count, self.near = bound, 0, int(bound * NEAR)
        self._known: set[int] = set()  # all values while they are few; then those that came lately
        self._bits = bytearray()
        self._mask = (1 << max(1, bound * BITS_A_VALUE - 1).bit_length()) - 1

    def admits(self, value: object) -> bool:
        """Whether the value is known, or new and within the bound; then it is known from now on."""
        digest = hash(value)
        if digest in self._known:
            return True
        if not (self._bits and self._holds(digest)):
            if self.count >= self.bound:
                return False
            self.count += 1
            if self._bits:
                self._set(digest)
        self._known.add(digest)
        if len(self._known) > (LATELY_MAX if self._bits else EXACT_MAX):
            self._use_bits()
        return True

    def _use_bits(self) -> None:
        """Forget which values came lately; the filter knows all of them."""
        if not self._bits:
            self._bits = bytearray((self._mask + 1) // 8)
            for each in self._known:
                self._set(each)
        self._known = set()

    def _holds(self, digest: int) -> bool:
        bits, mask, step = self._bits, self._mask, (digest >> 32) | 1
        for _ in range(PROBES):  # plain loops, for every event of a browser comes here
            if not bits[(digest & mask) >> 3] >> (digest & 7) & 1:
                return False
            digest += step
        return True

    def _set(self, digest: int) -> None:
        bits, mask, step = self._bits, self._mask, (digest >> 32) | 1
        for _ in range(PROBES):
            bits[(digest & mask) >> 3] |= 1 << (digest & 7)
            digest += step


class _Today:
    """What a key has sent since midnight UTC: the distinct values of each kind, and the URLs whose values were all admitted."""

    def __init__(self, bounds: dict[Kind, int]) -> None:
        self.distinct = {kind: Distinct(bound) for kind, bound in bounds.items()}
        self._urls: set[int] = set()

    def knows(self, url: int) -> bool:
        """Whether all values of a URL were admitted, so that it need not be read again; `url` is its digest."""
        return url in self._urls

    def learn(self, url: int) -> None:
        """Remember that all values of a URL were admitted."""
        if len(self._urls) >= LATELY_MAX:
            self._urls = set()
        self._urls.add(url)


class _Contact(msgspec.Struct):
    email: str | None = None


class _Sent(msgspec.Struct):
    """The fields of an event whose values are bounded."""

    type: str
    visitor_id: str | None = None
    contact: _Contact | None = None
    asset_id: str | None = None
    via_asset_id: str | None = None
    url: str | None = None
    utm_source: str | None = None
    utm_medium: str | None = None
    utm_campaign: str | None = None
    utm_term: str | None = None
    utm_content: str | None = None


_decode_sent = msgspec.json.Decoder(_Sent).decode


@dataclass
class Limits:
    """What one ingest process remembers of what came."""

    rates: Rates = field(default_factory=Rates)

    def __post_init__(self) -> None:
        self.keys = Buckets(self.rates.share(self.rates.key_events_per_s), KEYS_MAX)
        self.addresses = Buckets(self.rates.share(self.rates.address_requests_per_s), ADDRESSES_MAX)
        self._bounds: dict[Kind, int] = {
            "visitors": self.rates.visitors_a_day, "contacts": self.rates.contacts_a_day, "assets": self.rates.assets_a_day,
            "pages": self.rates.pages_a_day, "utm_values": self.rates.utm_values_a_day,
        }  # fmt: skip
        self._day = 0
        self._alarmed: set[tuple[str, str, Kind, str]] = set()
        self._seen: OrderedDict[tuple[str, str], _Today] = OrderedDict()

    def check_key(self, access: Access) -> None:
        """Raise a 429 `Problem` if a collect key has sent too many events."""
        if access.scope != "collect":
            return
        wait_s = self.keys.wait_s(_name(access), time.monotonic())
        if wait_s:
            metrics.RATE_LIMITED.labels("key").inc()
            detail = f"this key may send {self.rates.key_events_per_s:,} events a second; wait {wait_s} s"
            raise limited(detail, wait_s)

    def spend(self, access: Access, events: int) -> None:
        """Count events that a key has sent, whatever became of them."""
        if access.scope == "collect":
            self.keys.take(_name(access), events, time.monotonic())

    def bounded(
        self,
        access: Access,
        outcome: Record | Refusal,
        index: int,
        *,
        by_token: bool = False,
        addresses: AddressRules = BY_PATH,
    ) -> Record | Refusal:
        """The accepted event, or why it is refused: it has one more visitor, contact, asset, page or utm value than its key may add in a day.

        `index` is the event's place in the request. `by_token`: a token names its contact, so a server key vouches for it.
        `addresses`: what the workspace has set of pages' addresses.
        """
        if access.scope != "collect" or isinstance(outcome, Refusal):
            return outcome
        today, sent = self._of_today(access, outcome.received_at), _decode_sent(outcome.event)
        pages = sent.type == VISIT and not sent.asset_id
        url = hash((sent.url, pages, addresses))
        known = sent.url is None or today.knows(url)
        for kind, value in (
            _values(sent) if known else (*_values(sent), *_values_of_url(sent.url or "", addresses, pages=pages))
        ):
            distinct = today.distinct[kind]
            if by_token and kind == "contacts":
                continue
            if distinct.bound and not distinct.admits(value):
                where, code = KINDS[kind]
                metrics.BEYOND_BOUND.labels(kind).inc()
                self._alarm(access, kind, distinct, "met")
                message = f"this key has sent {distinct.bound:,} different {kind.replace('_', ' ')} since midnight UTC, and may send no others today"
                return Refusal(index, outcome.id, code, where, message)
            if distinct.count == distinct.near:
                self._alarm(access, kind, distinct, "near")
        if not known:
            today.learn(url)
        return outcome

    def _of_today(self, access: Access, at_us: int) -> _Today:
        if at_us // DAY_US > self._day:
            self._day = at_us // DAY_US
            self._seen.clear()
            self._alarmed.clear()
        key = (access.workspace, access.hint)
        today = self._seen.get(key)
        if today is None:
            today = self._seen[key] = _Today(self._bounds)
            if len(self._seen) > KEYS_MAX:
                self._seen.popitem(last=False)
        self._seen.move_to_end(key)
        return today

    def _alarm(self, access: Access, kind: Kind, distinct: Distinct, level: str) -> None:
        """Tell the operator, once a day for each key, kind and level."""
        about = (access.workspace, access.hint, kind, level)
        if not distinct.count or about in self._alarmed:
            return
        if len(self._alarmed) >= KEYS_MAX * len(KINDS) * 2:
            self._alarmed.clear()
        self._alarmed.add(about)
        metrics.BOUND_ALARMS.labels(kind, level).inc()
        logger.warning(
            "a public key is near the bound of what it may add in a day, or has met it", kind=kind, alarm=level,
            workspace=access.workspace, key=access.hint, distinct=distinct.count, bound=distinct.bound,
        )  # fmt: skip


def limited(detail: str, wait_s: int) -> Problem:
    """429 with `Retry-After`."""
    return Problem(429, RATE_LIMITED, detail, headers={"Retry-After": str(wait_s)})


def not_limited(scope: Scope) -> None:
    """Let this request take nothing from its address: a valid server key has sent it, and it is answered by what that key may do."""
    valid: list[bool] | None = scope.get(SERVER_KEY)
    if valid is not None:
        valid.append(True)


@lru_cache(CACHED_ADDRESSES)
def address_of(host: str) -> str | None:
    """What an address is limited as: itself, or its network of IPv6. None for this machine's own programs, which are not limited."""
    try:
        address = ip_address(host)
    except ValueError:
        return host  # of a socket without addresses
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        elif not address.is_loopback:
            return str(IPv6Address(int(address) >> IPV6_PREFIX_BITS << IPV6_PREFIX_BITS))
    return None if address.is_loopback else str(address)


def _name(access: Access) -> str:
    return f"{access.workspace}/{access.hint}"


def _values(sent: _Sent) -> list[tuple[Kind, object]]:
    """The bounded values of an event's own fields."""
    found: list[tuple[Kind, object]] = []
    if sent.visitor_id:
        found.append(("visitors", sent.visitor_id))
    if sent.contact is not None and sent.contact.email:
        found.append(("contacts", sent.contact.email.strip().casefold()))
    found += [("assets", asset_id) for asset_id in (sent.asset_id, sent.via_asset_id) if asset_id]
    utm = (sent.utm_source, sent.utm_medium, sent.utm_campaign, sent.utm_term, sent.utm_content)
    if any(utm):
        found += [("utm_values", (n, value)) for n, value in enumerate(utm) if value]
    return found


def _values_of_url(url: str, addresses: AddressRules, *, pages: bool) -> Iterator[tuple[Kind, object]]:
    """The bounded values of an event's URL. `pages`: the event is a visit, so the URL's page is one of them."""
    if url and pages:
        yield "pages", page_of(url, addresses)
    if "=" in url:
        page = parse(url, "")
        if page.via_asset_id:
            yield "assets", page.via_asset_id
        for n, value in enumerate(page.utm):
            if value:
                yield "utm_values", (n, value)
