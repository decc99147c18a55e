"""Which media type does a client want? It says so in `Accept`."""

import re
from collections.abc import Iterable

from fastapi import Request

ENTRIES_MAX = 50  # media types of an `Accept`; browsers send eight
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?\Z")


def quality(request: Request, media_type: str) -> tuple[float, bool]:
    """How much a client wants a media type (0 to 1), and whether it names it; the most specific entry of `Accept` counts."""
    best, found = -1, 0.0
    entries = ",".join(request.headers.getlist("accept")) or "*/*"
    for entry in entries.split(",", ENTRIES_MAX)[:ENTRIES_MAX]:
        name, *parameters = (part.strip().lower() for part in entry.split(";"))
        specific = {media_type: 2, media_type.partition("/")[0] + "/*": 1, "*/*": 0}.get(name, -1)
        if specific > best:
            best, found = specific, _q_of(parameters)
    return found, best == 2


def _q_of(parameters: Iterable[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return float(value) if _NUMBER.match(value) else 0.0
    return 1.0
