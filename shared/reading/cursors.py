"""How is a long list answered in pages? Each page but the last names a cursor: the key of its last item, encoded."""

import base64
from collections.abc import Sequence
from typing import Any

import orjson

INT64 = range(-(2**63), 2**63)


def encode_cursor(key: Sequence[Any]) -> str:
    """A cursor for the page after the item with this key; who gets it is to send it back as it is."""
    return base64.urlsafe_b64encode(orjson.dumps(list(key))).decode().rstrip("=")


def decode_cursor(cursor: str) -> list[Any]:
    """The key that a cursor was made of. Raises `ValueError` for what `encode_cursor` cannot have made."""
    key = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    if not isinstance(key, list) or not all(_may_be_in_key(value) for value in key):
        raise ValueError("a cursor holds a list of texts and numbers")
    return key


def _may_be_in_key(value: Any) -> bool:
    """Whether a value may be part of a list's key: a text that PostgreSQL can hold, or a 64-bit number."""
    return "\0" not in value if isinstance(value, str) else type(value) is int and value in INT64
