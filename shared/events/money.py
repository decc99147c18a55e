"""How much is it, exactly? Money is an integer of minor units with its currency; never a float.

The number of decimals follows ISO 4217.
"""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import TypedDict

_DECIMALS_OTHER_THAN_TWO = {
    **dict.fromkeys(
        ["BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF",
         "XOF", "XPF"], 0),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
    **dict.fromkeys(["CLF", "UYW"], 4),
}  # fmt: skip


class Money(TypedDict):
    """Money on the wire: `{"amount": "1200.50", "currency": "NOK"}`."""

    amount: str
    currency: str


def decimals(currency: str) -> int:
    """Decimals of the currency's minor unit: 2 for EUR, 0 for JPY."""
    return _DECIMALS_OTHER_THAN_TWO.get(currency, 2)


def to_minor(amount: str, currency: str) -> int:
    """`to_minor("1200.50", "NOK") == 120050`. Decimals beyond the currency's are rounded half to even."""
    scaled = Decimal(amount).scaleb(decimals(currency))
    return int(scaled.to_integral_value(rounding=ROUND_HALF_EVEN))


def is_exact(amount: str, currency: str) -> bool:
    """Whether the currency can express the amount without rounding."""
    scaled = Decimal(amount).scaleb(decimals(currency))
    return scaled == scaled.to_integral_value()


def to_amount(amount_minor: int, currency: str) -> str:
    """`to_amount(120050, "NOK") == "1200.50"`."""
    return f"{Decimal(amount_minor).scaleb(-decimals(currency)):f}"


def to_money(amount_minor: int, currency: str) -> Money:
    """The wire's form of an amount in minor units."""
    return {"amount": to_amount(amount_minor, currency), "currency": currency}
