"""Which currencies are there, and how many decimals has each? ISO 4217, the retired ones included.

Currencies that are in use and their decimals come from the package `iso4217`, which carries ISO's own table. Deals of the
past were made in currencies that are gone (the kuna, the Bulgarian lev): which were ever legal tender, the package `babel`
says. The decimals of currencies in use are not taken from `babel`: CLDR tells how many are written in practice, which for 13 of
them is none where ISO has 2 or 3 (AFN, ALL, IQD, IRR, KPW, LAK, LBP, MGA, MMK, RSD, SOS, SYP, YER). Codes that are no money
(`XXX`, `XTS`, gold) have no decimals in ISO's table and are no currency here.
"""

from babel.core import get_global
from babel.numbers import get_currency_precision
from iso4217 import raw_table

_IN_USE = {
    code: int(str(told["CcyMnrUnts"])) for code, told in raw_table.items() if code and str(told["CcyMnrUnts"]).isdigit()
}
_EVER_TENDER = {
    code
    for territory in get_global("territory_currencies").values()
    for code, _, _, tender in territory
    if tender and not code.startswith("X")
}
DECIMALS: dict[str, int] = {
    code: get_currency_precision(code) for code in _EVER_TENDER if code not in raw_table
} | _IN_USE
"""Decimals of the minor unit by code: 2 for EUR, 0 for JPY."""

CURRENCIES = frozenset(DECIMALS)
