"""What a public key and an address may send is bounded, and so is what is remembered of them."""

import random
import tracemalloc
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from services.ingest import limits as limits_module
from services.ingest.limit_settings import Rates
from services.ingest.limits import ADDRESSES_MAX, BURST_S, DAY_US, LATELY_MAX, Buckets, Distinct, Limits, address_of
from shared.access.keys import Access
from shared.events.codec import Record
from shared.events.refusal import Refusal
from shared.rules.page import BY_PATH, AddressRules
from shared.web.problems import Problem

PUBLIC = Access("w", "collect", "tlc_abcd")
NOON_US = 20_000 * DAY_US + DAY_US // 2


def visit(visitor: str = "v", at_us: int = NOON_US, email: str | None = None, **fields: str) -> Record:
    event: dict[str, object] = {"type": "page_visited", "visitor_id": visitor, "url": "https://a.example/", **fields}
    if email is not None:
        event["contact"] = {"email": email}
    return Record(1, "collect", at_us, msgspec.Raw(msgspec.json.encode(event)), id="e")


def test_a_bucket_gives_a_burst_and_then_its_rate() -> None:
    buckets = Buckets(5, 10)
    given = 0
    while not buckets.wait_s("a", 100.0):
        buckets.take("a", 1, 100.0)
        given += 1
    assert given == 5 * BURST_S
    assert buckets.wait_s("a", 100.1) == 1
    assert buckets.wait_s("a", 100.2) == 0
    assert buckets.wait_s("b", 100.0) == 0


def test_what_was_received_is_paid_for_later() -> None:
    buckets = Buckets(10, 10)
    buckets.take("a", 300, 0.0)
    assert buckets.wait_s("a", 0.0) == 21  # 200 too many, and one for the next
    assert buckets.wait_s("a", 20.2) == 0


@pytest.mark.parametrize(
    ("rate", "processes", "share"), [(10_000, 4, 2_500), (10, 4, 3), (1, 8, 1), (0, 4, 0), (100, 1, 100)]
)
def test_each_of_several_processes_takes_its_part_of_the_rates_and_shows_the_whole(
    rate: int, processes: int, share: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits_module, "time", SimpleNamespace(monotonic=lambda: 1_000.0))  # so that no bucket fills
    limits = Limits(Rates(key_events_per_s=rate, address_requests_per_s=rate, visitors_a_day=2, processes=processes))
    taken = 0
    while not limits.addresses.wait_s("a", 0.0) and taken < 100_000:
        limits.addresses.take("a", 1, 0.0)
        taken += 1
    assert taken == (share * BURST_S or 100_000)
    limits.spend(PUBLIC, share * BURST_S + 1)
    if rate:
        with pytest.raises(Problem, match=f"may send {rate:,} events a second"):
            limits.check_key(PUBLIC)
    else:
        limits.check_key(PUBLIC)
    assert isinstance(limits.bounded(PUBLIC, visit("a"), 0), Record)
    assert isinstance(limits.bounded(PUBLIC, visit("b"), 0), Record)  # a bound of a day is not divided


def test_a_rate_of_zero_is_no_limit() -> None:
    buckets = Buckets(0, 10)
    buckets.take("a", 10**9, 0.0)
    assert (buckets.wait_s("a", 0.0), len(buckets)) == (0, 0)


