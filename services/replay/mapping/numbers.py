"""Which number does a text mean? `1.200,50` and `1,200.50` show which sign is the decimal one; a bare `1.200` does not.

The cells of a column are considered together: a cell that can be read in only one way decides how the others are read.
"""

import re
import unicodedata
from collections import defaultdict
from functools import cache
from typing import Literal

from babel import Locale

from services.replay.mapping.errors import BadCell
from shared.events.currencies import CURRENCIES

Decimal = Literal[",", "."]
SIGNS: tuple[Decimal, ...] = (".", ",")

_CURRENCY_SIGNS = "".join(chr(code) for code in range(0x24, 0x10000) if unicodedata.category(chr(code)) == "Sc")
_CURRENCY = rf"(?:[A-Za-z]{{0,3}}[{re.escape(_CURRENCY_SIGNS)}]|[A-Z]{{3}}|kr\.?|Kr\.?|Fr\.?|zł|Kč|Ft|lei|Rp\.?|RM)"
_AROUND = re.compile(
    rf"(?P<minus>-)? ?(?:(?P<before>{_CURRENCY}) ?)?(?P<inner>-)? ?(?P<core>[\d.,' ]*\d(?:[.,]-)?)"
    rf"(?P<behind>-)?(?: ?(?P<after>{_CURRENCY}))?",
    re.ASCII,
)
SIGNS_OF_MANY = ("$", "¥")  # which mean one currency in English texts, but others where they are local
TEXT_CHARACTERS_MAX = 64  # of a number with its currency; a longer text is not a number
_BLANKS = dict.fromkeys(map(ord, "\u00a0\u202f\u2009\u2007\u2002\u2003\t"), " ")
_LIKE = {**_BLANKS, ord("\u2212"): "-", ord("\u2013"): "-", ord("\u2014"): "-", ord("\u2019"): "'", ord("\u02bc"): "'"}


def _form(decimal: Decimal) -> re.Pattern[str]:
    thousands = "".join(re.escape(sign) for sign in (",.' ".replace(decimal, "")))
    point = re.escape(decimal)
    indian = rf"|[1-9]\d?(?:,\d{{2}})+,\d{{3}}(?:{point}\d+)?" if decimal == "." else ""
    return re.compile(
        rf"[1-9]\d{{0,2}}(?P<sign>[{thousands}])\d{{3}}(?:(?P=sign)\d{{3}})*(?:{point}(?:\d+|-))?|\d*{point}\d+|\d+(?:{point}-)?{indian}",
        re.ASCII,
    )


_FORMS = {decimal: _form(decimal) for decimal in SIGNS}


def readings(text: str) -> dict[Decimal, str]:
    """A text as a decimal string, by each sign that may be its decimal one; empty if it is not a number.

    `readings("1.200") == {".": "1.200", ",": "1200"}`
    """
    found, negative = _around(text)
    if found is None:
        return {}
    signs = [bool(found[name]) for name in ("minus", "inner", "behind")]
    if sum(signs) + negative > 1:
        return {}
    core = found["core"].strip()
    out: dict[Decimal, str] = {}
    for decimal, form in _FORMS.items():
        if form.fullmatch(core):
            whole, _, fraction = core.removesuffix(f"{decimal}-").partition(decimal)
            whole = re.sub(r"\D", "", whole) or "0"
            minus = "-" if any(signs) or negative else ""
            out[decimal] = minus + whole + (f".{fraction}" if fraction else "")
    return out


def _around(text: str) -> tuple[re.Match[str] | None, bool]:
    """The match of a number with the signs around it, and whether it is in parentheses, which make it negative."""
    if len(text) > TEXT_CHARACTERS_MAX:
        return None, False
    plain = " ".join(text.translate(_LIKE).split())
    negative = plain.startswith("(") and plain.endswith(")")
    return _AROUND.fullmatch(plain[1:-1].strip() if negative else plain), negative


@cache
def _by_sign() -> dict[str, str]:
    """Currencies by the signs that mean only one currency, from CLDR's English data (`€`, `£`, `CA$`)."""
    signs: dict[str, set[str]] = defaultdict(set)
    for code, sign in Locale("en").currency_symbols.items():
        if code in CURRENCIES:
            signs[sign].add(code)
    return {sign: codes.pop() for sign, codes in signs.items() if len(codes) == 1 and sign not in SIGNS_OF_MANY}


def currency_in(text: str) -> str | None:
    """The currency beside a number: `1 200,50 NOK`, `€ 99`. None if there is none, or a sign of several. Raises `BadCell`."""
    found, _ = _around(text)
    signs = [] if found is None else [sign for sign in (found["before"], found["after"]) if sign]
    codes = {sign if sign in CURRENCIES else _by_sign().get(sign) for sign in signs} - {None}
    if len(codes) > 1:
        raise BadCell(f"{text!r} names two currencies")
    return codes.pop() if codes else None


class Numbers:
    """Reads the numbers of one column. Call `observe` with every cell first, then `read`."""

    def __init__(self, decimal_sign: Decimal | None, *, comma_between_columns: bool) -> None:
        """`decimal_sign` is the decimal sign that the mapping or the user gives.

        `comma_between_columns`: commas or tabs separate the columns, so the program that wrote the file uses decimal points.
        """
        self._decimal_sign = decimal_sign
        self._comma_between_columns = comma_between_columns
        self._proven: set[Decimal] = set()

    def observe(self, text: str) -> None:
        """Learn from a cell: a cell that is a number with only one decimal sign proves that sign."""
        found = readings(text)
        if len(found) == 1:
            self._proven |= found.keys()

    def read(self, text: str) -> str:
        """A cell as a decimal string such as `1200.50`. Raises `BadCell`."""
        found = readings(text)
        if not found:
            raise BadCell(f"{text!r} is not a number such as 1200.50 or 1,200.50")
        if self._decimal_sign is not None:
            if self._decimal_sign not in found:
                raise BadCell(f"{text!r} is not a number with the decimal sign {self._decimal_sign!r}")
            return found[self._decimal_sign]
        values = set(found.values())
        if len(values) == 1:
            return values.pop()
        if len(self._proven) == 1:
            return found[next(iter(self._proven))]
        if not self._proven and self._comma_between_columns and "," in text:
            return found["."]
        either = " or ".join(sorted(values, key=len))
        raise BadCell(
            f"{text!r} can be {either}, and the column does not settle which: say --decimal , or --decimal . (in a mapping, decimal)"
        )
