"""What of a URL may stay as it is? Host and path, names of parameters, and the values of those that rules read."""

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
_USER = re.compile(r"(?P<before>\s*(?:[A-Za-z][A-Za-z0-9+.-]*://|//|(?!/)))(?P<user>[^/?#]+)@")
_COLLECTED = f"~q{'a' * 24}"


def may_have_values(url: str) -> bool:
    """Whether a URL may have something that `without_values` replaces; most have not."""
    return "=" in url or "?" in url or "#" in url or "@" in url


def without_values(url: str, value: Callable[[str], str]) -> str:
    """A URL with keyed digests in place of the values of its parameters, of parts of its query that have no value, of what stands before the
    host (`user@`), and of a fragment that is no route.

    What rules read stays as it is: the values of `KEPT_PARAMETERS`, and routes (`#/…` and `#!/…`).
    """
    if "@" in url and (found := _USER.match(url)) is not None:
        url = f"{found['before']}{_digest(found['user'], value)}@{url[found.end() :]}"
    if "=" in url:
        url = _PARAMETER.sub(lambda found: _without(found, value), url)
    before, mark, fragment = url.partition("#")
    address, asks, query = before.partition("?")
    if query:
        before = f"{address}{asks}{_without_flags(query, value)}"
    if not mark:
        return before
    if _names_a_place(fragment):
        return f"{before}#{_digest(fragment, value)}"
    route, asks, behind = fragment.partition("?")
    if asks:
        fragment = f"{route}?{_without_flags(behind, value)}"
    elif not fragment.startswith(("/", "!/")):
        fragment = _without_flags(fragment, value)
    return f"{before}#{fragment}"


def _without_flags(query: str, value: Callable[[str], str]) -> str:
    """A query with digests in place of its parts that have no value; no rule reads them."""
    return "&".join(
        [part if "=" in part and ";" not in part else _without_flag(part, value) for part in query.split("&")]
    )


def _without_flag(part: str, value: Callable[[str], str]) -> str:
    """What stands between two `&`. After a parameter that rules read, a text behind `;` is of its value."""
    out, kept = [], False
    for each in part.split(";"):
        name, sent, _ = each.partition("=")
        if sent:
            kept = _is_kept(name)
        out.append(each if sent or kept else _digest(each, value))
    return ";".join(out)


def _digest(text: str, value: Callable[[str], str]) -> str:
    """What stands for a text that is not a value; itself if it is blank or a pseudonym."""
    return text if not text.strip() or PSEUDONYM.fullmatch(text) else value(normalize("NFC", unquote(text)))


def _names_a_place(fragment: str) -> bool:
    """Whether a fragment is neither a route nor parameters, so that no rule reads it, and no pseudonym yet."""
    return bool(fragment) and not _ROUTE_OR_PARAMETERS.match(fragment) and not PSEUDONYM.fullmatch(fragment)


def _without(found: re.Match[str], value: Callable[[str], str]) -> str:
    texts = _decoded(found)
    return found[0] if texts is None else f"{found['name']}={value(texts)}"


def values_in(url: str) -> Iterable[str]:
    """The texts of a URL that `without_values` replaces."""
    texts: list[str] = []

    def collected(text: str) -> str:
        texts.append(text)
        return _COLLECTED

    without_values(url, collected)
    return texts


def _decoded(found: re.Match[str]) -> str | None:
    """The decoded value of a parameter; None if it stays as it is."""
    if _is_kept(found["name"]):
        return None
    decoded = normalize("NFC", unquote_plus(found["value"]))
    return None if not decoded.strip() or PSEUDONYM.fullmatch(decoded) else decoded


@lru_cache(CACHED_PARAMETERS)
def _is_kept(name: str) -> bool:
    """Whether rules read the parameter of this name, as it is written."""
    return unquote_plus(name.rpartition("/")[2]).lower().removeprefix("amp;").partition("[")[0] in KEPT_PARAMETERS
