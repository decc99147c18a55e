"""Which currencies exist, and how many decimals has each? ISO 4217, including retired currencies.

Current currencies and their decimals come from the package `iso4217`, which contains ISO's own table. Old deals may be in
retired currencies (the kuna, the Bulgarian lev): the package `babel` lists all that were ever legal tender. The decimals of
current currencies are not taken from `babel`: CLDR gives how many are written in practice, which for 13 of them is none where
ISO has 2 or 3 (AFN, ALL, IQD, IRR, KPW, LAK, LBP, MGA, MMK, RSD, SOS, SYP, YER). Codes that are not money (`XXX`, `XTS`, gold)
have no decimals in ISO's table and are not currencies here.
"""

from babel.core import get_global
from babel.numbers import get_currency_precision
from iso4217 import raw_table

_IN_USE = {
    code: int(str(entry["CcyMnrUnts"]))
    for code, entry in raw_table.items()
    if code and str(entry["CcyMnrUnts"]).isdigit()
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
