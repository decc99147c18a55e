"""Rule **exact**: how is an amount divided so that the shares add up to it exactly?

A negative amount is divided like its absolute value, each share with a minus sign: a refund cancels exactly the shares of the sale.
"""

from shared.rules.models import Parts


def shares(amount_minor: int, weights: Parts) -> list[int]:
    """Divide `amount_minor` by weight, in minor units, by largest remainder; of equal remainders the earlier gets the unit.

    Linear in the number of weights, except for a sort of the remainders.
    """
    paid, short = [], []
    for i, part in enumerate(weights.parts):
        share, remainder = divmod(abs(amount_minor) * part, weights.total)
        paid.append(share)
        short.append((-remainder, i))
    left = abs(amount_minor) - sum(paid) if paid else 0
    for _, i in sorted(short)[:left]:
        paid[i] += 1
    return paid if amount_minor >= 0 else [-share for share in paid]


def split(share_minor: int, campaigns: int) -> list[int]:
    """Divide a touch's share equally among its campaigns, in the order of their ids; the first ones get one more minor unit each."""
    part, rest = divmod(abs(share_minor), campaigns)
    parts = [part + (i < rest) for i in range(campaigns)]
    return parts if share_minor >= 0 else [-part for part in parts]
