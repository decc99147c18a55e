"""What readers ask the rules of a touch, a new contact and a deal: each answer once, for the overview and for explanations."""

from typing import get_args

import pytest

from shared.events.types import GoalMetric
from shared.reading.overview import METRICS
from shared.rules.deal import State, brings_revenue, counts, dated_us
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.first_and_last_touch import is_first_touch, is_last_touch, is_last_touch_by_utm
from shared.rules.influence import TouchType
from shared.rules.order import Order
from shared.rules.pre_association import KeptOut, Route, WindowStatus, kept_out

COUNTS, BEFORE, AFTER = WindowStatus.COUNTS, WindowStatus.BEFORE_ASSOCIATION, WindowStatus.AFTER_ASSOCIATION_ENDED
NOT_THEN = WindowStatus.UTM_NOT_CLAIMED_THEN
COUNTED, MACHINE, INTERNAL = TrafficClass.COUNTED, TrafficClass.MACHINE, TrafficClass.INTERNAL


@pytest.mark.parametrize(
    ("traffic_class", "by_route", "wanted"),
    [
        (COUNTED, {Route.ASSET: COUNTS}, None),
        (COUNTED, {Route.ASSET: BEFORE, Route.UTM: COUNTS}, None),
        (COUNTED, {Route.UTM: NOT_THEN, Route.VIA: AFTER}, KeptOut.AFTER_ASSOCIATION_ENDED),
        (COUNTED, {Route.UTM: NOT_THEN}, KeptOut.UTM_NOT_CLAIMED_THEN),
        (MACHINE, {Route.ASSET: COUNTS}, KeptOut.MACHINE),
        (INTERNAL, {Route.ASSET: BEFORE}, KeptOut.INTERNAL),
    ],
)
def test_a_touch_is_kept_out_by_its_class_else_by_its_lowest_route_unless_one_counts(
    traffic_class: TrafficClass, by_route: dict[Route, WindowStatus], wanted: KeptOut | None
) -> None:
    assert kept_out(traffic_class, by_route) == wanted


@pytest.mark.parametrize(
    ("traffic_class", "by_route"), [(COUNTED, {}), (TrafficClass.RETRACTED, {Route.ASSET: COUNTS})]
)
def test_what_is_no_touch_of_the_campaign_is_refused(
    traffic_class: TrafficClass, by_route: dict[Route, WindowStatus]
) -> None:
    with pytest.raises(ValueError, match="touch"):
        kept_out(traffic_class, by_route)


def test_a_first_touch_is_of_the_asset_or_the_utm_and_not_of_what_brought_the_visit() -> None:
    assert is_first_touch(COUNTED, {Route.ASSET: COUNTS})
    assert is_first_touch(COUNTED, {Route.ASSET: BEFORE, Route.UTM: COUNTS})
    assert not is_first_touch(COUNTED, {Route.VIA: COUNTS})
    assert not is_first_touch(COUNTED, {Route.ASSET: BEFORE, Route.UTM: NOT_THEN})
    assert not is_first_touch(MACHINE, {Route.ASSET: COUNTS})


def test_a_last_touch_is_up_to_and_including_the_conversion() -> None:
    conversion = Order(5, "b")
    assert is_last_touch(Order(5, "b"), TouchType.FORM_SUBMITTED, COUNTED, COUNTS, conversion)
    assert is_last_touch(Order(5, "a"), TouchType.PAGE_VISITED, COUNTED, COUNTS, conversion)
    assert not is_last_touch(Order(5, "c"), TouchType.PAGE_VISITED, COUNTED, COUNTS, conversion)


def test_a_last_touch_is_a_counted_visit_or_form_of_an_asset_held_then() -> None:
    touch, conversion = Order(1, "a"), Order(5, "b")
    assert not is_last_touch(touch, TouchType.CTA_CLICKED, COUNTED, COUNTS, conversion)
    assert not is_last_touch(touch, TouchType.PAGE_VISITED, INTERNAL, COUNTS, conversion)
    assert not is_last_touch(touch, TouchType.PAGE_VISITED, COUNTED, AFTER, conversion)
    assert not is_last_touch(touch, TouchType.PAGE_VISITED, COUNTED, None, conversion)


def test_a_utm_value_makes_a_last_touch_only_if_it_was_claimed_at_the_conversion() -> None:
    assert [is_last_touch_by_utm(status) for status in (COUNTS, NOT_THEN, None)] == [True, False, False]


@pytest.mark.parametrize(
    ("state", "closed_us", "touch_us", "deal_counts", "revenue"),
    [
        (State.WON, 10, 9, True, True),
        (State.WON, 10, 10, False, False),
        (State.WON, 10, None, False, False),
        (State.OPEN, None, 99, True, False),
        (State.LOST, 10, 9, False, False),
        (State.DELETED, None, 9, False, False),
    ],
)
def test_a_deal_counts_if_it_is_open_or_won_and_was_touched_before_its_close_and_only_a_won_one_brings_revenue(
    state: State, closed_us: int | None, touch_us: int | None, deal_counts: bool, revenue: bool
) -> None:
    assert counts(state, closed_us, touch_us) is deal_counts
    assert brings_revenue(state, closed_us, touch_us) is revenue


def test_a_deal_is_dated_by_its_close_and_by_its_creation_while_it_is_open() -> None:
    assert (dated_us(3, 7), dated_us(3, None), dated_us(3, 0)) == (7, 3, 0)


def test_every_metric_of_the_overview_may_have_a_goal() -> None:
    assert get_args(GoalMetric) == METRICS
