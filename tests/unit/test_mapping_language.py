"""A mapping says what is wrong with it before a file is read, and random files and mappings end in no traceback."""

import json
import string
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.replay.mapping.errors import BadMapping
from services.replay.mapping.ready import MappingOptions, mapping
from services.replay.ready_mappings import READY, ready_mappings
from services.replay.sources import Unreadable, read_lines
from shared.events.codec import Refusal
from shared.events.registry import EVENT_TYPES

EVENT = '[[events]]\ntype = "deal_closed"\nid = "x-{A}"\ndeal_id = "{A}"\nwon = true\n'


SPEND = '[[events]]\ntype = "spend_recorded"\nid = "x-{A}"\ncampaign_id = "c"\namount = { number = "{A}" }\ncurrency = "EUR"\non = { date = "{B}" }\n'


def own(tmp_path: Path, text: str) -> str:
    (tmp_path / "own.toml").write_text(text)
    return str(tmp_path / "own.toml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bogus = 1\n" + EVENT, "bogus: a mapping has"), ("events = []", r"has no \[\[events\]\]"), ('events = ["x"]', "event 1: None is not a type"),
        (EVENT + 'odd = "{A}"', "event 1: deal_closed has no odd"), (EVENT.replace("won = true\n", ""), "event 1: deal_closed needs won"),
        (EVENT + 'amount = ["{A}"]', "event 1, amount: .* this field takes no list"), (EVENT + 'amount = { nummer = "{A}" }', "event 1, amount: .* cannot be read"),
        (EVENT + 'amount = { number = "{A}", sign = "," }', "event 1, amount"), (EVENT + "amount = { number = 5 }", "event 1, amount: 5 is not a text"),
        (EVENT + 'currency = "{A"', "event 1, currency: .* a brace is not closed"), (EVENT + 'currency = "{}"', "a brace is not closed"),
        (EVENT + 'currency = "{A|}"', "names a column without a name"), (EVENT + 'when = ["A"]', "`when` is"),
        (EVENT + "when = { A = 5 }", "event 1: A: 5: a test is a list of texts"), (EVENT + 'when = { A = { like = ["x"] } }', "A: like: a test is"),
        (EVENT + "when = { A = [5] }", "is not a list of texts"), (EVENT + 'when = { A = ["$odd"] }', "there is no list 'odd'"),
        (EVENT + 'when = { A = { contains = "" } }', "only `is` can test for an empty text"),
        (EVENT + 'occurred_at = { middle_of = "{A}" }', "event 1, occurred_at: .* is not an instant"), (EVENT + "occurred_at = { before_earliest_of = [] }", "is not an instant"),
        (EVENT + "occurred_at = { before_earliest_of = [5] }", "event 1, occurred_at: 5 is not an instant"), (EVENT + "for_each = 5", "event 1, for_each: 5 is not a text"),
        (EVENT.replace('id = "x-{A}"\n', "as_of = true\n"), "an event with `as_of` needs an `id`"), ("as_of = 5\n" + EVENT, "event 1, as_of: 5 is not an instant"),
        ('instants = ["d.m.Y"]\n' + EVENT, "instants: 'd.m.Y' is neither a form"), ('instants = ["%d.%m"]\n' + EVENT, "lacks year"),
        ('instants = ["%Y-%m-%d %I:%M"]\n' + EVENT, "lacks year"), ('instants = ["%Q"]\n' + EVENT, "is not a valid format"), ('instants = "%Y"\n' + EVENT, "is not a list of texts"),
        ('instants = ["day_first", "month_first"]\n' + EVENT, "cannot be used together"), ('instants = ["%Y-%m-%d %Z"]\n' + EVENT, "leave %Z out"),
        ('decimal = ";"\n' + EVENT, "decimal: ';' is neither"), ('null = "-"\n' + EVENT, "null: '-' is not a list"), ('zone = "Mars/Base"\n' + EVENT, "is not a time zone"),
        ("zone = 5\n" + EVENT, "5 is not a time zone"), ('zone = "/etc/passwd"\n' + EVENT, "is not a time zone"), ("about = 5\n" + EVENT, "about: 5 is not a text"),
        ("lists = 5\n" + EVENT, "lists: it is a table"), ("[lists]\na = 5\n" + EVENT, r"lists\.a: 5 is not a list"), ("values = 5\n" + EVENT, "values: it is written"),
        ("values = { state = [] }\n" + EVENT, "value state: a value is written"), ('[[values.state]]\nwhen = { A = ["x"] }\n' + EVENT, "value state: `is` is the text"),
        ('[[values.state]]\nis = "x"\nif = 5\n' + EVENT, "value state: if: a case has"), ('[[values.a]]\nis = "x"\n[[values.A]]\nis = "x"\n' + EVENT, "two values have one name"),
        ('[[events]]\ntype = "contact_created"\ncontact = { phone = "{A}" }', "event 1, contact: it has no phone; it has id, email"),
        ('[[events]]\ntype = "contact_created"\ncontact = "{A}"', "event 1, contact: .* this field is not a text"),
        ('[[events]]\ntype = "deal_created"\ndeal_id = "{A}"\ncontacts = "{A}"', "event 1, contacts: .* this field is not a text"),
        ('[[events]]\ntype = "deal_created"\ndeal_id = "{A}"\ncontacts = { each = "{A}", separator = "", as = { id = "{item}" } }', "`separator` is a text that is not empty"),
        ('[[events]]\ntype = "deal_created"\ndeal_id = "{A}"\ncontacts = { each = "{A}", as = { phone = "{item}" } }', "event 1, contacts: it has no phone"),
        ('[[events]]\ntype = ["deal_created"]', "is not a type of event"), ("= 1", "it is not valid TOML"), ("a = " + "[" * 2_000, "it is not valid TOML"),
        (SPEND + 'sum = "currency"\n', "event 1: sum: 'currency' is not one of the event's fields that are"),
        (SPEND.replace('id = "x-{A}"\n', "") + 'sum = "amount"\n', "sum: rows with the same `id` are added up, so it needs an `id`"),
        (SPEND + 'sum = "amount"\nfor_each = "{A}"\n', "cannot be used with `for_each`"), (SPEND.replace("x-{A}", "x-{=odd}"), "event 1: id: =odd: the event has no such field"),
        (EVENT + '[[skip]]\nas = 5\nwhen = { A = [""] }\n', "skip 1: `as` is the word"), ('skip = "x"\n' + EVENT, "skip: it is written"),
        (EVENT + '[[skip]]\nas = "x"\n', "skip 1: .* `when` says which"), (EVENT + '[[skip]]\nas = "x"\nif = 5\n', "skip 1: if: a skip has"),
        ("footer = 5\n" + EVENT, "footer: 5 is neither true nor false"), ("salesforce_ids = 5\n" + EVENT, "salesforce_ids: 5 is not a list of texts"),
        (SPEND.replace('{ date = "{B}" }', '{ date = "{B}", from = "{A}" }'), "event 1, on: .* cannot be read"),
        (SPEND.replace('"c"', "{ campaign = [] }"), "event 1, campaign_id: .* cannot be read"),
        (EVENT + "only_with = 5", "5 is not the name of a column"), (EVENT + 'when = { "" = ["x"] }', "names a column without a name"),
    ],
)  # fmt: skip
def test_a_mapping_that_cannot_be_used_says_where_and_why(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(BadMapping, match=expected):
        mapping(own(tmp_path, text))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (MappingOptions(lists={"won_stages": ["x"]}), "no list 'won_stages'"), (MappingOptions(as_of_us=5), "none of its events has"),
        (MappingOptions(zone="Mars/Base"), "is not a time zone"), (MappingOptions(currency="EUR"), "it uses no currency"), (MappingOptions(campaigns={}), "it uses no campaigns of ours"),
    ],
)  # fmt: skip
def test_what_is_said_beside_a_mapping_must_fit_it(tmp_path: Path, options: MappingOptions, message: str) -> None:
    with pytest.raises(BadMapping, match=message):
        mapping(own(tmp_path, EVENT), options=options)


