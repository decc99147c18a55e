"""Each page of the dashboard in a real browser: on two widths, in both themes, by keyboard, in five time zones, and in each state."""

import codecs
import csv
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.processes import Up, until_projected, up_with
from tests.programs import PATIENCE_MS

KARI = {"email": "kari@example.no"}
EVENTS = [
    {"type": "workspace_configured", "settings": {"currency": "EUR", "time_zone": "Europe/Oslo"}, "occurred_at": "2024-01-01T00:00:00Z"},
    {"type": "campaign_created", "campaign_id": "spring", "name": "Spring", "utm_campaign": "spring", "starts_on": "2024-01-01", "budget": "500.00", "currency": "EUR", "occurred_at": "2024-01-01T00:00:00Z"},
    {"type": "campaign_created", "campaign_id": "autumn", "name": "Autumn", "occurred_at": "2024-01-01T00:00:00Z"},
    {"type": "asset_registered", "asset_id": "mail", "asset_type": "marketing_email", "name": "Digest", "occurred_at": "2024-01-01T00:00:00Z"},
    {"type": "asset_associated", "asset_id": "mail", "campaign_id": "spring", "occurred_at": "2024-01-02T00:00:00Z"},
    {"type": "asset_associated", "asset_id": "mail", "campaign_id": "autumn", "occurred_at": "2024-02-02T00:00:00Z"},
    {"type": "spend_recorded", "campaign_id": "spring", "amount": "20.00", "currency": "EUR", "on": "2024-01-04"},
    {"type": "page_visited", "visitor_id": "v", "url": "https://s.example/?utm_campaign=spring", "occurred_at": "2024-01-03T23:30:00Z"},
    {"type": "contact_identified", "visitor_id": "v", "contact": KARI, "occurred_at": "2024-01-03T23:35:00Z"},
    {"type": "email_clicked", "asset_id": "mail", "contact": KARI, "occurred_at": "2024-01-04T00:00:00Z"},
    {"type": "email_clicked", "asset_id": "mail", "contact": KARI, "occurred_at": "2024-02-04T00:00:00Z"},
    {"type": "deal_created", "deal_id": "d", "name": "Fjordline", "amount": "100.00", "contacts": [KARI], "occurred_at": "2024-01-05T00:00:00Z"},
    {"type": "deal_closed", "deal_id": "d", "won": True, "occurred_at": "2024-03-09T00:00:00Z"},
    {"type": "deal_created", "deal_id": "n", "amount": "7.00", "currency": "NOK", "contacts": [KARI], "occurred_at": "2024-01-05T00:00:00Z"},
    {"type": "spend_recorded", "campaign_id": "sprnig", "amount": "1.00", "currency": "EUR", "on": "2024-01-04"},
    {"type": "form_submitted", "asset_id": "ghost", "visitor_id": "w", "occurred_at": "2024-01-05T00:00:00Z"},
    {"type": "page_visited", "visitor_id": "w", "url": "https://s.example/?utm_campaign=typo", "occurred_at": "2024-01-05T00:00:00Z"},
    {"type": "deal_closed", "deal_id": "n", "won": True, "occurred_at": "2024-03-10T00:00:00Z"},
]  # fmt: skip
RANGE = "range=custom&from=2024-01-01&to=2024-03-31"
PAGES = [
    f"campaigns?{RANGE}&compare=previous", f"campaign?id=spring&{RANGE}&compare=previous", f"campaign?id=spring&{RANGE}&as=list&held=list",
    "attribution", "attribution?of=contacts&by=channel", "assets", f"asset?id=mail&{RANGE}", "deals", "deal?id=d", "contacts",
    "contact?id=kari%40example.no", "unresolved", "live", "operations", "campaign?id=nobody", "attribution?model=markov",
]  # fmt: skip
ZONES = ["Pacific/Kiritimati", "Asia/Kolkata", "Europe/Oslo", "America/St_Johns", "Pacific/Pago_Pago"]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    with up_with(EVENTS, tmp_path_factory.mktemp("pages")) as up:
        yield up


Visit = Callable[..., Page]


