"""When are two e-mail addresses the same, and is a text an address at all? All code that compares addresses uses this file.

`Kari@Example.no`, ` <kari@example.no>`, `mailto:kari@example.no?subject=hi` and `kari@example.no` with a zero-width space from a
copied page are the same address.
"""

import re
import unicodedata
from functools import lru_cache
from urllib.parse import unquote

import idna

from shared.events.limits import ID_CHARACTERS_MAX
from shared.events.nobody import INVISIBLE

CACHED_EMAILS = 16_384  # about 3 MB; an event's address is normalised several times
MAILTO = "mailto:"
PUNYCODE = "xn--"  # a label of a host in its ASCII form begins so (RFC 5891)
_PART = r"[^@\s,;:\"()<>\[\]\\\x00-\x1f\x7f-\x9f]+"
PLAUSIBLE = re.compile(rf"{_PART}@(?![.-]){_PART}")
"""Two parts without characters that separate or wrap addresses. RFC 5321 allows more in a quoted name, but nobody has one."""


@lru_cache(CACHED_EMAILS)
def normalised_email(text: str) -> str:
    """The address as it is stored and compared (rule **contact**).

    Without invisible characters, `mailto:` and `<>`; trimmed, NFC, in lower case; its host as `normalised_host` gives it. An
    address in this form is returned unchanged.
    """
    for _ in range(
        ID_CHARACTERS_MAX
    ):  # a removed part may reveal another one to remove; the text gets shorter each time
        before, text = text, _normalised_once(text)
        if text == before:
            break
    return text


def _normalised_once(text: str) -> str:
    if not text.isascii():
        text = unicodedata.normalize("NFC", text.translate(INVISIBLE)).lower()
        text = unicodedata.normalize("NFC", text)
    text = _unwrapped(text.strip().lower())
    name, at, host = text.rpartition("@")
    return name + at + normalised_host(host) if at else text


def _unwrapped(text: str) -> str:
    if text.startswith("<") and text.endswith(">"):
        return text[1:-1]
    if text.startswith(MAILTO):
        return unquote(text.removeprefix(MAILTO).partition("?")[0]).lower()
    return text


def normalised_host(host: str) -> str:
    """A host as it is compared: in lower case, without a dot at its end, its labels in Unicode, not in punycode."""
    host = host.strip().rstrip(".").lower()
    if PUNYCODE not in host:
        return host
    try:
        return unicodedata.normalize("NFC", idna.decode(host))
    except idna.IDNAError:
        return host


def is_plausible(email: str) -> bool:
    """Whether a normalised text can be an address: a name and a host with one `@` between, no characters that separate addresses.

    A host of one label is allowed (`kari@intranet`).
    """
    return PLAUSIBLE.fullmatch(email) is not None and ".." not in email.partition("@")[2]
