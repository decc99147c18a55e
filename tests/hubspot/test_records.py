"""What one record of HubSpot tells, whatever stands in it."""

from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.replay.backfill import event_of
from services.replay.hubspot.history import _json
from services.replay.mapping import mapping
from shared.events.codec import Record
from shared.events.instants import to_micros, to_rfc3339
from shared.events.types import AssetType
from shared.producers import hubspot_records as records
from shared.producers.hubspot import BadValue, Stages
from shared.producers.hubspot_asset_types import asset_types
from shared.producers.hubspot_records import Account, StagesKnown
from tests.hubspot.company import PIPELINES

ACCOUNT = Account("4711", "NOK", "Europe/Oslo")
NOW_US = 1_790_000_000_000_000
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12) | st.sampled_from(["2025-01-01T00:00:00Z", "1735689600000", "true"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3), max_leaves=8,
)  # fmt: skip


def known(configured: Stages = Stages()) -> StagesKnown:  # noqa: B008 - it is never changed
    return StagesKnown(configured, PIPELINES)


def deal(stages: list[tuple[str, str]], contacts: int = 1, **more: Any) -> list[dict[str, Any]]:
    """The events of a deal that was in these stages since these instants."""
    record = {
        "id": "9", "createdAt": stages[0][0], "updatedAt": stages[-1][0],
        "properties": {"createdate": stages[0][0], "dealstage": stages[-1][1], **more.get("properties", {})},
        "propertiesWithHistory": {"dealstage": [{"value": value, "timestamp": at} for at, value in reversed(stages)], **more.get("history", {})},
    }  # fmt: skip
    return records.deal(record, [str(n) for n in range(1, contacts + 1)], known(), ACCOUNT, NOW_US)[0]


def moves(events: list[dict[str, Any]]) -> list[tuple[str, str, Any]]:
    return [
        (e["id"], e["occurred_at"][:10], e.get("won")) for e in events if e["type"] in ("deal_closed", "deal_reopened")
    ]


OPEN, WON, LOST = "appointmentscheduled", "closedwon", "closedlost"


@pytest.mark.parametrize(
    ("stages", "value"),
    [
        ([("2025-01-01", OPEN)], [("stage", "2025-01-01", None)]),
        ([("2025-01-01", OPEN), ("2025-01-02", "990")], [("stage", "2025-01-02", None)]),
        ([("2025-01-01", WON)], [("stage", "2025-01-01", True)]),
        ([("2025-01-01", OPEN), ("2025-01-03", "992")], [("stage", "2025-01-03", False)]),
        ([("2025-01-01", OPEN), ("2025-01-03", WON), ("2025-01-04", "991")], [("stage", "2025-01-03", True)]),
        ([("2025-01-01", OPEN), ("2025-01-03", LOST), ("2025-01-04", WON)], [("2025-01-03", "2025-01-03", False), ("stage", "2025-01-04", True)]),
        ([("2025-01-01", WON), ("2025-01-03", OPEN), ("2025-01-04", "990")], [("2025-01-01", "2025-01-01", True), ("stage", "2025-01-04", None)]),
    ],
)  # fmt: skip
def test_a_deal_moves_at_its_own_times_and_what_stands_has_an_id_of_its_own(
    stages: list[tuple[str, str]], value: list[Any]
) -> None:
    at = {day: to_micros_of(day) for _, day, _ in value}
    expected = [
        ("hubspot-deal-9-stage" + ("" if name == "stage" else f"-{at[name]}"), day, won) for name, day, won in value
    ]
    assert moves(deal([(f"{day}T00:00:00Z", stage) for day, stage in stages])) == expected


def to_micros_of(day: str) -> int:
    import datetime as dt

    return to_micros(dt.datetime.fromisoformat(f"{day}T00:00:00+00:00"))


