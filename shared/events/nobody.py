r"""Which texts identify nobody? Words that a program or a table writes where an id should be: `undefined`, `NULL`, `\N`, `0`.

All persons with such a word as id would be merged into one, for ever. The list is `nobody.json`, with its sources; a workspace
can add words (setting `nobody`).
"""

import json
from collections.abc import Collection
from importlib.resources import files

INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad"))
"""Invisible characters, which are copied along unnoticed, for `str.translate`."""

_LIST = json.loads((files("shared.events") / "nobody.json").read_text())
WORDS: frozenset[str] = frozenset(_LIST["words"])
NO_MAILBOX: frozenset[str] = frozenset(_LIST["no_mailbox"])
_PLACEHOLDERS: tuple[tuple[str, str], ...] = tuple((begin, end) for begin, end in _LIST["placeholders"])
_BEGINNINGS = tuple({begin for begin, _ in _PLACEHOLDERS})
_BLANKS = "".join(filter(str.isspace, map(chr, range(0x3001))))  # U+3000 is the last one
_AROUND = _BLANKS + "\"'`\u2018\u2019\u201c\u201d"
_NOTHING = "0@-.,:_/{}()[]\u2013\u2014 "


def folded(text: str) -> str:
    """The text as it is compared: without invisible characters, blanks and quotes around it, in lower case."""
    if not text.isascii():
        text = text.translate(INVISIBLE)
    return text.strip(_AROUND).casefold()


def names_nobody(text: str, also: Collection[str] = ()) -> bool:
    """Whether an id or e-mail identifies nobody; `also` are a workspace's own words, each as `folded` returns it.

    An e-mail identifies nobody if its host is such a word (`kari@undefined`), if both the part before the host and the host's
    first label are (`null@null.com`), or if that part is one that no mailbox has (`undefined@shop.example`).
    """
    word = folded(text)
    if word in WORDS or word in also or not word.strip(_NOTHING):
        return True
    if _is_placeholder(word):
        return True
    name, at, host = word.rpartition("@")
    if not at:
        return False
    if (host and _is_word(host)) or name in NO_MAILBOX or _is_placeholder(name):
        return True
    return _is_word(name) and _is_word(host.partition(".")[0])


def _is_word(text: str) -> bool:
    return text in WORDS or not text.strip(_NOTHING) or _is_placeholder(text)


def _is_placeholder(word: str) -> bool:
    return word.startswith(_BEGINNINGS) and any(
        word.startswith(begin) and word.endswith(end) for begin, end in _PLACEHOLDERS
    )
