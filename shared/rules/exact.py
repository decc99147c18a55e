"""Rule **exact**: how is an amount shared so that the shares add up to it?

A negative amount is shared as its absolute amount is, each share with the sign: a refund takes back exactly what the sale gave.
"""

from shared.rules.models import Parts


def shares(amount_minor: int, weights: Parts) -> list[int]:
    """Pay `amount_minor` by weight, in minor units, by largest remainder; at equal remainders the earlier one gains.

    Linear in the number of weights but for a sort of the remainders.
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
    """A touch's paid share among its campaigns, in the order of their ids: equal parts, the first ones gain the rest."""
    part, rest = divmod(abs(share_minor), campaigns)
    parts = [part + (i < rest) for i in range(campaigns)]
    return parts if share_minor >= 0 else [-part for part in parts]