@pytest.fixture(scope="module")
def windows(up: Up, browser: Browser) -> Iterator[Callable[..., BrowserContext]]:
    """Windows of a kind share what they have fetched; the visitor is signed in in each."""
    made: dict[str, BrowserContext] = {}

    def window(**options: Any) -> BrowserContext:
        kind = repr(sorted(options.items()))
        if kind not in made:
            made[kind] = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
            cookie = {"name": "touchline_key", "value": up.keys["read"], "url": up.url}
            made[kind].add_cookies([cookie])  # type: ignore[list-item]
        return made[kind]

    yield window
    for context in made.values():
        context.close()


@pytest.fixture
def visit(up: Up, windows: Callable[..., BrowserContext]) -> Iterator[Visit]:
    """Open a page, signed in; it must report no error, a violation of the policy among them."""
    pages: list[Page] = []
    errors: list[str] = []

    def open_page(path: str, **options: Any) -> Page:
        page = windows(**options).new_page()
        pages.append(page)
        page.on("pageerror", lambda error: errors.append(f"{path}: {error}"))
        page.on(
            "console", lambda message: errors.append(f"{path}: {message.text}") if "violates" in message.text else None
        )
        page.goto(f"{up.url}/dashboard/{path}")
        return page

    yield open_page
    for page in pages:
        page.close()
    assert errors == []


def whole(page: Page) -> Page:
    """The page once all its numbers are there."""
    page.wait_for_selector("h1")
    page.wait_for_load_state("networkidle")
    expect(page.locator("[aria-busy=true]")).to_have_count(0)
    return page


def until_asked(page: Page, held: list[Route]) -> None:
    """Wait until a request is held; the skeleton may be shown before it is sent."""
    deadline_s = time.monotonic() + PATIENCE_MS / 1_000
    while not held:
        assert time.monotonic() < deadline_s
        page.wait_for_timeout(20)


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
def test_axe_finds_nothing_and_nothing_is_wider_than_the_window(
    visit: Visit, path: str, width: int, theme: str
) -> None:
    page = whole(visit(path, viewport={"width": width, "height": 900}, color_scheme=theme))
    found = Axe().run(page).response["violations"]
    assert [(v["id"], [n["target"] for n in v["nodes"]]) for v in found] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(("width", "theme"), [(1440, "dark"), (390, "light")])
def test_axe_finds_nothing_in_the_other_theme(visit: Visit, width: int, theme: str) -> None:
    page = whole(visit(PAGES[1], viewport={"width": width, "height": 900}, color_scheme=theme))
    assert [v["id"] for v in Axe().run(page).response["violations"]] == []


@pytest.mark.parametrize(
    ("path", "number"),
    [
        (PAGES[0], 15),
        (PAGES[1], 15),
        ("attribution", 11),
        ("attribution?of=deals", 9),
        (PAGES[4], 7),
        (PAGES[6], 4),
        ("unresolved", 4),
        ("deals", 4),
    ],
)
def test_every_number_opens_by_keyboard_and_gives_the_focus_back(visit: Visit, path: str, number: int) -> None:
    page = whole(visit(path))
    doors = page.locator("button.why[aria-haspopup=dialog][id]")
    ids = [door.get_attribute("id") or "" for door in doors.all()]
    assert len(ids) >= number
    for name in ids:
        page.locator(f'[id="{name}"]').focus()
        page.keyboard.press("Enter")
        expect(page.locator("dialog h2")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.locator("dialog")).to_have_count(0)
        expect(page.locator(f'[id="{name}"]')).to_be_focused()


@pytest.mark.parametrize(
    ("number", "behind", "rows"),
    [("#tile-sessions", "1 session behind it", ["kari@example.no", "utm value spring"]), ("#all-email_clicks", "1 touch behind it", ["Digest"]),
     ("#out-after_association_ended", "1 touch behind it", ["Digest"])],
)  # fmt: skip
def test_a_number_of_sessions_or_touches_opens_the_list_of_them(
    visit: Visit, number: str, behind: str, rows: list[str]
) -> None:
    page = whole(visit(PAGES[1]))
    page.click(number)
    expect(page.locator("dialog h3", has_text="behind it")).to_have_text(behind)
    expect(page.locator("dialog tbody tr")).to_have_count(1)
    for text in rows:
        expect(page.locator("dialog tbody tr")).to_contain_text(text)
    assert [v["id"] for v in Axe().run(page).response["violations"]] == []


