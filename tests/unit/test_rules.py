"""Small claims about single rules; the property suites hold the rest."""

import datetime as dt

import pytest

from shared.events.instants import BEGINNING_US, END_US
from shared.rules.association import SOCIAL_POSTS_MAX, Change, IgnoredAssociation, Interval, Life, intervals
from shared.rules.contact import Membership, SalesforceChange, salesforce_campaigns
from shared.rules.deal import CampaignTouch, Deal, Member, State, decide
from shared.rules.influence import TouchType
from shared.rules.order import Order
from shared.rules.page import parse
from shared.rules.pre_association import Piece, WindowStatus, asset_pieces
from shared.rules.reassociation import Held, cta_clicks_stay, former_asset_keeps, keepers
from shared.rules.session import after
from shared.rules.utm import normalised
from shared.rules.visibility import hidden_reason

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
    assert [r.reason for r in refused] == [IgnoredAssociation.CAMPAIGN_DELETED]


def test_the_post_over_the_limit_is_refused_and_stays_where_it_was() -> None:
    assert SOCIAL_POSTS_MAX == 10_000
    types: dict[int, str | None] = dict.fromkeys(range(4), "social_post")
    changes = [Change(Order(1, "z"), 2, 2, True)]
    changes += [Change(Order(10 + n, str(n)), n, 1, True) for n in range(3)]
    held, refused = intervals(changes, ALIVE, types, social_posts_max=2)
    assert [(r.asset, r.reason) for r in refused] == [(2, IgnoredAssociation.SOCIAL_POST_LIMIT)]
    assert Interval(2, 2, 1, END_US, "z") in held


def test_a_workflow_may_be_in_several_campaigns() -> None:
    changes = [Change(Order(10, "a"), 7, 1, True), Change(Order(20, "b"), 7, 2, True)]
    held, _ = intervals(changes, ALIVE, {7: "workflow"})
    assert [(i.campaign, i.to_us) for i in held] == [(1, END_US), (2, END_US)]


def test_all_time_is_before_within_or_after() -> None:
    assert asset_pieces([(10, 20)]) == [
        Piece(BEGINNING_US, 10, WindowStatus.BEFORE_ASSOCIATION),
        Piece(10, 20, WindowStatus.COUNTS),
        Piece(20, END_US, WindowStatus.AFTER_ASSOCIATION_ENDED),
    ]


def test_cta_clicks_do_not_transfer() -> None:
    assert cta_clicks_stay(TouchType.CTA_CLICKED, frozenset({1}), 2) is not None
    assert cta_clicks_stay(TouchType.EMAIL_CLICKED, frozenset({1}), 2) is None
    assert former_asset_keeps(TouchType.CTA_CLICKED, frozenset({1}), 1)
    assert not former_asset_keeps(TouchType.EMAIL_CLICKED, frozenset({1}), 1)


@pytest.mark.parametrize(
    ("url", "value", "utm"),
    [
        ("https://shop.example/", "utm_campaign=spring&utm_medium=email", ("spring", "", "email")),
        ("https://shop.example/?utm_source=news", "utm_source=x&utm_campaign=Spring", ("spring", "news", "")),
        ("https://shop.example/?utm_campaign=", "utm_campaign=spring", ("spring", "", "")),
        ("https://shop.example/?utm_campaign=autumn", "utm_campaign=spring", ("autumn", "", "")),
    ],
)
def test_a_utm_field_counts_where_the_url_has_no_value_of_that_name(url: str, value: str, utm: tuple[str, ...]) -> None:
    assert parse(url, value).utm == utm


HELD = [Held(1, 10, 20), Held(2, 30, 40), Held(3, 30, 50), Held(4, 35, END_US)]


@pytest.mark.parametrize(
    ("at_us", "keepers_"),
    [
        (9, {1}),  # before anybody held it: the first holder's
        (10, {1}), (19, {1}), (20, {2, 3}),  # at the end nobody holds it: of those who come to hold it next
        (29, {2, 3}), (30, {2, 3}), (35, {2, 3, 4}), (40, {3, 4}), (60, {4}),
    ],
)  # fmt: skip
def test_a_click_is_kept_by_who_held_the_cta_else_by_who_came_to_hold_it_next(at_us: int, keepers_: set[int]) -> None:
    assert keepers(HELD, at_us) == keepers_


def test_nobody_keeps_a_click_since_which_nobody_held_the_cta() -> None:
    assert keepers([Held(1, 10, 20)], 20) == frozenset()


SPRING = {"starts_on": dt.date(2024, 3, 1), "ends_on": dt.date(2024, 3, 31)}


