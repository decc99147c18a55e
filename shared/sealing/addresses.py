"""What of a URL may stay as it is? Host and path, and the values of the parameters that rules read."""

import re
from collections.abc import Callable, Iterable
from unicodedata import normalize
from urllib.parse import unquote_plus

from shared.rules.click_ids import CLICK_IDS
from shared.rules.utm import IDS, OWN, UTM
from shared.sealing.names import PSEUDONYM

KEPT_PARAMETERS = frozenset(
    {*IDS, *OWN, *CLICK_IDS, "source", "utm_id", *(name for names in UTM.values() for name in names)}
)
"""The parameters of a URL that rules read for every workspace; their values stay as they are."""
_PARAMETER = re.compile(r"(?P<name>[^=&;?#]*)=(?P<value>[^&;#]*)")


def without_values(url: str, value: Callable[[str], str]) -> str:
    """A URL with keyed digests in place of the values of its parameters, apart from those that rules read."""
    return url if "=" not in url else _PARAMETER.sub(lambda found: _without(found, value), url)


def _without(found: re.Match[str], value: Callable[[str], str]) -> str:
    told = _told(found)
    return found[0] if told is None else f"{found['name']}={value(told)}"


def values_in(url: str) -> Iterable[str]:
    """The values of a URL that `without_values` replaces."""
    return (told for found in _PARAMETER.finditer(url) if (told := _told(found)) is not None)


def _told(found: re.Match[str]) -> str | None:
    """The decoded value of a parameter; None if it stays as it is."""
    name = unquote_plus(found["name"].rpartition("/")[2]).lower().removeprefix("amp;").partition("[")[0]
    told = normalize("NFC", unquote_plus(found["value"]))
    return None if name in KEPT_PARAMETERS or not told.strip() or PSEUDONYM.fullmatch(told) else told
