"""Rule **exact**: how is an amount shared so that the shares add up to it?"""

from collections.abc import Sequence
from fractions import Fraction


def shares(amount_minor: int, weights: Sequence[Fraction]) -> list[int]:
    """Pay `amount_minor` by weight, in minor units, by largest remainder; at equal remainders the earlier one gains.

    The weights add up to 1, or there are none. Linear in the number of weights but for a sort of the remainders.
    """
    exact = [amount_minor * weight for weight in weights]
    paid = [share.numerator // share.denominator for share in exact]
    left = amount_minor - sum(paid) if weights else 0
    by_remainder = sorted(range(len(exact)), key=lambda i: (paid[i] - exact[i], i))
    for i in by_remainder[:left]:
        paid[i] += 1
    return paid


def split(share_minor: int, campaigns: int) -> list[int]:
    """A touch's paid share among its campaigns, in the order of their ids: equal parts, the first ones gain the rest."""
    part, rest = divmod(share_minor, campaigns)
    return [part + (i < rest) for i in range(campaigns)]