@pytest.mark.parametrize(
    ("path", "number", "deals", "total"),
    [("attribution", "#worth-spring", 1, "€66.67"), ("attribution", "#sum-all", 1, "€100.00"), ("campaigns", "#none-no_journey", 0, ""),
     ("campaigns", "#won-total", 1, "€100.00")],
)  # fmt: skip
def test_an_amount_of_a_report_opens_the_deals_that_it_is_of(
    visit: Visit, path: str, number: str, deals: int, total: str
) -> None:
    page = whole(visit(path))
    page.click(number)
    expect(page.locator("dialog h3", has_text="behind it")).to_have_text(
        f"{deals} deal{'' if deals == 1 else 's'} behind it"
    )
    expect(page.locator("dialog tbody tr")).to_have_count(deals)
    if deals:
        expect(page.locator("dialog tfoot")).to_contain_text(total)


@pytest.mark.parametrize(
    ("path", "number", "behind", "rows", "total"),
    [("attribution", "#contacts-spring", "1 contact behind it", ["kari@example.no", "€66.67"], "€66.67"),
     ("attribution?of=deals", "#deals-spring", "2 deals behind it", ["Fjordline", "1"], "2"),
     ("attribution?of=deals", "#contacts-spring", "1 contact behind it", ["kari@example.no", "2"], "2"),
     ("attribution?of=contacts", "#worth-spring", "1 contact behind it", ["kari@example.no", "1"], "1"),
     ("attribution?of=contacts", "#sum-all", "1 contact behind it", ["kari@example.no"], "1"),
     ("attribution", "#path-0-deals", "2 deals behind it", ["Fjordline", "3", "65.0"], "€100.00 and NOK 7.00"),
     ("asset?id=mail", "#touches", "2 touches behind it", ["kari@example.no", "Email clicked", "Spring"], None),
     ("unresolved", "#behind-campaigns-sprnig", "1 event behind it", ["Spend recorded"], None),
     ("unresolved", "#behind-assets-ghost", "1 event behind it", ["Form submitted", "anonymous visitor"], None),
     ("unresolved", "#behind-utm_values-typo", "1 visit behind it", ["anonymous visitor", "s.example/", "Other"], None)],
)  # fmt: skip
def test_a_number_of_a_row_opens_the_list_of_what_is_behind_it(
    visit: Visit, path: str, number: str, behind: str, rows: list[str], total: str | None
) -> None:
    page = whole(visit(path))
    page.click(number)
    expect(page.locator("dialog h3", has_text="behind it")).to_have_text(behind)
    for text in rows:
        expect(page.locator("dialog tbody")).to_contain_text(text)
    if total:
        expect(page.locator("dialog tfoot td").last).to_have_text(total)
    assert [v["id"] for v in Axe().run(page).response["violations"]] == []


def test_the_event_that_decides_a_point_opens_and_shows_what_it_counted_for(visit: Visit) -> None:
    page = whole(visit("deal?id=d"))
    page.locator("#why .ev button").last.click()
    expect(page.locator("dialog li").first).to_contain_text("Counts for")
    assert [v["id"] for v in Axe().run(page).response["violations"]] == []


@pytest.mark.parametrize("path", ["deal?id=d", "contact?id=kari%40example.no"])
def test_a_touch_of_a_journey_opens_and_tells_what_it_counted_for(visit: Visit, path: str) -> None:
    page = whole(visit(path))
    touch = page.locator("#journey .step", has_text="Email clicked").first.get_by_role("button")
    touch.click()
    expect(page.locator("dialog")).to_contain_text("Counts for Spring")
    page.keyboard.press("Escape")
    expect(touch).to_be_focused()


def test_an_event_opens_over_the_list_that_it_is_in(visit: Visit) -> None:
    page = whole(visit(PAGES[1]))
    page.click("#tile-influenced_contacts")
    page.locator("dialog tbody .why").click()
    expect(page.locator("dialog")).to_have_count(2)
    expect(page.locator("dialog").last).not_to_contain_text("Reading…")
    page.locator("dialog").last.get_by_label("Close").click()
    expect(page.locator("dialog")).to_have_count(1)  # a dialog leaves the page a moment after it was closed
    expect(page.locator("dialog h2")).to_have_text("Influenced contacts")


