"""How are Salesforce ids compared? They have 15 case-sensitive characters, or 18, of which the last three encode the case.

Reports show 15, exports and the API 18. We store the longer form, so that both name the same record; each of its last three
characters encodes which of five of the first fifteen are capital letters.
"""

import re

SHORT, LONG = 15, 18
_PART = 5  # characters of an id for which one character of the suffix stands
_SUFFIX = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-5]{3})?", re.ASCII)


def salesforce_id(text: str) -> str | None:
    """An id in its form of 18 characters; None if it is none. Where its case was lost, the last three characters restore it.

    `salesforce_id("0035e00000AbCdE")` and `salesforce_id("0035E00000ABCDEAAU")` name the same record, if the suffix fits.
    """
    if _ID.fullmatch(text) is None:
        return None
    if len(text) == SHORT:
        return text + _suffix(text)
    short, suffix = text[:SHORT], text[SHORT:].upper()
    if _suffix(short) == suffix:
        return short + suffix
    if short not in (short.upper(), short.lower()):
        return None  # its case is mixed, so it was kept, and the suffix is another id's
    restored = "".join(
        char.upper() if _SUFFIX.index(suffix[n // _PART]) >> n % _PART & 1 else char.lower()
        for n, char in enumerate(short)
    )
    return restored + suffix if _suffix(restored) == suffix else None


def _suffix(short: str) -> str:
    """The three characters that encode which of the fifteen are capital letters."""
    return "".join(
        _SUFFIX[sum(char.isupper() << n for n, char in enumerate(short[begin : begin + _PART]))]
        for begin in range(0, SHORT, _PART)
    )
