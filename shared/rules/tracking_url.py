"""Rule **tracking url**: which tracking URL led to a visit that does not name it?

A tracking URL, or a paid-search campaign, leads to an address with utm values. A visit to that address with the same values
came through it.
"""

from unicodedata import normalize
from urllib.parse import unquote_plus

from shared.rules.keys import link_key
from shared.rules.page import PageUrl

LINK_TYPES = frozenset({"tracking_url", "paid_search"})


def link_of(page: PageUrl, address: str) -> int | None:
    """The key of the link that leads to a page with this address; None if its URL has no utm value at all.

    Each value is URL-decoded once more if possible, on both sides: a redirect may have encoded it twice.
    """
    values = page.every_utm[:5]
    return link_key((address, *map(_compared, values))) if any(values) else None


def _compared(value: str) -> str:
    if "%" not in value and "+" not in value:
        return value
    return normalize("NFC", unquote_plus(value)).casefold()