def test_a_close_date_gets_the_time_at_which_it_was_set_unless_it_was_expected_before_the_last_open_stage() -> None:
    stages = [("2025-01-01T00:00:00Z", OPEN), ("2025-02-01T00:00:00Z", WON)]
    for set_at, counts in (
        ("2025-02-05T00:00:00Z", True),
        ("2025-01-01T00:00:00Z", True),
        ("2024-12-31T00:00:00Z", False),
    ):
        date = {"closedate": "2025-01-20T00:00:00Z"}
        events = deal(
            stages, properties=date, history={"closedate": [{"value": date["closedate"], "timestamp": set_at}]}
        )
        [result] = [e for e in events if e["id"] == "hubspot-deal-9-closedate"]
        assert (result["occurred_at"], "closed_at" in result) == (set_at, counts)


@pytest.mark.parametrize(
    ("counts", "since"),
    [
        ([("2025-01-03T00:00:00Z", "2")], "2025-01-03T00:00:00Z"),
        ([("2025-01-01T00:00:00Z", "0"), ("2025-01-03T00:00:00Z", "2")], "2025-01-03T00:00:00Z"),
        ([("2025-01-01T00:00:09Z", "2")], "2024-12-31T23:59:59.999999Z"),
        ([("2025-01-01T00:00:09Z", "1"), ("2025-01-03T00:00:00Z", "2")], "2024-12-31T23:59:59.999999Z"),
        ([("2025-01-03T00:00:00Z", "3"), ("2025-01-04T00:00:00Z", "2")], "2024-12-31T23:59:59.999999Z"),
        ([("2025-01-03T00:00:00Z", "2"), ("2025-01-04T00:00:00Z", "0")], "2024-12-31T23:59:59.999999Z"),
        ([], "2024-12-31T23:59:59.999999Z"),
    ],
)  # fmt: skip
def test_contacts_are_associated_since_when_all_came_at_once_else_before_all(
    counts: list[tuple[str, str]], since: str
) -> None:
    entries = [{"value": value, "timestamp": at} for at, value in reversed(counts)]
    events = deal(
        [("2025-01-01T00:00:00Z", OPEN), ("2025-02-01T00:00:00Z", WON)], 2, history={"num_associated_contacts": entries}
    )
    [result] = [e for e in events if e["id"] == "hubspot-deal-9-contacts"]
    assert result["occurred_at"] == since


def test_contacts_beyond_a_hundred_take_further_events_and_those_that_are_no_longer_needed_are_emptied() -> None:
    record = {"id": "9", "createdAt": "2025-01-01T00:00:00Z", "properties": {}}
    for contacts, slots, sizes in ((250, 1, [100, 100, 50]), (80, 3, [80, 0, 0]), (0, 1, [0])):
        events, _ = records.deal(record, [str(n) for n in range(contacts)], known(), ACCOUNT, NOW_US, slots)
        assert [len(e["contacts"]) for e in events if "contacts" in e] == sizes
    assert [records.contact_slots(n) for n in (0, 1, 100, 101, 250)] == [1, 1, 1, 2, 3]


def test_what_the_workspace_says_of_a_stage_comes_before_its_pipeline() -> None:
    stages = known(Stages(("990",), ("991",)))
    assert [stages.won(name, {}) for name in ("990", "991", "992", OPEN, WON)] == [True, False, False, None, True]
    assert [
        stages.won("gone", values)
        for values in ({"hs_is_closed_won": "true"}, {"hs_is_closed": "true"}, {"hs_is_closed": "false"}, {})
    ] == [True, False, None, None]
    assert stages.unknown == {"gone": 1}


def test_every_asset_type_is_one_of_ours() -> None:
    assert {kind.type for kind in asset_types().values()} <= set(msgspec.inspect.type_info(AssetType).values)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("sent", "value"),
    [("spring", "spring"), ("utm_source=x&utm_campaign=spring%20sale", "spring sale"), ("?utm_campaign=a", "a")],
)
def test_a_campaign_claims_its_utm_value_however_it_was_entered(sent: str, value: str) -> None:
    record = {"id": "g", "createdAt": "2025-01-01T00:00:00Z", "properties": {"hs_utm": sent}}
    assert records.campaign(record, None, ACCOUNT, NOW_US)[0]["utm_campaign"] == value


