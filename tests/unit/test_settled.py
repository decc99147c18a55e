"""Rule settled: how late events come, and up to when numbers are therefore settled."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.rules.settled import LIVE_US_MAX, SECOND_US, bucket, counted, edge_us, settled_through_us

NOW_US = 10**15


@given(st.integers(-(10**9), LIVE_US_MAX))
def test_a_bucket_holds_what_is_no_later_than_its_edge(late_us: int) -> None:
    number = bucket(late_us)
    assert number is not None
    assert late_us <= edge_us(number)
    assert number == 0 or late_us > edge_us(number - 1) - 1  # edges are rounded up to a microsecond


@given(st.lists(st.integers(0, LIVE_US_MAX), min_size=1, max_size=2000))
def test_hardly_any_event_came_later_than_settled(late_us: list[int]) -> None:
    at_us = settled_through_us(NOW_US, counted(late_us))
    assert at_us is not None
    assert sum(late > NOW_US - at_us for late in late_us) <= len(late_us) / 1000
    assert NOW_US - at_us <= max(*late_us, SECOND_US) * 1.19 + 1


@pytest.mark.parametrize("late_us", [LIVE_US_MAX + 1, 400 * 86_400 * SECOND_US])
def test_a_backfill_says_nothing(late_us: int) -> None:
    assert counted([late_us]) == {}
    assert settled_through_us(NOW_US, counted([late_us])) is None


def test_one_in_a_thousand_may_come_later() -> None:
    late = [SECOND_US] * 999 + [86_400 * SECOND_US]
    assert settled_through_us(NOW_US, counted(late)) == NOW_US - SECOND_US
    assert settled_through_us(NOW_US, counted(late[1:])) == NOW_US - edge_us(bucket(86_400 * SECOND_US) or 0)
