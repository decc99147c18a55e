"""What of a URL may stay as it is? Host and path, and the values of the parameters that rules read."""

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from unicodedata import normalize
from urllib.parse import unquote, unquote_plus

from shared.rules.click_ids import CLICK_IDS
from shared.rules.utm import IDS, OWN, UTM
from shared.sealing.names import PSEUDONYM

KEPT_PARAMETERS = frozenset(
    {*IDS, *OWN, *CLICK_IDS, "source", "utm_id", *(name for names in UTM.values() for name in names)}
)
"""The parameters of a URL that rules read for every workspace; their values stay as they are."""
CACHED_PARAMETERS = 1_024  # names of parameters; a site has a few
_ROUTE_OR_PARAMETERS = re.compile(r"!?/|.*[=?&]", re.DOTALL)
_PARAMETER = re.compile(r"(?P<name>[^=&;?#]*)=(?P<value>[^&;#]*)")


def without_values(url: str, value: Callable[[str], str]) -> str:
    """A URL with keyed digests in place of the values of its parameters, and of a fragment that is no route.

    What rules read stays as it is: the values of `KEPT_PARAMETERS`, and routes (`#/…` and `#!/…`).
    """
    if "=" in url:
        url = _PARAMETER.sub(lambda found: _without(found, value), url)
    before, mark, fragment = url.partition("#")
    if not mark or not _names_a_place(fragment):
        return url
    return f"{before}#{value(normalize('NFC', unquote(fragment)))}"


def _names_a_place(fragment: str) -> bool:
    """Whether a fragment is neither a route nor parameters, so that no rule reads it, and no pseudonym yet."""
    return bool(fragment) and not _ROUTE_OR_PARAMETERS.match(fragment) and not PSEUDONYM.fullmatch(fragment)


def _without(found: re.Match[str], value: Callable[[str], str]) -> str:
    told = _told(found)
    return found[0] if told is None else f"{found['name']}={value(told)}"


def values_in(url: str) -> Iterable[str]:
    """The texts of a URL that `without_values` replaces."""
    yield from (told for found in _PARAMETER.finditer(url) if (told := _told(found)) is not None)
    fragment = url.partition("#")[2]
    if _names_a_place(fragment):
        yield normalize("NFC", unquote(fragment))


def _told(found: re.Match[str]) -> str | None:
    """The decoded value of a parameter; None if it stays as it is."""
    if _is_kept(found["name"]):
        return None
    told = normalize("NFC", unquote_plus(found["value"]))
    return None if not told.strip() or PSEUDONYM.fullmatch(told) else told


@lru_cache(CACHED_PARAMETERS)
def _is_kept(name: str) -> bool:
    """Whether rules read the parameter of this name, as it is written."""
    return unquote_plus(name.rpartition("/")[2]).lower().removeprefix("amp;").partition("[")[0] in KEPT_PARAMETERS