def test_on_a_phone_the_choices_are_folded_behind_what_is_chosen(visit: Visit) -> None:
    page = whole(visit("campaigns", viewport={"width": 390, "height": 844}))
    assert (page.locator(".bigline b").bounding_box() or {})["y"] < 400  # the first number is on the first screen
    expect(page.locator("#pick-range")).to_be_hidden()
    page.click(".fold")
    page.select_option("#pick-range", "last-year")
    expect(page.locator(".fold")).to_contain_text("Last year, No comparison, Linear")


def test_a_csv_is_of_what_is_chosen_when_it_is_asked_for(visit: Visit) -> None:
    page = whole(visit("campaigns"))
    page.select_option("#pick-range", "this-year")
    with page.expect_request(lambda request: "text/csv" in request.headers.get("accept", "")) as asked:
        page.click("text=CSV")
    assert "from=" in asked.value.url


def saved(page: Page, button: Any) -> tuple[str, list[dict[str, str]]]:
    """The name of the file that a button saves, and its rows as a spreadsheet reads them, with the first line's names."""
    with page.expect_download() as download:
        button.click()
    with download.value.path().open(encoding="utf-8-sig", newline="") as file:
        assert file.buffer.peek(3)[:3] == codecs.BOM_UTF8  # type: ignore[attr-defined]
        return download.value.suggested_filename, list(csv.DictReader(file))


def test_contacts_are_saved_for_a_spreadsheet(up: Up, browser: Browser) -> None:
    """All pages of the list, names with letters of every kind, and no cell that a spreadsheet works out."""
    with up.client("admin") as client:
        keys = client.post("/v1/workspaces", json={"name": "Sheet"}).json()["keys"]
    up.keys = {**up.keys, "sheet": keys["server"]}
    names = {f"k{n}@example.no": {"first_name": "Åse", "last_name": f"Nr. {n}"} for n in range(1_100)}
    names["odd@example.no"] = {"first_name": "=1+1", "last_name": 'Bø, "the\nsecond"'}
    events = [
        {"type": "contact_created", "contact": {"email": email}, "properties": named, "occurred_at": "2024-01-03T00:00:00Z"}
        for email, named in names.items()
    ]  # fmt: skip
    with up.client("sheet") as client:
        position = [client.post("/v1/events", json=events[n : n + 500]).json() for n in range(0, len(events), 500)][-1]
        until_projected(client, position["position"])
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{up.url}/dashboard/contacts#key={keys['read']}")
    file_name, rows = saved(whole(page), page.get_by_role("button", name="CSV"))
    context.close()
    assert file_name == "contacts.csv"
    assert {row["contact"] for row in rows} == set(names)
    assert len(rows) == len(names)
    by_email = {row["email"]: row["name"] for row in rows}
    assert by_email["k7@example.no"] == "Åse Nr. 7"
    assert by_email["odd@example.no"] == '\'=1+1 Bø, "the\nsecond"'


def test_the_contacts_behind_a_number_are_saved_as_they_are_listed(visit: Visit) -> None:
    page = whole(visit(f"campaign?id=spring&{RANGE}"))
    page.click("#tile-influenced_contacts")
    expect(page.locator("dialog tbody tr")).to_have_count(1)
    file_name, rows = saved(page, page.locator("dialog").get_by_role("button", name="CSV"))
    assert file_name == "contacts.csv"
    assert [row["contact"] for row in rows] == ["kari@example.no"]


def test_a_list_behind_a_number_that_cannot_be_read_says_so_and_is_asked_again(visit: Visit) -> None:
    page = whole(visit(PAGES[1]))
    page.route(
        "**/sessions?*",
        lambda route: route.fulfill(
            status=503, json={"code": "busy", "detail": "Too many read at once.", "request_id": "one-7"}
        ),
    )
    page.click("#tile-sessions")
    expect(page.locator("dialog [role=alert]")).to_contain_text("Too many read at once. busy, request one-7")
    page.unroute("**/sessions?*")
    page.locator("dialog button", has_text="Try again").click()
    expect(page.locator("dialog tbody tr")).to_have_count(1)


