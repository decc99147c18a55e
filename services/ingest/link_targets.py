"""Where does a link of `/r/…` lead? To the registered address of an asset, if browsers can open it and all read it alike."""

import re
from typing import NamedTuple
from urllib.parse import quote

import httpx
import idna

from shared.rules.tracking_url import LINK_TYPES

CTA = "cta"
PORT_MAX = 65_535
AUTHORITY = re.compile(r"(?<=//)[^/?#]*")
PRINTED = "".join(chr(n) for n in range(33, 127))  # characters of ASCII that stand for themselves in a header
LEADING_TYPES = LINK_TYPES | {CTA}


class Target(NamedTuple):
    """Where an asset leads. `asset_type` is one of `LEADING_TYPES`; `url` is as it was registered, in ASCII, as a header can hold it."""

    asset_type: str
    url: str


def target_of(asset_type: str | None, target_url: str | None) -> Target | None:
    """Where an asset leads: only assets of `LEADING_TYPES` lead anywhere, and only to an absolute address of http or https.

    It has no user's name before the host, which looks like the host, and a port that exists.
    """
    if asset_type not in LEADING_TYPES or not target_url or "\\" in target_url.partition("?")[0]:
        return None  # browsers read a backslash as a slash, so where such an address leads would not be where it seems to lead
    text = target_url.strip()
    try:
        url = httpx.URL(text)
        fit = url.scheme in ("http", "https") and url.host and not url.userinfo and (url.port or 0) <= PORT_MAX
    except (httpx.InvalidURL, idna.IDNAError):  # a host such as xn-- is decoded, and found wrong, when it is asked for
        return None
    return Target(str(asset_type), _in_ascii(text, url)) if fit else None


def _in_ascii(text: str, url: httpx.URL) -> str:
    """The address as it was registered, except characters that no header can hold: those of the host as IDNA, all others as UTF-8 with `%`."""
    if not text.isascii():
        text = AUTHORITY.sub(
            lambda found: found[0] if found[0].isascii() else url.netloc.decode("ascii"), text, count=1
        )
    return quote(text, safe=PRINTED)
