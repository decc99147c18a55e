"""Rule **address**: which addresses are the same?

A URL is split into its parts as in RFC 3986, but any text can be split: an error in one part does not affect the others.
"""

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

import idna

CACHED_HOSTS = 16_384  # about 3 MB
HOST_CHARACTERS_MAX = 253  # of DNS; a longer text is not a host, and encoding it would take quadratic time
DEFAULT_PORTS = ("80", "443")  # of http and https: the scheme is no part of an address

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
# A path that is written as the rule compares it: nothing encoded, no dot segment, no empty segment.
_PLAIN = re.compile(r"(?:/(?![.])[A-Za-z0-9._~!$&'()*+,;=:@-]+)*/?")
_ENCODED = re.compile(r"(?:%[0-9A-Fa-f]{2})+")
_TO_ENCODE = re.compile(r"%(?![0-9A-F]{2})|[\x00-\x20\"<>\\^`{|}\x7f]")  # characters that must be encoded in a URL
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_DOTS = re.compile("[.\u3002\uff0e\uff61]")  # what separates the labels of a host in any script
_BREAKS = re.compile("[\t\r\n]")  # browsers remove them
_SLASHES = re.compile("//+")


class Parts(NamedTuple):
    """A URL's parts, unchanged; absent parts are empty."""

    scheme: str
    authority: str
    path: str
    query: str
    fragment: str


class Host(NamedTuple):
    """A host in ASCII, without `www.`, and the port as an address shows it: `:8080`, or nothing."""

    name: str
    port: str


def split(url: str) -> Parts:
    """Cut a URL. Without a scheme it begins with its host, or with its path if it begins with one slash."""
    if _BREAKS.search(url) is not None:
        url = _BREAKS.sub("", url)
    rest, _, fragment = url.strip().partition("#")
    rest, _, query = rest.partition("?")
    scheme = ""
    if (found := _SCHEME.match(rest)) is not None:
        scheme, rest = rest[: found.end() - 3].lower(), rest[found.end() :]
    elif rest.startswith("//"):
        rest = rest[2:]
    elif rest.startswith("/"):
        return Parts("", "", rest, query, fragment)
    authority, slash, path = rest.partition("/")
    return Parts(scheme, authority, slash + path, query, fragment)


@lru_cache(CACHED_HOSTS)
def host_of(authority: str) -> Host:
    """The host and port of an authority such as `user@www.Shop.example:443`. A port that is not valid is kept as text."""
    where = authority.rpartition("@")[2]
    if where.startswith("[") and "]" in where:
        name, _, port = where.partition("]")
        name, port = name + "]", port.removeprefix(":")
    else:
        name, _, port = where.partition(":")
    port = str(int(port)) if port.isascii() and port.isdigit() and len(port) < 10 else port
    return Host(without_www(ascii_host(name)), "" if port in ("", *DEFAULT_PORTS) else f":{port}")


def ascii_host(name: str) -> str:
    """A host as IDNA (UTS 46) writes it in ASCII: lower case, no dot at its end. A text that is not a host name is only lower-cased."""
    name = unquote(name) if "%" in name else name
    if name.isascii() or len(name) > HOST_CHARACTERS_MAX:
        return name.lower().rstrip(".")
    try:
        mapped = idna.uts46_remap(name)
    except idna.IDNAError:
        mapped = unicodedata.normalize("NFC", name).lower()
    return ".".join(map(_label, _DOTS.split(mapped))).rstrip(".")


def _label(label: str) -> str:
    """One label in ASCII; a label that IDNA does not allow, such as an emoji, is encoded as browsers do."""
    if label.isascii():
        return label
    try:
        return idna.alabel(label).decode()
    except idna.IDNAError:
        return "xn--" + label.encode("punycode").decode()


def without_www(host: str) -> str:
    """The host without a leading `www.`."""
    return host.removeprefix("www.")


def same_path(path: str) -> str:
    """The normal form of a path, the same for all equal paths: RFC 3986's normalisation, UTF-8 octets decoded, NFC.

    Encoded reserved characters stay encoded (`%2F` is not a slash), and so do octets that are not UTF-8. Repeated slashes become
    one, and a slash at the end is removed.
    """
    if _PLAIN.fullmatch(path) is None:
        path = _TO_ENCODE.sub(lambda m: f"%{ord(m[0]):02X}", _ENCODED.sub(_decoded, path))
        if not path.isascii():
            path = unicodedata.normalize("NFC", path)
        path = _SLASHES.sub("/", _without_dots(path))
    return path.removesuffix("/")


def _decoded(run: re.Match[str]) -> str:
    """A run of encoded octets, each decoded if that does not change the meaning of the address."""
    out = []
    for char in bytes.fromhex(run[0].replace("%", "")).decode("utf-8", "surrogateescape"):
        code = ord(char)
        if 0xDC80 <= code <= 0xDCFF:  # an octet that is no UTF-8
            out.append(f"%{code - 0xDC00:02X}")
        else:
            out.append(char if code >= 0x80 or char in _UNRESERVED else f"%{code:02X}")
    return "".join(out)


def _without_dots(path: str) -> str:
    """The path without `.` and `..` segments."""
    if "/." not in path:
        return path
    out: list[str] = []
    for segment in path.split("/")[1:]:
        if segment == "..":
            del out[-1:]
        elif segment != ".":
            out.append(segment)
    ends_open = path.endswith(("/.", "/.."))
    return "".join("/" + segment for segment in out) + ("/" if ends_open else "")