def events_of_rows(tmp_path: Path, by: str, *rows: str) -> list[Any]:
    (tmp_path / "t.csv").write_text("\n".join(rows) + "\n")
    found = [event for line in read_lines(tmp_path / "t.csv", mapping(own(tmp_path, by))) for event in line.events]
    return [f"{one.field}: {one.message}" if isinstance(one, Refusal) else orjson.loads(one) for one in found]


@pytest.mark.parametrize(
    ("asked", "met"),
    [
        ('["Won"]', ["won"]), ('"Won"', ["won"]), ('{ is = "won" }', ["won"]), ('{ contains = "won" }', ["won", "we won it", "wonder", "3. Won (x)"]),
        ('{ starts_with = ["won"] }', ["won", "wonder"]), ('{ ends_with = "IT" }', ["we won it"]), ('{ stage = "won" }', ["won", "3. Won (x)"]),
        ('{ is = "won", ends_with = "it" }', ["won", "we won it"]), ('[""]', [""]), ('["$good"]', ["won", "wonder"]),
    ],
)  # fmt: skip
def test_when_asks_a_column_in_any_case(tmp_path: Path, asked: str, met: list[str]) -> None:
    by = f'[lists]\ngood = ["WON", "Wonder"]\n[[events]]\nwhen = {{ Stage = {asked} }}\ntype = "deal_deleted"\ndeal_id = "{{No}}"\n'
    stages = ["won", "we won it", "wonder", "3. Won (x)", "lost", ""]
    found = events_of_rows(tmp_path, by, "No,Stage", *(f"{n},{stage}" for n, stage in enumerate(stages)))
    assert [stages[int(event["deal_id"])] for event in found] == [s for s in stages if s in met]


