"""What one cell of a table means: instants as intervals, numbers, ids, stages."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.replay.mapping.errors import BadCell, BadMapping
from services.replay.mapping.ids import contacts_of, items_of, mended
from services.replay.mapping.instants import EPOCHS, Instants
from services.replay.mapping.language import stage_names
from services.replay.mapping.numbers import Numbers, currency_in, readings
from shared.events.instants import EPOCH, from_micros, to_micros, to_rfc3339

OSLO = ZoneInfo("Europe/Oslo")


def local_time(seconds: int) -> dt.datetime:
    return (EPOCH + dt.timedelta(seconds=seconds)).replace(tzinfo=None)


def read(text: str, zone: str = "UTC", forms: tuple[str, ...] = (), also: tuple[str, ...] = ()) -> tuple[str, str]:
    """The interval of a cell in a column that has other cells `also`."""
    instants = Instants(ZoneInfo(zone), forms)
    for line, cell in enumerate((text, *also), 2):
        instants.observe("At", cell, line, needed=True)
    instants.settle()
    found = instants.read("At", text)
    return to_rfc3339(found.start_us), to_rfc3339(found.end_us)


@pytest.mark.parametrize(
    ("text", "zone", "start", "end"),
    [
        ("2024-03-15", "UTC", "2024-03-15T00:00:00Z", "2024-03-15T23:59:59.999999Z"),
        ("2024-03-31", "Europe/Oslo", "2024-03-30T23:00:00Z", "2024-03-31T21:59:59.999999Z"),  # of 23 hours
        ("2024-10-27", "Europe/Oslo", "2024-10-26T22:00:00Z", "2024-10-27T22:59:59.999999Z"),  # of 25 hours
        ("2018-11-04", "America/Sao_Paulo", "2018-11-04T03:00:00Z", "2018-11-05T01:59:59.999999Z"),  # has no midnight
        ("2024-03-15 14:30", "UTC", "2024-03-15T14:30:00Z", "2024-03-15T14:30:59.999999Z"),
        ("2024-03-15 14:30:15", "UTC", "2024-03-15T14:30:15Z", "2024-03-15T14:30:15.999999Z"),
        ("2024-03-15 14:30:15.5", "UTC", "2024-03-15T14:30:15.500000Z", "2024-03-15T14:30:15.599999Z"),
        ("2024-03-15T14:30:15.123456Z", "UTC", "2024-03-15T14:30:15.123456Z", "2024-03-15T14:30:15.123456Z"),
        ("2 PM 15 March 2024", "UTC", "2024-03-15T14:00:00Z", "2024-03-15T14:59:59.999999Z"),
        ("2024-10-27 02:30", "Europe/Oslo", "2024-10-27T00:30:00Z", "2024-10-27T01:30:59.999999Z"),  # comes twice
        ("2024-03-31 02:30", "Europe/Oslo", "2024-03-31T01:30:00Z", "2024-03-31T01:30:59.999999Z"),  # never comes
        ("12:00 AM 15/03/2024", "UTC", "2024-03-15T00:00:00Z", "2024-03-15T00:00:59.999999Z"),
        ("2024-03-15 12:00 p.m.", "UTC", "2024-03-15T12:00:00Z", "2024-03-15T12:00:59.999999Z"),
    ],
)
def test_a_coarse_text_is_an_interval(text: str, zone: str, start: str, end: str) -> None:
    assert read(text, zone) == (start, end)


@pytest.mark.parametrize(
    ("text", "zone", "start"),
    [
        ("2024-03-15 14:30 UTC", "Europe/Oslo", "14:30"), ("2024-03-15 14:30 GMT", "Europe/Oslo", "14:30"),
        ("2024-03-15 14:30Z", "Europe/Oslo", "14:30"), ("2024-03-15 14:30 +0100", "UTC", "13:30"),
        ("2024-03-15 14:30−01:00", "UTC", "15:30"), ("2024-03-15 14:30 UTC+2", "UTC", "12:30"),
        ("2024-03-15 14:30 Asia/Kolkata", "UTC", "09:00"), ("2024-03-15 14:30 CET", "UTC", "13:30"),
        ("2024-03-15 14:30 EDT", "UTC", "18:30"), ("2024-03-15 14:30 (JST)", "UTC", "05:30"),
        ("2024-03-15 14:30 PDT", "UTC", "21:30"), ("2024-03-15 14:30 PST", "America/Los_Angeles", "22:30"),
        ("2024-03-15 14:30 CST", "America/Chicago", "20:30"), ("2024-03-15 14:30 IST", "Asia/Kolkata", "09:00"),
        ("Fri Mar 15 2024 14:30:00 GMT+0100 (Central European Standard Time)", "UTC", "13:30"),
        ("2024-03-15T14:30:00+01:00[Europe/Oslo]", "UTC", "13:30"), ("Fri Mar 15 14:30:00 2024", "UTC", "14:30"),
    ],
)  # fmt: skip
def test_a_zone_that_a_text_names_counts(text: str, zone: str, start: str) -> None:
    assert read(text, zone)[0].startswith(f"2024-03-15T{start}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-03-15 14:30 CST", "'CST' is the name of several time zones"),
        ("2024-03-15 14:30 IST", "'IST' is the name of several time zones"),
        ("2024-03-15 14:30 XYZ", "'XYZ' is not a time zone"), ("2024-03-15 14:30 Mars/Base", "'Mars/Base' is not a time zone"),
        ("2024-13-15", "is not an instant"), ("2024-02-30", "is not an instant"), ("30/30/2024", "is not an instant"), ("14:30", "is not an instant"),
        ("2024-03-15 25:00", "is not an instant"), ("2024-03-15 14:30 PM", "is not an instant"), ("2024", "is a number"),
        ("1710513000", "is a number: if it counts time since 1970"), ("1712012300000", "is a number"), ("45366.6", "is a number"),
        ("15/3/24", "a year of two digits"), ("x" * 1000, "is not an instant"), ("9999-12-31", "out of range"),
    ],
)  # fmt: skip
def test_what_is_no_instant_says_so(text: str, expected: str) -> None:
    with pytest.raises(BadCell, match=expected):
        read(text)


@pytest.mark.parametrize(
    ("text", "form", "start", "end"),
    [
        ("1710513000", "epoch_seconds", "2024-03-15T14:30:00Z", "2024-03-15T14:30:00.999999Z"),
        ("1710513000.25", "epoch_seconds", "2024-03-15T14:30:00.250000Z", "2024-03-15T14:30:00.259999Z"),
        ("1710513000123", "epoch_milliseconds", "2024-03-15T14:30:00.123000Z", "2024-03-15T14:30:00.123999Z"),
        ("1710513000123456", "epoch_microseconds", "2024-03-15T14:30:00.123456Z", "2024-03-15T14:30:00.123456Z"),
        ("15|03|24", "%d|%m|%y", "2024-03-15T00:00:00Z", "2024-03-15T23:59:59.999999Z"),
        ("15|03|24 14", "%d|%m|%y %H", "2024-03-15T14:00:00Z", "2024-03-15T14:59:59.999999Z"),
        ("2024-02", "%Y-%m", "2024-02-01T00:00:00Z", "2024-02-29T23:59:59.999999Z"),
        ("15.03.2024 14:30 CET", "%d.%m.%Y %H:%M", "2024-03-15T13:30:00Z", "2024-03-15T13:30:59.999999Z"),
        ("15.03.2024 14:30 +0100", "%d.%m.%Y %H:%M %z", "2024-03-15T13:30:00Z", "2024-03-15T13:30:59.999999Z"),
        ("2024-03-15T14:30:00Z", "epoch_seconds", "2024-03-15T14:30:00Z", "2024-03-15T14:30:00.999999Z"),
        ("2024-15-03", "%Y-%d-%m", "2024-03-15T00:00:00Z", "2024-03-15T23:59:59.999999Z"),
        ("2024-05-03", "%Y-%d-%m", "2024-03-05T00:00:00Z", "2024-03-05T23:59:59.999999Z"),
    ],
)
def test_a_mappings_own_forms_say_how_long_an_instant_lasts(text: str, form: str, start: str, end: str) -> None:
    assert read(text, forms=(form,)) == (start, end)


@pytest.mark.parametrize("word", EPOCHS)
def test_a_number_far_off_is_no_instant(word: str) -> None:
    with pytest.raises(BadCell):
        read("9" * 20, forms=(word,))


@pytest.mark.parametrize(
    ("cell", "also", "day"),
    [
        ("05/04/2024", ("25/04/2024",), "2024-04-05"), ("05/04/2024", ("04/25/2024",), "2024-05-04"),
        ("05/04/2024 10:00", ("25/04/2024",), "2024-04-05"), ("05-04-2024", ("25/04/2024",), "2024-04-05"),
        ("5/4/2024 2:30 PM", ("4/25/2024 2:30 PM", "25/04/2024 14:30"), "2024-05-04"),
        ("05/04/2024 14:30", ("4/25/2024 2:30 PM", "25/04/2024 14:30"), "2024-04-05"),
        ("05.04.2024", ("04/25/2024",), "2024-04-05"), ("05.04.2024", (), "2024-04-05"),
        ("04/04/2024", (), "2024-04-04"), ("05/04/2024", ("25/04/2024", "garbage", "99/99/2024"), "2024-04-05"),
    ],
)  # fmt: skip
def test_the_file_says_in_which_order_day_and_month_come(cell: str, also: tuple[str, ...], day: str) -> None:
    assert read(cell, also=also)[0].startswith(day)


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (("05/04/2024",), "line 2: At: '05/04/2024' can be 5 April 2024 or 4 May 2024"),
        (("05/04/2024", "25.04.2024"), "nothing in the file says which"),
        (("05/04/2024 14:30", "4/25/2024 2:30 PM"), "nothing in the file says which"),
        (
            ("05/04/2024", "25/04/2024", "04/25/2024"),
            "line 3 has '25/04/2024', line 4 has '04/25/2024'. Say --day-first",
        ),
    ],
)
def test_an_order_that_is_not_settled_is_asked_about(cells: tuple[str, ...], expected: str) -> None:
    with pytest.raises(BadMapping) as error:
        read(cells[0], also=cells[1:])
    assert expected in str(error.value)


def test_two_forms_of_a_mapping_that_read_all_of_a_column_are_refused() -> None:
    forms = ("%d/%m/%Y", "%m/%d/%Y")
    assert read("05/04/2024", forms=forms, also=("25/04/2024",))[0].startswith("2024-04-05")
    assert read("05/04/2024", forms=forms, also=("04/25/2024",))[0].startswith("2024-05-04")
    for also in ((), ("25/04/2024", "04/25/2024")):
        with pytest.raises(BadMapping, match="can be read by %d/%m/%Y and by %m/%d/%Y"):
            read("05/04/2024", forms=forms, also=also)


def test_the_order_of_one_column_is_taken_from_another_only_if_it_shows_none_itself() -> None:
    instants = Instants(OSLO, ())
    for column, cell in (("A", "05/04/2024"), ("B", "25/04/2024"), ("C", "05/04/2024"), ("C", "04/25/2024")):
        instants.observe(column, cell, 2, needed=True)
    with pytest.raises(BadMapping, match="A: "):  # B says day first, C month first, and A nothing
        instants.settle()
    instants = Instants(OSLO, ())
    for column, cell in (("B", "05/04/2024"), ("B", "25/04/2024"), ("C", "05/04/2024"), ("C", "04/25/2024")):
        instants.observe(column, cell, 2, needed=True)
    instants.settle()
    days = [from_micros(instants.read(column, "05/04/2024").end_us).day for column in "BC"]
    assert days == [5, 4]


@given(st.integers(-2_000_000_000, 4_000_000_000).map(local_time), st.sampled_from(["%Y-%m-%d %H:%M", "%d %B %Y %I:%M %p", "%b %d, %Y %H:%M", "%Y%m%d", "%d.%m.%Y, %H:%M"]))  # fmt: skip
def test_every_instant_lies_within_what_is_shown_of_it(at: dt.datetime, form: str) -> None:
    instants = Instants(OSLO, ())
    found = instants.read("At", at.strftime(form))
    assert found.start_us <= to_micros(at.replace(tzinfo=OSLO)) <= found.end_us


@given(st.text(max_size=60))
def test_any_text_is_an_instant_or_is_refused(text: str) -> None:
    for forms in ((), ("%d.%m.%Y",), ("epoch_seconds", "day_first")):
        instants = Instants(OSLO, forms)
        instants.observe("At", text, 2, needed=True)
        try:
            instants.settle()
            found = instants.read("At", text)
        except (BadCell, BadMapping):
            continue
        assert found.start_us <= found.end_us


@given(st.integers(0, 10**12), st.integers(0, 99), st.sampled_from([(",", "."), (".", ","), (" ", "."), (" ", ","), ("'", ".")]))  # fmt: skip
def test_a_number_with_thousands_and_decimals_says_itself_what_it_is(
    whole: int, cents: int, signs: tuple[str, str]
) -> None:
    thousands, decimal = signs
    text = f"{whole:,}".replace(",", thousands) + f"{decimal}{cents:02}"
    assert set(readings(text).values()) == {f"{whole}.{cents:02}"}


@given(st.text(alphabet="0123456789.,' -€$kr()+eE", max_size=30))
def test_any_text_is_a_number_or_is_refused(text: str) -> None:
    for value in readings(text).values():
        assert value.strip("-").replace(".", "", 1).isdigit()


@pytest.mark.parametrize(
    "text", ["", "abc", "1.2.3", "1,2,3", "1 200 boxes", "--5", "1e3", "12%", "1.2345.678", "1 20", "٣"]
)
def test_what_is_no_number_says_so(text: str) -> None:
    with pytest.raises(BadCell, match="is not a number"):
        Numbers(None, comma_between_columns=True).read(text)


@pytest.mark.parametrize(
    ("text", "id_"),
    [
        ("8001", "8001"), ("8001.0", "8001"), ("8001.000", "8001"), ("8001,0", "8001"), ("3.9712345678E+10", "39712345678"),
        ("3,9712345678e+10", "39712345678"), ("8.0010E+3", "8001"), ("8E+0", "8"), ("8001.5", "8001.5"), ("1E5", "1E5"),
        ("12E34", "12E34"), ("0x1F", "0x1F"), ("abc.0", "abc.0"), ("0042", "0042"), ("9007199254740992.0", "9007199254740992"),
    ],
)  # fmt: skip
def test_an_id_that_became_a_number_is_mended(text: str, id_: str) -> None:
    assert mended(text) == id_


@pytest.mark.parametrize("text", ["3.97E+10", "3.97123456789E+12", "8.0E+3", "1E+5", "9007199254740993.0", "8.0015E+3"])
def test_an_id_that_lost_digits_is_refused(text: str) -> None:
    with pytest.raises(BadCell, match="its last digits are lost"):
        mended(text)


def test_contacts_are_distinguished_from_their_names() -> None:
    assert contacts_of("8001, Kari (sales) (kari@x.no); Nordmann, Ola <ola@x.no>,8002;8001") == [
        {"id": "8001"}, {"email": "kari@x.no"}, {"email": "ola@x.no"}, {"id": "8002"},
    ]  # fmt: skip


@given(st.text(alphabet='ab12@.;,()<> \n[]"', max_size=60))
def test_any_text_is_a_list_of_contacts_or_is_refused(text: str) -> None:
    try:
        found = contacts_of(text)
    except BadCell:
        return
    assert all(value for one in found for value in one.values())
    assert len(found) <= len(items_of(text)) * 3 + 1


def test_a_cell_of_a_million_commas_is_refused_at_once() -> None:
    with pytest.raises(BadCell, match="more than 1,000 contacts"):
        contacts_of("a@b," * 60_000)


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        ("Closed won (Sales Pipeline)", "closedwon"), ("5. Closed Won", "closedwon"), ("05 Closed-won", "closedwon"),
        ("Sales pipeline: Closed won", "closedwon"), ("Closed won | Partner", "closedwon"), ("(5) Closed won", "closedwon"),
        ("Closed / Won", "closedwon"), ("Closed won", "closedwon"), ("Gewonnen [Vertrieb]", "gewonnen"), ("100% Won", "100won"),
    ],
)  # fmt: skip
def test_a_stage_has_names_with_and_without_its_pipeline(stage: str, name: str) -> None:
    assert name in stage_names(stage)


@pytest.mark.parametrize(
    "stage", ["Not closed won", "Qualified (closed won)", "Closed wonderfully", "Discovery - closed won next"]
)
def test_a_stage_that_only_speaks_of_winning_is_not_won(stage: str) -> None:
    assert "closedwon" not in stage_names(stage)


@pytest.mark.parametrize(
    ("text", "currency"),
    [
        ("1 200,50 NOK", "NOK"), ("NOK 1200", "NOK"), ("€ 99", "EUR"), ("99 €", "EUR"), ("£1,200.50", "GBP"), ("(€ 99)", "EUR"), ("-99 EUR", "EUR"),
        ("CA$ 12", "CAD"), ("₹ 5", "INR"), ("EUR 99 EUR", "EUR"), ("HRK 5", "HRK"),
        ("$ 99", None), ("¥ 99", None), ("99 kr", None), ("99", None), ("XXX 99", None), ("ABC 99", None), ("", None), ("NOK", None), ("many €", None),
    ],
)  # fmt: skip
def test_the_currency_beside_an_amount_is_one_that_is_meant_beyond_doubt(text: str, currency: str | None) -> None:
    assert currency_in(text) == currency


def test_an_amount_with_two_currencies_is_refused() -> None:
    with pytest.raises(BadCell, match="names two currencies"):
        currency_in("NOK 99 €")
