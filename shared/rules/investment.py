"""Rule **return**: what did a campaign cost per contact and deal, and what came back of each unit of money that was spent?"""

from decimal import ROUND_HALF_EVEN, Decimal

HUNDREDTH = Decimal("0.01")


def cost_minor(spend_minor: int, number: int) -> int | None:
    """What each of a number of contacts or deals cost, in minor units, rounded half to even; None if there are none."""
    if number == 0:
        return None
    return int((Decimal(spend_minor) / number).to_integral_value(ROUND_HALF_EVEN))


def return_on(spend_minor: int, attributed_minor: int) -> str | None:
    """(attributed revenue − spend) / spend as a decimal with two places, rounded half to even; None if nothing was spent.

    `"2.41"` says that each unit spent came back with 2.41 more; `"-1.00"` that nothing came back.
    """
    if spend_minor <= 0:
        return None
    ratio = Decimal(attributed_minor - spend_minor) / spend_minor
    return str(ratio.quantize(HUNDREDTH, ROUND_HALF_EVEN) + 0)
