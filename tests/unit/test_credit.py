"""Is every amount shared exactly, and as the model says?"""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.events.instants import DAY_US
from shared.events.money import to_amount, to_minor
from shared.rules.exact import shares, split
from shared.rules.models import MODELS, Role, weights

F, LC, DC, L = Role.FIRST, Role.LEAD_CREATION, Role.DEAL_CREATION, Role.LAST

# model, number of touches, key interactions by index, weights in percent as the rules' table gives them
TABLE = [
    ("first_interaction", 3, {F: 0, L: 2}, [100, 0, 0]),
    ("last_interaction", 3, {F: 0, L: 2}, [0, 0, 100]),
    ("linear", 4, {F: 0, L: 3}, [25, 25, 25, 25]),
    ("u_shaped", 4, {F: 0, LC: 2, L: 3}, [40, 10, 40, 10]),  # 20 for two others
    ("u_shaped", 2, {F: 0, LC: 1, L: 1}, [50, 50]),  # no others: 40/40 scaled to 100
    ("u_shaped", 3, {F: 0, L: 2}, [Fraction(200, 3), Fraction(50, 3), Fraction(50, 3)]),  # no lead: 40 and 20 of 60
    ("w_shaped", 4, {F: 0, LC: 1, DC: 2, L: 3}, [30, 30, 30, 10]),
    ("w_shaped", 3, {F: 0, LC: 0, DC: 1, L: 2}, [60, 30, 10]),  # one touch has two roles
    ("full_path", 5, {F: 0, LC: 1, DC: 2, L: 4}, [Fraction(45, 2), Fraction(45, 2), Fraction(45, 2), 10, Fraction(45, 2)]),
    ("full_path", 1, {F: 0, LC: 0, DC: 0, L: 0}, [100]),
    ("j_shaped", 2, {F: 0, L: 1}, [25, 75]),  # 20/60 scaled to 100
    ("j_shaped", 4, {F: 0, L: 3}, [20, 10, 10, 60]),
    ("inverse_j_shaped", 3, {F: 0, L: 2}, [60, 20, 20]),
]  # fmt: skip


@pytest.mark.parametrize(("model", "touches", "roles", "percent"), TABLE)
def test_weights(model: str, touches: int, roles: dict[Role, int], percent: list[int | Fraction]) -> None:
    parts = weights(MODELS[model], roles, [DAY_US] * touches)
    assert [parts.fraction(i) * 100 for i in range(touches)] == percent


def test_time_decay_halves_every_seven_days() -> None:
    parts = weights(MODELS["time_decay"], {}, [14 * DAY_US, 7 * DAY_US, 0])
    assert [parts.fraction(i) for i in range(3)] == [Fraction(1, 7), Fraction(2, 7), Fraction(4, 7)]


def test_time_decay_is_taken_to_twelve_digits() -> None:
    parts = weights(MODELS["time_decay"], {}, [DAY_US, 0])
    assert parts.fraction(0) / parts.fraction(1) == Fraction("0.905723664264")  # 2^(-1/7) = 0.90572366426390671...


amounts = st.integers(-(10**12), 10**12)
journeys = st.integers(1, 30).flatmap(
    lambda n: st.tuples(
        st.sampled_from(list(MODELS)),
        st.dictionaries(st.sampled_from(list(Role)), st.integers(0, n - 1)),
        st.lists(st.integers(0, 400 * DAY_US), min_size=n, max_size=n),
    )
)


@given(amounts, journeys)
def test_shares_add_up_to_the_amount(minor: int, journey: tuple[str, dict[Role, int], list[int]]) -> None:
    model, roles, ages_us = journey
    assert sum(shares(minor, weights(MODELS[model], roles, ages_us))) == minor


@given(amounts, journeys)
def test_a_share_is_within_one_minor_unit_of_its_exact_part(
    minor: int, journey: tuple[str, dict[Role, int], list[int]]
) -> None:
    parts = weights(MODELS[journey[0]], journey[1], journey[2])
    for i, paid in enumerate(shares(minor, parts)):
        assert abs(paid - minor * parts.fraction(i)) < 1


@given(amounts, st.integers(1, 20))
def test_campaigns_of_one_touch_share_it_exactly_the_first_gaining_the_rest(minor: int, campaigns: int) -> None:
    parts = split(minor, campaigns)
    assert sum(parts) == minor
    assert parts == sorted(parts, key=abs, reverse=True)
    assert abs(parts[0] - parts[-1]) <= 1


@given(amounts, journeys, st.integers(1, 20))
def test_a_refund_takes_back_exactly_what_the_sale_gave(
    minor: int, journey: tuple[str, dict[Role, int], list[int]], campaigns: int
) -> None:
    parts = weights(MODELS[journey[0]], journey[1], journey[2])
    sale, refund = shares(minor, parts), shares(-minor, parts)
    assert refund == [-paid for paid in sale]
    assert [split(paid, campaigns) for paid in refund] == [[-part for part in split(paid, campaigns)] for paid in sale]


@pytest.mark.parametrize(
    ("minor", "paid"),
    [
        (-10000, [-3334, -3333, -3333]),
        (-1, [-1, 0, 0]),
        (-2, [-1, -1, 0]),
        (0, [0, 0, 0]),
        (1, [1, 0, 0]),
        (-3, [-1, -1, -1]),
    ],
)
def test_the_earlier_touch_gains_the_rest_of_a_negative_amount_too(minor: int, paid: list[int]) -> None:
    assert shares(minor, weights(MODELS["linear"], {}, [0, 0, 0])) == paid
    assert split(minor, 3) == paid


@pytest.mark.parametrize(
    ("amount", "currency", "minor", "shown"),
    [("1200.50", "NOK", 120050, "1200.50"), ("7", "EUR", 700, "7.00"), ("1200", "JPY", 1200, "1200"),
     ("0.007", "KWD", 7, "0.007"), ("-3.10", "EUR", -310, "-3.10"), ("0.005", "EUR", 0, "0.00"), ("0.015", "EUR", 2, "0.02")],
)  # fmt: skip
def test_money_is_minor_units(amount: str, currency: str, minor: int, shown: str) -> None:
    assert to_minor(amount, currency) == minor
    assert to_amount(minor, currency) == shown
