"""Small claims about single rules; the property suites hold the rest."""

import pytest

from shared.events.instants import BEGINNING_US, END_US
from shared.rules.association import SOCIAL_POSTS_MAX, Change, Ineffective, Interval, Life, intervals
from shared.rules.influence import TouchType
from shared.rules.order import Order
from shared.rules.page import parse
from shared.rules.pre_association import Piece, Standing, asset_pieces
from shared.rules.reassociation import cta_clicks_stay, former_asset_keeps
from shared.rules.session import after
from shared.rules.utm import normalised

MINUTE = 60_000_000
ALIVE = {1: Life(0, None), 2: Life(0, None)}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://shop.example/lp", "http://www.shop.example/lp/?x=1#top"),
        ("https://SHOP.example:443/lp", "http://shop.example:80/lp"),
        ("https://shop.example", "https://shop.example/"),
    ],
)
def test_addresses_that_are_one_page(one: str, other: str) -> None:
    assert parse(one).address == parse(other).address


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://shop.example/lp", "https://shop.example/LP"),
        ("https://shop.example/lp", "https://shop.example:8080/lp"),
        ("https://shop.example/lp", "https://blog.shop.example/lp"),
    ],
)
def test_addresses_that_are_two_pages(one: str, other: str) -> None:
    assert parse(one).address != parse(other).address


@pytest.mark.parametrize("url", ["", "https://[", "https://shop.example:port/", "no scheme at all", "//", "?#"])
def test_any_text_is_an_address_and_none_breaks_the_reading(url: str) -> None:
    assert isinstance(parse(url).address, str)


def test_utm_values_compare_decoded_trimmed_composed_and_folded() -> None:
    assert normalised(" Sommer\u0301fest ") == normalised("SOMM\u00c9RFEST".replace("M\u00c9R", "MER\u0301"))
    assert parse("https://s.example/?UTM_Campaign=Winter+Sale&utm_campaign=x").utm[0] == normalised("winter sale")


def test_a_gap_of_exactly_thirty_minutes_begins_a_session() -> None:
    first = after(None, 0, "a", None, 30 * MINUTE)
    assert after(first, 30 * MINUTE - 1, "b", None, 30 * MINUTE).key == first.key
    assert after(first, 30 * MINUTE, "b", None, 30 * MINUTE).key != first.key


def test_a_move_ends_one_interval_where_the_next_begins() -> None:
    changes = [Change(Order(10, "a"), 7, 1, True), Change(Order(20, "b"), 7, 2, True)]
    held, _ = intervals(changes, ALIVE, {})
    assert held == [Interval(7, 1, 10, 20, "a"), Interval(7, 2, 20, END_US, "b")]


def test_of_changes_at_one_instant_the_last_in_order_wins() -> None:
    changes = [Change(Order(10, "a"), 7, 1, True), Change(Order(10, "b"), 7, 2, True)]
    held, _ = intervals(changes, ALIVE, {})
    assert held == [Interval(7, 2, 10, END_US, "b")]


def test_nobody_holds_the_asset_until_the_campaign_is_created() -> None:
    held, _ = intervals([Change(Order(10, "a"), 7, 1, True)], {1: Life(15, None)}, {})
    assert held == [Interval(7, 1, 15, END_US, "a")]


def test_a_deleted_campaign_refuses_associations_and_leaves_the_present_one() -> None:
    lives = {1: Life(0, None), 2: Life(0, Order(12, "gone"))}
    changes = [Change(Order(10, "a"), 7, 1, True), Change(Order(20, "b"), 7, 2, True)]
    held, refused = intervals(changes, lives, {})
    assert held == [Interval(7, 1, 10, END_US, "a")]
    assert [r.reason for r in refused] == [Ineffective.CAMPAIGN_DELETED]


def test_the_post_over_the_limit_is_refused_and_stays_where_it_was() -> None:
    assert SOCIAL_POSTS_MAX == 10_000
    types: dict[int, str | None] = dict.fromkeys(range(4), "social_post")
    changes = [Change(Order(1, "z"), 2, 2, True)]
    changes += [Change(Order(10 + n, str(n)), n, 1, True) for n in range(3)]
    held, refused = intervals(changes, ALIVE, types, social_posts_max=2)
    assert [(r.asset, r.reason) for r in refused] == [(2, Ineffective.SOCIAL_POST_LIMIT)]
    assert Interval(2, 2, 1, END_US, "z") in held


def test_a_workflow_may_be_in_several_campaigns() -> None:
    changes = [Change(Order(10, "a"), 7, 1, True), Change(Order(20, "b"), 7, 2, True)]
    held, _ = intervals(changes, ALIVE, {7: "workflow"})
    assert [(i.campaign, i.to_us) for i in held] == [(1, END_US), (2, END_US)]


def test_all_time_is_before_within_or_after() -> None:
    assert asset_pieces([(10, 20)]) == [
        Piece(BEGINNING_US, 10, Standing.BEFORE_ASSOCIATION),
        Piece(10, 20, Standing.COUNTS),
        Piece(20, END_US, Standing.AFTER_ASSOCIATION_ENDED),
    ]


def test_cta_clicks_do_not_transfer() -> None:
    assert cta_clicks_stay(TouchType.CTA_CLICKED, frozenset({1}), 2) is not None
    assert cta_clicks_stay(TouchType.CTA_CLICKED, frozenset(), 2) is None
    assert cta_clicks_stay(TouchType.EMAIL_CLICKED, frozenset({1}), 2) is None
    assert former_asset_keeps(TouchType.CTA_CLICKED, frozenset({1}), 1)
    assert not former_asset_keeps(TouchType.EMAIL_CLICKED, frozenset({1}), 1)


@pytest.mark.parametrize(
    ("url", "told", "utm"),
    [
        ("https://shop.example/", "utm_campaign=spring&utm_medium=email", ("spring", "", "email")),
        ("https://shop.example/?utm_source=news", "utm_source=x&utm_campaign=Spring", ("spring", "news", "")),
        ("https://shop.example/?utm_campaign=", "utm_campaign=spring", ("spring", "", "")),
        ("https://shop.example/?utm_campaign=autumn", "utm_campaign=spring", ("autumn", "", "")),
    ],
)
def test_a_utm_field_counts_where_the_url_has_no_value_of_that_name(url: str, told: str, utm: tuple[str, ...]) -> None:
    assert parse(url, told).utm == utm
