"""Where does a link of `/r/…` lead? To the registered address of an asset, if browsers can open it and all read it alike."""

from typing import NamedTuple

import httpx
import idna

from shared.rules.tracking_url import LINK_TYPES

CTA = "cta"
PORT_MAX = 65_535
LEADING_TYPES = LINK_TYPES | {CTA}


class Target(NamedTuple):
    """Where an asset leads. `asset_type` is one of `LEADING_TYPES`."""

    asset_type: str
    url: httpx.URL


def target_of(asset_type: str | None, target_url: str | None) -> Target | None:
    """Where an asset leads: only assets of `LEADING_TYPES` lead anywhere, and only to an absolute address of http or https.

    It has no user's name before the host, which looks like the host, and a port that exists.
    """
    if asset_type not in LEADING_TYPES or not target_url or "\\" in target_url.partition("?")[0]:
        return None  # browsers read a backslash as a slash, so where such an address leads would not be where it seems to lead
    try:
        url = httpx.URL(target_url.strip())
    except (httpx.InvalidURL, idna.IDNAError):
        return None
    fit = url.scheme in ("http", "https") and url.host and not url.userinfo and (url.port or 0) <= PORT_MAX
    return Target(str(asset_type), url) if fit else None