def test_values_and_events_take_turns_by_when_and_unless(tmp_path: Path) -> None:
    by = (
        '[[values.mood]]\nis = "good"\nwhen = { A = ["x"] }\nunless = { B = ["y"] }\n[[values.mood]]\nis = "bad"\n'
        '[[events]]\nwhen = { mood = ["good"] }\ntype = "deal_reopened"\ndeal_id = "{A}-{mood}"\n'
        '[[events]]\nunless = { mood = ["good"] }\ntype = "deal_deleted"\ndeal_id = "{A}-{mood}"\n'
    )
    found = events_of_rows(tmp_path, by, "A,B", "x,n", "x,y", "z,n")
    assert [(e["type"], e["deal_id"]) for e in found] == [
        ("deal_reopened", "x-good"), ("deal_deleted", "x-bad"), ("deal_deleted", "z-bad"),
    ]  # fmt: skip


def test_words_that_name_nobody_are_empty_where_a_person_is_meant_and_only_there(tmp_path: Path) -> None:
    by = (
        'null = ["n/k", "-"]\n[[events]]\ntype = "page_visited"\nvisitor_id = "{V}"\nurl = "https://x.example/{P}"\ntitle = "{T}"\n'
        'contact = { id = "{C|D}" }\n'
    )
    found = events_of_rows(
        tmp_path,
        by,
        "V,P,T,C,D",
        "v1,null,None,undefined,0",
        "v2,a,N/K,\\N,7",
        "guest,b,x,1,2",
        "v3,c,-,[object Object],",
    )
    assert found == [
        {"type": "page_visited", "visitor_id": "v1", "url": "https://x.example/null", "title": "None"},
        {"type": "page_visited", "visitor_id": "v2", "url": "https://x.example/a", "contact": {"id": "7"}},
        {"type": "page_visited", "url": "https://x.example/b", "title": "x", "contact": {"id": "1"}},
        {"type": "page_visited", "visitor_id": "v3", "url": "https://x.example/c"},
    ]


def test_a_cell_that_cannot_be_read_names_column_event_and_field(tmp_path: Path) -> None:
    by = '[[events]]\ntype = "spend_recorded"\ncampaign_id = "c"\namount = { number = "{Cost}" }\ncurrency = "EUR"\non = { date = "{Day}" }\n'
    assert events_of_rows(tmp_path, by, "Cost,Day", "5.50,15.03.2024", "five,2024-03-16", "5,tomorrow") == [
        {"type": "spend_recorded", "campaign_id": "c", "amount": "5.50", "currency": "EUR", "on": "2024-03-15"},
        "amount: Cost: 'five' is not a number such as 1200.50 or 1,200.50 (event 1, spend_recorded)",
        "on: Day: 'tomorrow' is not an instant: neither RFC 3339 nor a date and time such as 15 March 2024 14:30 (event 1, spend_recorded)",
    ]


def test_whole_numbers_lists_and_items_are_made(tmp_path: Path) -> None:
    by = (
        '[[events]]\nfor_each = "{Posts}"\ntype = "social_clicked"\nid = "{No}-{item}"\nasset_id = "{item}"\ncount = { integer = "{Clicks}" }\n'
        '[[events]]\ntype = "deal_created"\ndeal_id = "{No}"\ncontacts = { each = "{Who}", separator = "/", as = { email = "{item}" } }\n'
    )
    found = events_of_rows(
        tmp_path, by, "No,Posts,Clicks,Who", '1,"p1; p2,p1","1,200",a@x.no / b@x.no', "2,,1.5,", "3,p,1.5,"
    )
    assert found[:2] == [
        {"type": "social_clicked", "id": f"1-{post}", "asset_id": post, "count": 1200} for post in ("p1", "p2")
    ]
    assert found[2]["contacts"] == [{"email": "a@x.no"}, {"email": "b@x.no"}]
    assert found[3] == {"type": "deal_created", "deal_id": "2"}
    assert "is not a whole number" in found[4]


def test_an_id_that_is_too_long_is_cut_and_stays_apart_from_others(tmp_path: Path) -> None:
    by = '[[events]]\ntype = "deal_deleted"\nid = "{A}"\ndeal_id = "d"\n'
    long = "x" * 200
    found = [event["id"] for event in events_of_rows(tmp_path, by, "A", f"{long}1", f"{long}2", f"{long}1")]
    assert {len(one) for one in found} == {128}
    assert (found[0] == found[2], found[0] == found[1]) == (True, False)