def test_deals_of_a_campaign_are_listed_alone_until_all_are_asked_for(visit: Visit) -> None:
    page = whole(visit("deals?campaign=autumn"))
    expect(page.locator("tbody tr")).to_have_count(2)
    page = whole(visit("deals?campaign=autumn&state=open"))
    expect(page.locator("#list")).to_contain_text("No such deal in this range")
    page.click("#of-campaign button")
    expect(page.locator("#of-campaign button")).to_have_count(0)


def test_a_deal_is_explained_by_its_name(visit: Visit) -> None:
    page = whole(visit(PAGES[1]))
    page.fill("#why-id", "fjord")
    page.click("text=Explain")
    expect(page.locator("#why-answer")).to_contain_text("Deal d counts for this campaign.")


@pytest.mark.parametrize("path", [PAGES[0], PAGES[1], PAGES[6]])
def test_a_page_says_the_same_in_five_time_zones(visit: Visit, path: str) -> None:
    pages = [whole(visit(path, timezone_id=zone)).locator("main").inner_text().splitlines() for zone in ZONES]
    texts = [
        [line for line in page if not line.startswith("Settled through")] for page in pages
    ]  # that goes on with the clock
    for other in texts[1:]:
        assert other == texts[0]


def test_a_tile_chooses_the_chart_and_arrows_read_it(visit: Visit) -> None:
    page = whole(visit(f"campaign?id=spring&{RANGE}&interval=month"))
    page.click("#chart-attributed_revenue")
    expect(page.locator(".read b")).to_have_text("€66.67")
    page.locator("svg.timeline").focus()
    page.keyboard.press("End")
    expect(page.locator(".read p")).to_have_text("Mar 2024")
    expect(page.locator(".read b")).to_have_text("€66.67")
    assert "chart=attributed_revenue" in page.url


@pytest.mark.parametrize(
    ("span", "expected"),
    [("from=2024-01-01&to=2024-03-31", "not comparable"),  # nothing was touched in the quarter before
     ("from=2024-01-20&to=2024-01-31", None), ("from=2024-03-01&to=2024-03-31", "new")],
)  # fmt: skip
def test_a_change_is_reported_only_against_a_whole_period(visit: Visit, span: str, expected: str | None) -> None:
    page = whole(visit(f"campaigns?range=custom&{span}&compare=previous"))
    result = page.locator(".bigline .delta")
    expect(result).to_have_count(0 if expected is None else 1)
    if expected is not None:
        expect(result).to_contain_text(expected)
    expect(page.locator("#not-whole")).to_have_count(1 if expected == "not comparable" else 0)
    expect(page.locator("tbody .delta")).to_have_count(7 if expected == "new" else 0)


@pytest.mark.parametrize(
    ("span", "compare", "chosen", "now", "before"),
    [("2026-07-01..2026-10-01", "previous", "last-quarter", "2026-11-27", "2026-04-01..2026-07-01"),  # a quarter, whatever its days
     ("2026-10-01..2026-11-01", "previous", "last-month", "2026-11-27", "2026-09-01..2026-10-01"),
     ("2026-01-01..2027-01-01", "previous", "this-year", "2027-01-01", "2025-01-01..2026-01-01"),
     ("2026-10-01..2027-01-01", "previous", "this-quarter", "2026-11-27", "2026-07-01..2026-08-28"),  # so far
     ("2026-10-01..2027-01-01", "year", "this-quarter", "2026-11-27", "2025-10-01..2025-11-28"),
     ("2026-03-01..2026-04-01", "previous", "this-month", "2026-03-30", "2026-02-01..2026-03-01"),  # February has no 30 days
     ("2026-02-01..2026-03-01", "previous", "28", "2026-02-28", "2026-01-04..2026-02-01"),  # chosen as days
     ("2026-03-02..2026-03-12", "previous", "custom", "2026-11-27", "2026-02-20..2026-03-02"),
     ("2024-03-01..2024-04-01", "year", "custom", "2026-11-27", "2023-03-01..2023-04-01"),
     ("..2024-04-01", "previous", "custom", "2026-11-27", ""), ("2024-03-01..2024-04-01", "", "custom", "2026-11-27", "")],
)  # fmt: skip
def test_a_period_is_compared_with_the_one_that_people_mean(
    visit: Visit, span: str, compare: str, chosen: str, now: str, before: str
) -> None:
    page = whole(visit("operations"))
    module = "(await import('/dashboard/static/ranges.js'))"
    from_, _, to = span.partition("..")
    ranges = page.evaluate(
        f"async ([from, to, compare, chosen, now]) => {module}.asCompared({module}.comparedWith({{ from, to }}, compare, chosen, new Date(now)))",
        [from_, to, compare, chosen, f"{now}T12:00:00Z"],
    )
    assert ranges == before