def test_a_flood_of_addresses_takes_bounded_memory() -> None:
    limits = Limits()
    tracemalloc.start()
    for n in range(3 * ADDRESSES_MAX):
        limits.addresses.take(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", 1, float(n))
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(limits.addresses) == ADDRESSES_MAX
    assert used < 60_000_000


@pytest.mark.parametrize("bound", [1, 7, 500, 501, 20_000])
def test_distinct_values_are_admitted_up_to_the_bound_and_known_ones_ever_after(bound: int) -> None:
    distinct = Distinct(bound)
    values = [f"value {n}" for n in range(bound)]
    assert all(distinct.admits(value) for value in values)
    assert all(distinct.admits(value) for value in values)
    beyond = sum(distinct.admits(f"other {n}") for n in range(10_000))
    assert beyond <= 10_000 * 0.003 + 1 if bound > 500 else beyond <= bound * 0.01
    assert distinct.count <= bound


@pytest.mark.parametrize(
    ("fields", "code", "field"),
    [
        ({"visitor": "c"}, "too_many_visitors", "visitor_id"),
        ({"email": "c@a.example"}, "too_many_contacts", "contact.email"),
        ({"asset_id": "c"}, "too_many_assets", "asset_id"),
        ({"url": "https://a.example/?tl_via=c"}, "too_many_assets", "asset_id"),
        ({"url": "https://a.example/c", "asset_id": None}, "too_many_pages", "url"),
        ({"url": "HTTPS://A.example/B/?c=1", "asset_id": None}, "too_many_pages", "url"),
        ({"url": "https://a.example/?utm_source=c"}, "too_many_utm_values", "url"),
        ({"utm_source": "c"}, "too_many_utm_values", "url"),
    ],
)
def test_one_value_more_than_a_key_may_add_in_a_day_is_refused(fields: dict[str, Any], code: str, field: str) -> None:
    limits = Limits(Rates(visitors_a_day=2, contacts_a_day=2, assets_a_day=2, pages_a_day=2, utm_values_a_day=2))
    for n in "ab":
        full = visit(n, email=f"{n}@a.example", asset_id=n, url=f"https://a.example/?utm_source={n}")
        assert isinstance(limits.bounded(PUBLIC, full, 0), Record)
    pages = [
        visit("a", url="https://a.example/#b"), visit("a", url="https://a.example/x"), visit("b", url="https://a.example/Z", asset_id="a"),
        visit("b", url="http://A.EXAMPLE:80//?c=1&d=2#e"), visit("a", url="https://a.example/x/"), visit("a", url="https://a.example/x?utm_source=a"),
    ]  # fmt: skip
    assert all(isinstance(limits.bounded(PUBLIC, each, 0), Record) for each in pages)
    one_more = {"visitor": "a", "asset_id": "a", "url": "https://a.example/?utm_source=a"} | fields
    outcome = limits.bounded(PUBLIC, visit(**one_more), 3)
    assert isinstance(outcome, Refusal)
    assert (outcome.index, outcome.code, outcome.field, outcome.id) == (3, code, field, "e")
    assert "2 different" in outcome.message
    form = Record(
        1,
        "collect",
        NOON_US,
        msgspec.Raw(b'{"type":"form_submitted","asset_id":"a","url":"https://a.example/f"}'),
        id="e",
    )
    assert isinstance(limits.bounded(PUBLIC, form, 0), Record)  # the page of a form is no row of its own
    known = visit("b", email=" B@A.example ", asset_id="b")
    assert isinstance(limits.bounded(PUBLIC, known, 0), Record)  # what is known goes on
    by_token = limits.bounded(PUBLIC, visit("a", email="d@a.example"), 0, by_token=True)
    assert isinstance(by_token, Record)  # a server key vouches for the contact
    next_day = visit(at_us=NOON_US + DAY_US, **one_more)
    assert isinstance(limits.bounded(PUBLIC, next_day, 0), Record)


def test_pages_are_counted_by_the_addresses_that_the_workspace_has_set() -> None:
    def result(*urls: str, rules: AddressRules) -> list[bool]:
        limits = Limits(Rates(pages_a_day=2))
        return [isinstance(limits.bounded(PUBLIC, visit(url=url), 0, addresses=rules), Record) for url in urls]

    urls = [f"https://a.example/?p={n}&x={n}#/{n}" for n in "1212345"]
    assert all(result(*urls, rules=BY_PATH))
    assert result(*urls, rules=AddressRules(("p",))) == [True] * 4 + [False] * 3
    assert result(*urls, rules=AddressRules((), fragments=True)) == [True] * 4 + [False] * 3


def test_a_url_that_was_read_before_is_read_again_by_other_rules_and_for_a_visit_to_its_page() -> None:
    limits = Limits(Rates(pages_a_day=1, utm_values_a_day=1))

    def taken(url: str, kind: str = "page_visited", rules: AddressRules = BY_PATH) -> bool:
        event = msgspec.Raw(msgspec.json.encode({"type": kind, "url": url}))
        outcome = limits.bounded(PUBLIC, Record(1, "collect", NOON_US, event, id="e"), 0, addresses=rules)
        return isinstance(outcome, Record)

    assert taken("https://a.example/f", kind="form_submitted")
    assert [taken("https://a.example/p?p=1") for _ in range(2)] == [True, True]
    assert not taken("https://a.example/f")  # a form's URL is no page, a visit's is
    assert not taken("https://a.example/p?p=1", rules=AddressRules(("p",)))
    assert taken("https://a.example/p?utm_source=a")
    assert [taken("https://a.example/p?utm_source=b") for _ in range(2)] == [
        False,
        False,
    ]  # what was refused is not known


def test_what_is_remembered_beside_the_filter_is_bounded_and_forgotten_values_stay_known() -> None:
    limits, count = Limits(), 3 * LATELY_MAX
    visits = [visit(str(n), url=f"https://a.example/{n}?utm_source=a") for n in range(count)]
    assert all(isinstance(limits.bounded(PUBLIC, each, 0), Record) for each in visits)
    today = limits._of_today(PUBLIC, NOON_US)
    assert max(len(today._urls), *(len(distinct._known) for distinct in today.distinct.values())) <= LATELY_MAX
    counts = {kind: distinct.count for kind, distinct in today.distinct.items()}
    assert [counts[kind] for kind in ("visitors", "pages", "utm_values")] == pytest.approx([count, count, 1], rel=0.002)
    assert all(isinstance(limits.bounded(PUBLIC, each, 0), Record) for each in visits)
    assert {kind: distinct.count for kind, distinct in today.distinct.items()} == counts


def test_keys_are_counted_apart_and_server_keys_not_at_all() -> None:
    limits = Limits(Rates(key_events_per_s=1, visitors_a_day=1))
    assert isinstance(limits.bounded(PUBLIC, visit("a"), 0), Record)
    assert isinstance(limits.bounded(PUBLIC, visit("b"), 0), Refusal)
    assert isinstance(limits.bounded(Access("other", "collect", "tlc_abcd"), visit("b"), 0), Record)
    server = Access("w", "server", "tls_abcd")
    for n in range(50):
        limits.spend(server, 1_000)
        limits.check_key(server)
        assert isinstance(limits.bounded(server, visit(str(n)), 0), Record)


def test_a_bound_gives_one_alarm_when_near_and_one_when_met(caplog: pytest.LogCaptureFixture) -> None:
    limits = Limits(Rates(visitors_a_day=10))
    for n in random.Random(1).choices(range(12), k=500):
        limits.bounded(PUBLIC, visit(str(n)), 0)
    levels = [record.msg["level"] for record in caplog.records if isinstance(record.msg, dict)]
    found = [record.msg["distinct"] for record in caplog.records if isinstance(record.msg, dict)]
    assert (len(levels), found) == (2, [8, 10])


@pytest.mark.parametrize(
    ("host", "limited_as"),
    [
        ("203.0.113.9", "203.0.113.9"), ("127.0.0.1", None), ("::1", None), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("::ffff:203.0.113.9", "203.0.113.9"), ("::ffff:127.0.0.1", None), ("unix", "unix"),
    ],
)  # fmt: skip
def test_an_address_is_limited_as_one_sender(host: str, limited_as: str | None) -> None:
    assert address_of(host) == limited_as