CELLS = st.one_of(
    st.sampled_from(["8001", "2024-03-05 14:30", "05/04/2024", "1.200,50", "1.200", "Closed won", "", '"', "a@x.no", "3.97E+10", "\\N", "\u202f"]),
    st.text(max_size=12),
)  # fmt: skip
HEADERS = st.lists(
    st.sampled_from(
        ["Record ID", "Deal Name", "Deal Stage", "Close Date", "Amount", "Create Date", "Associated Contact IDs", "amount ", "Email", "id"]
    ),
    max_size=9,
)  # fmt: skip


def read_to_the_end(path: Path, by: str) -> None:
    """Read a file; nothing is raised but what can be foreseen, which a command tells in one line."""
    with suppress(BadMapping, Unreadable, OSError):
        for line in read_lines(path, mapping(by)):
            assert all(isinstance(one, Refusal) or orjson.loads(one)["type"] in EVENT_TYPES for one in line.events)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=200)
@given(st.binary(max_size=400), st.sampled_from(["", ".gz", ".zst"]), st.sampled_from(ready_mappings()))
def test_any_bytes_are_read_or_refused(tmp_path: Path, body: bytes, suffix: str, by: str) -> None:
    path = tmp_path / f"t.csv{suffix}"
    path.write_bytes(body)
    read_to_the_end(path, by)
    (tmp_path / "t.parquet").write_bytes(body)
    read_to_the_end(tmp_path / "t.parquet", by)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(HEADERS, st.lists(st.lists(CELLS, max_size=9), max_size=6), st.sampled_from(ready_mappings()), st.sampled_from(["utf-8", "utf-16", "utf-8-sig"]), st.sampled_from(["\n", "\r", "\r\n"]))  # fmt: skip
def test_any_table_is_read_or_refused(
    tmp_path: Path, header: list[str], rows: list[list[str]], by: str, encoding: str, newline: str
) -> None:
    lines = [",".join(header), *(",".join(row) for row in rows)]
    path = tmp_path / "t.csv"
    path.write_bytes(newline.join(lines).encode(encoding, "replace"))
    read_to_the_end(path, by)


VALUES: Any = st.recursive(
    st.one_of(
        st.booleans(), st.integers(-5, 5), st.floats(allow_nan=False, allow_infinity=False),
        st.sampled_from(["{A}", "{?B|A}", "{item}", "x-{A}", "{", "$won", "%d.%m.%Y", "UTC", "deal_created", ",", ""]), st.text(string.printable, max_size=8),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["is", "when", "id", "email", "number", "map", "to", "each", "as", "separator", "contacts", "date", "end_of", "before_earliest_of", "A", "contains", "?", "|"]), inner, max_size=3),
    ),
    max_leaves=8,
)  # fmt: skip
NAMES = [
    "type",
    "id",
    "occurred_at",
    "as_of",
    "contact",
    "contacts",
    "deal_id",
    "amount",
    "won",
    "when",
    "unless",
    "for_each",
    "only_with",
    "properties",
    "settings",
    "weights",
]
EVENTS = st.lists(
    st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6).flatmap(
        lambda fields: st.sampled_from(sorted(EVENT_TYPES)).map(lambda kind: {**fields, "type": kind})
    ),
    max_size=3,
)  # fmt: skip
MAPPINGS = st.tuples(
    st.dictionaries(
        st.sampled_from(["about", "zone", "instants", "decimal", "null", "as_of", "lists", "values", "odd"]),
        VALUES,
        max_size=3,
    ),
    EVENTS,
).map(lambda both: {**both[0], "events": both[1]})


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)} = {toml(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value).replace("\x7f", "\\u007f")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=500)
@given(MAPPINGS)
def test_any_mapping_is_used_or_refused(tmp_path: Path, definition: dict[str, Any]) -> None:
    (tmp_path / "own.toml").write_text(
        "\n".join(f"{json.dumps(name)} = {toml(value)}" for name, value in definition.items())
    )
    (tmp_path / "t.csv").write_text("A,B\n1,x\n2024-03-05,a@x.no\n")
    read_to_the_end(tmp_path / "t.csv", str(tmp_path / "own.toml"))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(st.sampled_from(ready_mappings()), st.integers(0, 4_000), st.integers(0, 40), st.binary(max_size=6))
def test_any_damaged_mapping_is_used_or_refused(tmp_path: Path, name: str, at: int, cut: int, put: bytes) -> None:
    body = (READY / f"{name}.toml").read_bytes()
    (tmp_path / "own.toml").write_bytes(body[:at] + put + body[at + cut :])
    (tmp_path / "t.csv").write_text(
        "Record ID,Deal Name,Amount,Deal Stage,Create Date,Close Date\n1,x,5,Won,2024-03-05,2024-03-05\n"
    )
    read_to_the_end(tmp_path / "t.csv", str(tmp_path / "own.toml"))


def test_every_ready_mapping_is_sound() -> None:
    for name in ready_mappings():
        assert mapping(name).about