def test_the_days_of_a_range_and_of_what_it_is_compared_with_are_said_and_asked_for(visit: Visit) -> None:
    page = whole(visit("operations"))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(unquote(request.url)))
    page.goto(page.url.replace("operations", f"campaigns?{RANGE}&compare=previous"))
    expect(page.locator("#range-days")).to_have_text("1 Jan to 31 Mar 2024, against 1 Oct to 31 Dec 2023")
    assert any("/v1/campaigns?" in url and "compare=2023-10-01..2024-01-01" in url for url in asked)
    assert any("/v1/reports/" in url and "from=2023-10-01&to=2024-01-01" in url for url in asked)


@pytest.mark.parametrize(
    ("now", "before", "expected"),
    [(21_550, 100, "216×"), (420, 100, "4.2×"), (300, 100, "3×"), (299, 100, "199%"), (50, 100, "50%"), (100, 100, "same"), (7, 0, "new"),
     (0, 0, None), (0, 5, "100%"), (5, -5, "200%"), (9_960, 1_000, "10×")],
)  # fmt: skip
def test_a_large_change_is_said_as_so_many_times(visit: Visit, now: int, before: int, expected: str | None) -> None:
    page = whole(visit("operations"))
    module = "(await import('/dashboard/static/charts.js'))"
    result = page.evaluate(
        f"async ([now, before]) => {module}.delta(now, before, 'then')?.textContent ?? null", [now, before]
    )
    assert (result and result.partition(" ")[0].partition(",")[0]) == expected


def test_the_foot_adds_up_whatever_the_search_hides(visit: Visit) -> None:
    page = whole(visit("campaigns"))
    page.fill("#search", "autumn")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tfoot")).to_contain_text("1 campaign that the search hides")
    expect(page.locator("tfoot .sum")).to_contain_text("✓ adds up")
    expect(page.locator("tfoot .sum")).to_contain_text("€100.00")


def test_the_first_numbers_are_asked_once_and_before_the_modules(visit: Visit, up: Up) -> None:
    page = whole(visit("operations"))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.removeprefix(up.url)))
    page.goto(f"{up.url}/dashboard/campaigns")
    expect(page.locator(".bigline b")).to_contain_text("€100.00")
    reports = [n for n, url in enumerate(asked) if url.startswith("/v1/reports/attribution") and "from=" not in url]
    assert len(reports) == 1
    assert reports[0] < asked.index("/dashboard/static/charts.js")


def test_a_deals_shares_under_all_models_are_asked_for_once(visit: Visit, up: Up) -> None:
    page = whole(visit("operations"))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.removeprefix(up.url)))
    page.goto(f"{up.url}/dashboard/deal?id=d&model=last_interaction")
    expect(page.locator("#models .sum")).to_contain_text("€100.00")
    assert len([url for url in asked if "/attribution" in url]) == 1
    for name in ("first_interaction", "last_interaction"):
        page.click(f"#model-{name}")
        shares = page.locator("#journey .step .share b")
        expect(shares.first if name == "first_interaction" else shares.last).to_have_text("€100.00")


def test_campaigns_are_compared_side_by_side(visit: Visit) -> None:
    page = whole(visit("campaigns"))
    page.check("#pick-spring")
    page.check("#pick-autumn")
    page.click("#compare")
    expect(page.locator("dialog thead")).to_contain_text("Spring")
    expect(page.locator("dialog tbody tr").last).to_contain_text("€33.33")  # attributed revenue


