"""What stands for a name of a person in the log? The forms of pseudonyms, digests and sealed texts."""

import re
from typing import Literal, NamedTuple

from shared.rules.keys import Identifier, unmapped_key, visitor_key

Kind = Literal["v", "c", "e", "q", "d", "w"]
"""What a name is: `v` a visitor's id, `c` a contact's id, `e` an e-mail address, `q` a value of a URL's query that a registered
asset has, `d` a domain of the workspace's own people, `w` the workspace itself. The last three belong to no person."""

SUFFIX = ".sealed"
_RANDOM = "[a-z2-7]{24}"
_EMAIL = rf"{_RANDOM}@{_RANDOM}\.sealed"
PSEUDONYM = re.compile(rf"~(?:[vcqw]{_RANDOM}|e{_EMAIL})|{_RANDOM}\.sealed")
"""A pseudonym of any kind."""
SEALED_TEXT = re.compile(rf"~s(?P<by>[vcw]{_RANDOM}|e{_EMAIL}):(?P<sealed>[A-Za-z0-9_-]+)")
"""A text that is sealed under a person's key; `by` is the person's pseudonym without `~`."""
ANY = re.compile(f"{SEALED_TEXT.pattern}|{PSEUDONYM.pattern}")
"""Everything that stands for a name or a text."""


class Name(NamedTuple):
    """A name of a person, or another text that the vault keeps: its kind, and the text as the rules compare it."""

    kind: Kind
    text: str


def key_of(pseudonym: str) -> int:
    """The key that the projection gives a pseudonym; any other pseudonym gets a key of its own kind."""
    if pseudonym.startswith("~v"):
        return visitor_key(pseudonym)
    if pseudonym.startswith(("~c", "~e")):
        return Identifier((pseudonym.startswith("~e"), pseudonym)).key
    return unmapped_key("sealed", pseudonym)
