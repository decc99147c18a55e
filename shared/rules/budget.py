"""Rule **budget**: what is the budget of a campaign whose budget has items?"""

from collections.abc import Sequence

from shared.events.money import exact_minor

STORED_MAX = 2**63  # minor units; a column holds fewer


def of_items(items: Sequence[tuple[str, str]], currency: str) -> tuple[int | None, str]:
    """The sum of items, each an amount with its currency, in minor units, and its currency.

    The sum is None, and `currency` is answered, if the items have several currencies, if one has more decimals than its
    currency, or if no column can hold the sum: sums are never converted or rounded.
    """
    currencies = {each for _, each in items}
    if len(currencies) != 1:
        return None, currency
    (of,) = currencies
    amounts_minor = [exact_minor(amount, of) for amount, _ in items]
    exact = [amount for amount in amounts_minor if amount is not None]
    total = sum(exact)
    return (total, of) if len(exact) == len(items) and abs(total) < STORED_MAX else (None, currency)
