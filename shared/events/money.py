"""How are amounts represented exactly? As an integer of minor units with a currency, never a float.

The number of decimals follows ISO 4217.
"""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import TypedDict

from shared.events.currencies import DECIMALS


class Money(TypedDict):
    """Money on the wire: `{"amount": "1200.50", "currency": "NOK"}`."""

    amount: str
    currency: str


def decimals(currency: str) -> int:
    """Decimals of the currency's minor unit: 2 for EUR, 0 for JPY."""
    return DECIMALS.get(currency, 2)  # a log may hold codes that are no longer accepted


def to_minor(amount: str, currency: str) -> int:
    """`to_minor("1200.50", "NOK") == 120050`. Decimals beyond the currency's are rounded half to even."""
    scaled = Decimal(amount).scaleb(decimals(currency))
    return int(scaled.to_integral_value(rounding=ROUND_HALF_EVEN))


def is_exact(amount: str, currency: str) -> bool:
    """Whether the currency can express the amount without rounding."""
    scaled = Decimal(amount).scaleb(decimals(currency))
    return scaled == scaled.to_integral_value()


def exact_minor(amount: str, currency: str) -> int | None:
    """The amount in minor units; None if the currency has too few decimals for it: an amount is never rounded (rule **deal**)."""
    return to_minor(amount, currency) if is_exact(amount, currency) else None


def to_amount(amount_minor: int, currency: str) -> str:
    """`to_amount(120050, "NOK") == "1200.50"`."""
    return f"{Decimal(amount_minor).scaleb(-decimals(currency)):f}"


def to_money(amount_minor: int, currency: str) -> Money:
    """An amount in minor units, as the wire has it."""
    return {"amount": to_amount(amount_minor, currency), "currency": currency}