def test_the_currency_is_a_choice_and_stays(visit: Visit) -> None:
    page = whole(visit("campaigns"))
    page.select_option("#pick-currency", "NOK")
    expect(page.locator("tfoot .sum")).to_contain_text("NOK 7.00")
    expect(page.locator(".nav a").nth(1)).to_have_attribute("href", "/dashboard/attribution?currency=NOK")
    page.locator(".cname a", has_text="Spring").click()
    expect(page.locator("#tile-influenced_revenue")).to_contain_text("NOK 7")


def test_shares_of_created_contacts_add_up(visit: Visit) -> None:
    page = whole(visit("attribution?of=contacts"))
    expect(page.locator("tfoot .sum")).to_contain_text("✓ adds up")


def test_models_by_the_paths_of_all_journeys_are_asked_for_once_they_are_chosen(visit: Visit, up: Up) -> None:
    page = whole(visit("attribution"))
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.removeprefix(up.url)))
    expect(page.locator("#model-markov")).to_contain_text("How many won deals would be missing")
    expect(page.locator("#model-shapley")).to_contain_text("choose it to calculate it")
    page.click("#model-markov")
    expect(page.locator("#groups")).to_have_text("Won revenue by campaign, Markov")
    expect(page.locator("#groups-host tfoot")).to_contain_text("✓ adds up")
    expect(page.locator("#groups-host tbody tr", has_text="Spring")).to_contain_text("€50.00")  # under linear 66.67
    expect(page.locator("#model-shapley .stack")).to_be_visible()
    assert ["model=markov" in url for url in asked if url.startswith("/v1/reports/attribution")] == [True]
    page.click("#deals-spring")
    expect(page.locator("dialog h3", has_text="behind it")).to_have_text("1 deal behind it")
    page.keyboard.press("Escape")
    expect(page.locator(".nav a").nth(0)).to_have_attribute(
        "href", "/dashboard/campaigns"
    )  # no other page has the model
    page.select_option("#pick-of", "deals")
    expect(page.locator("#groups")).to_have_text("Deals created by campaign, linear")
    expect(page.locator("#model-markov")).to_have_count(0)


def test_who_held_an_asset_is_reported_with_the_event_of_the_move(visit: Visit) -> None:
    rows = whole(visit("asset?id=mail")).locator("#held-host tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.nth(1)).to_contain_text("Autumn")


def test_a_slow_answer_shows_a_skeleton_and_a_failed_one_says_what_to_do(visit: Visit, up: Up) -> None:
    page = whole(visit("operations"))
    held: list[Route] = []
    page.route("**/v1/campaigns?*", lambda route: held.append(route))  # noqa: PLW0108  (playwright puts an attribute on it)
    page.goto(f"{up.url}/dashboard/campaigns")
    expect(page.locator("#won-host h2")).to_have_text("Won revenue by campaign")  # it does not wait for the list
    expect(page.locator("#table-host [aria-busy=true]")).to_be_visible()
    until_asked(page, held)
    for route in held:
        route.fulfill(status=503, json={"code": "busy", "detail": "Too many read at once."})
    expect(page.locator("#table-host [role=alert]")).to_contain_text("Too many read at once.")
    page.unroute("**/v1/campaigns?*")
    page.click("text=Try again")
    expect(page.locator("#table-host tbody tr")).to_have_count(3)


def test_a_list_that_is_slower_than_the_traffic_is_shown_all_the_same(visit: Visit, up: Up) -> None:
    page = whole(visit("operations"))
    asked: list[Route] = []
    page.route("**/v1/campaigns?*", lambda route: asked.append(route))  # noqa: PLW0108  (playwright puts an attribute on it)
    page.goto(f"{up.url}/dashboard/campaigns")
    expect(page.locator("#table-host [aria-busy=true]")).to_be_visible()
    with up.client("server") as client:
        position = client.post(
            "/v1/events", json={"type": "page_visited", "visitor_id": "more", "url": "https://s.example/"}
        ).json()["position"]
        until_projected(client, position)
    until_asked(page, asked)
    page.wait_for_timeout(3_000)  # the page would have looked again meanwhile
    assert len(asked) == 1
    asked[0].continue_()
    expect(page.locator("#table-host tbody tr")).to_have_count(3)