@pytest.mark.parametrize(
    ("asset_type", "last_visit_us", "days", "reason"),
    [
        ("tracking_url", 9, [], "no_visit_since_campaign_created"), ("tracking_url", 10, [], None),
        ("tracking_url", None, [], "no_visit_since_campaign_created"),
        ("paid_search", 9, [], None), ("paid_search", None, [], "no_visit"), ("blog_post", None, [], None),
        ("blog_post", None, ["2023-03-01", "2024-03-31"], None), ("blog_post", None, ["2024-03-01"], None),
        ("blog_post", None, ["2023-03-01", "2024-04-01"], "outside_campaign_dates"),
        ("paid_search", 9, ["2024-02-29"], "outside_campaign_dates"),
    ],
)  # fmt: skip
def test_what_is_hidden_and_why(
    asset_type: str, last_visit_us: int | None, days: list[str], reason: str | None
) -> None:
    published_on = {dt.date.fromisoformat(day) for day in days}
    assert reason == hidden_reason(
        asset_type, published=True, last_visit_us=last_visit_us, campaign_created_us=10, published_on=published_on, **SPRING
    )  # fmt: skip


def joined(*events: tuple[int, str, str | None]) -> list[tuple[str, str, int]]:
    found = [SalesforceChange(Order(at_us, "e"), campaign, source) for at_us, campaign, source in events]
    return [(m.salesforce_campaign_id, m.source, m.joined.at_us) for m in salesforce_campaigns(found, [])]


def test_who_left_a_salesforce_campaign_is_in_it_again_since_the_next_joining() -> None:
    assert joined((1, "701", "sync"), (2, "701", "form")) == [("701", "sync", 1)]
    assert joined((1, "701", "sync"), (2, "701", None)) == []
    assert joined((1, "701", "sync"), (2, "701", None), (3, "701", "form")) == [("701", "form", 3)]


def test_leaving_a_salesforce_campaign_takes_no_property_back() -> None:
    left = [SalesforceChange(Order(3, "e"), "701", None)]
    values = [(Order(1, "a"), "701"), (Order(2, "b"), "701")]
    assert salesforce_campaigns(left, values) == [Membership("701", "property", Order(1, "a"))]


def test_a_property_names_a_salesforce_campaign_since_it_did_without_a_break() -> None:
    values = [(Order(1, "a"), "701"), (Order(2, "b"), "702"), (Order(3, "c"), "701")]
    assert salesforce_campaigns([], values) == [Membership("701", "property", Order(3, "c"))]
    assert salesforce_campaigns([], [*values, (Order(4, "d"), None)]) == []


KARI, OLA, PER = 1, 2, 3
WON = Deal(State.WON, Order(0, "d"), Order(100, "w"), None, None, None, Order(100, "w"))
CLICK, LIST, FLOW = TouchType.EMAIL_CLICKED, TouchType.LIST_JOINED_STATIC, TouchType.WORKFLOW_ENROLLED
IN, OUT = [Member(Order(1, "in"), KARI, True)], Member(Order(50, "out"), KARI, False)
LATE = [*IN, Member(Order(100, "late"), OLA, True)]


def met(at_us: int, contact: int, type_: TouchType = CLICK) -> CampaignTouch:
    return CampaignTouch(Order(at_us, f"t{at_us}"), contact, type_)


@pytest.mark.parametrize(
    ("members", "touches", "reason", "decided_by"),
    [
        (IN, [met(99, KARI)], None, "t99"),
        ([], [], "no_contact", None),
        (LATE, [met(50, OLA), met(101, KARI)], "contact_associated_after_close", "late"),
        (LATE, [met(101, OLA), met(102, KARI)], "influenced_after_close", "t102"),
        (LATE, [met(50, OLA), met(60, KARI)], None, "t60"),
        ([*LATE, OUT], [met(40, KARI), met(60, OLA)], "contact_associated_after_close", "late"),
        ([*LATE, OUT], [met(40, KARI)], "contact_dissociated_before_close", "out"),
        ([*LATE, OUT], [], "contact_dissociated_before_close", "out"),
        ([*IN, OUT, Member(Order(60, "again"), KARI, True)], [met(40, KARI)], None, "t40"),
        ([LATE[1]], [], "contact_associated_after_close", "late"),
        (IN, [met(50, KARI, LIST), met(40, KARI, FLOW)], "static_list", "t50"),
        (IN, [met(40, KARI, FLOW)], "workflow_only", "t40"),
        (IN, [met(100, KARI), met(40, KARI, LIST)], "influenced_after_close", "t100"),
        (IN, [], "contact_not_influenced", None),
    ],
)
def test_why_a_deal_is_missing_and_what_decides_it(
    members: list[Member], touches: list[CampaignTouch], reason: str | None, decided_by: str | None
) -> None:
    decision = decide(WON, members, touches)
    assert (decision.reason, decision.decided_by and decision.decided_by.event_id) == (reason, decided_by)