NAMES = ("id", "createdAt", "updatedAt", "properties", "propertiesWithHistory")
INNER = (*records.CONTACT_PROPERTIES, *records.DEAL_PROPERTIES, *records.DEAL_HISTORY, *records.CAMPAIGN_PROPERTIES)
RECORDS = st.fixed_dictionaries(
    {"id": st.text(max_size=5) | JSON, "createdAt": st.just("2025-01-01T00:00:00Z") | JSON},
    optional={
        "updatedAt": JSON, "archivedAt": JSON, "name": JSON, "properties": st.dictionaries(st.sampled_from(INNER), JSON, max_size=5) | JSON,
        "propertiesWithHistory": st.dictionaries(st.sampled_from(INNER), st.lists(st.fixed_dictionaries({"value": JSON, "timestamp": JSON}) | JSON, max_size=3) | JSON, max_size=4) | JSON,
    },
)  # fmt: skip
BUDGETS = st.none() | st.fixed_dictionaries({}, optional={"currencyCode": JSON, "spendItems": st.lists(RECORDS | st.fixed_dictionaries({"id": JSON, "amount": JSON, "createdAt": JSON}) | JSON, max_size=3) | JSON})  # fmt: skip


@settings(max_examples=600, deadline=None, print_blob=True)
@given(
    RECORDS,
    BUDGETS,
    st.lists(
        st.fixed_dictionaries(
            {}, optional={"stages": JSON | st.lists(st.fixed_dictionaries({"id": JSON, "metadata": JSON}), max_size=2)}
        ),
        max_size=2,
    ),
)
def test_whatever_stands_in_a_record_it_shows_events_or_says_what_is_wrong(
    record: Any, budget: Any, pipelines: Any
) -> None:
    try:
        stages = StagesKnown(Stages(), pipelines)
    except BadValue:
        stages = StagesKnown(Stages(), [])
    kind = asset_types()["FORM"]
    for read in (
        lambda: records.contact(record, NOW_US),
        lambda: records.deal(record, ["1"], stages, ACCOUNT, NOW_US)[0],
        lambda: records.campaign(record, budget, ACCOUNT, NOW_US),
        lambda: [records.asset(record, kind, None, record, NOW_US)],
        lambda: [records.unmapped_asset(record, "ODD", record, NOW_US)],
    ):
        try:
            events = read()
        except BadValue:
            continue  # it says which field cannot be what it should be; the record is refused
        for event in events:
            event_of(_json(event), NOW_US)  # a record or a refusal, never an exception


def test_a_table_and_the_api_show_the_same_contact_and_deal_under_the_same_ids() -> None:
    """The mappings of exports and the reading of the API agree on names, properties, amount and state."""
    table = mapping("hubspot-deals").bind(
        [
            "Record ID",
            "Deal Name",
            "Amount",
            "Deal Stage",
            "Create Date",
            "Close Date",
            "Associated Contact IDs",
            "Last Modified Date",
        ]
    )
    row = [
        "9",
        "Big",
        "1,200.50",
        "Closed Won (Sales)",
        "2025-01-01 00:00",
        "2025-02-01 00:00",
        "1",
        "2025-02-02 00:00",
    ]
    table.observe(row, 2)
    table.settle()
    by_table = {
        e["id"]: e for e in map(orjson.loads, (one for one in table.events_of(row).events if isinstance(one, bytes)))
    }
    by_api = {e["id"]: e for e in deal(
        [("2025-01-01T00:00:30Z", OPEN), ("2025-02-01T00:00:30Z", WON)],
        properties={"dealname": "Big", "amount": "1200.50", "closedate": "2025-02-01T00:00:30Z"},
    )}  # fmt: skip
    assert set(by_table) <= set(by_api)
    for event_id, each in by_table.items():
        same = {
            name: value for name, value in by_api[event_id].items() if name not in ("occurred_at", "as_of", "currency")
        }
        assert same == {
            name: (value.rstrip("0") if name == "amount" else value)
            for name, value in each.items()
            if name not in ("occurred_at", "as_of")
        }
        assert isinstance(event_of(orjson.dumps(by_api[event_id]), NOW_US), Record)
    assert (
        to_rfc3339(NOW_US)
        > by_api["hubspot-deal-9-stage"]["occurred_at"]
        < by_table["hubspot-deal-9-stage"]["occurred_at"]
    )
