"""From which web pages may a collect key be used? Pages are named by their origin: scheme, host and port.

A key without a list may be used from pages of every origin. An origin of a list is exact (`https://shop.example`), or names all
subdomains of a host (`https://*.shop.example`, which is not `https://shop.example` itself).
The list keeps honest pages apart; it stops no program, which may send any `Origin` header, or none.
"""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

import idna

ORIGINS_MAX = 100  # of a key: the sites of a company, with their test sites
ORIGIN_CHARACTERS_MAX = 300  # a host has 253 at most
_FORM = re.compile(r"https?://(\*\.)?[^\s/?#@*\\]+/?", re.IGNORECASE)
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\]")
_PORTS = {"http": 80, "https": 443}


def read_origin(text: str) -> str:
    """An origin as browsers write it: in lower case, the host in ASCII, no default port. Raises `ValueError` if it is none."""
    stripped = text.strip()
    wrong = f"{text[:100]!r} is not an origin such as https://shop.example or https://*.shop.example:8443"
    if len(stripped) > ORIGIN_CHARACTERS_MAX or not _FORM.fullmatch(stripped):
        raise ValueError(wrong)
    scheme, _, rest = stripped.rstrip("/").partition("://")
    scheme, any_of = scheme.lower(), "*." if rest.startswith("*.") else ""
    try:
        parts = urlsplit(f"{scheme}://{rest.removeprefix('*.')}")
        host, port = parts.hostname or "", parts.port
        host = host if host.isascii() else idna.encode(host, uts46=True).decode()
    except (ValueError, idna.IDNAError) as error:
        raise ValueError(wrong) from error
    if ":" in host:
        host = f"[{host}]"
    if not _HOST.fullmatch(host) or not all(host.split(".")) or port == 0:
        raise ValueError(wrong)
    return f"{scheme}://{any_of}{host}" + (f":{port}" if port is not None and port != _PORTS[scheme] else "")


def read_origins(texts: Sequence[str]) -> list[str]:
    """The origins of a list, each once, in order. Raises `ValueError`, which says which one is wrong."""
    origins = sorted({read_origin(text) for text in texts})
    if len(origins) > ORIGINS_MAX:
        raise ValueError(f"a key has {ORIGINS_MAX} origins at most, not {len(origins)}")
    return origins


def allows(origins: Sequence[str] | None, origin: str) -> bool:
    """Whether a page of this origin (the header `Origin` of a browser) may use a key with this list; None: it has no list."""
    if origins is None or origin in origins:
        return True
    scheme, _, rest = origin.partition("://")
    labels = rest.split(".")
    return any(f"{scheme}://*.{'.'.join(labels[n:])}" in origins for n in range(1, len(labels)))
