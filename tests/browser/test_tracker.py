"""The tracker in a real browser: what visitors do becomes the events that it should, and nothing breaks the page."""

import time

import httpx
import pytest
from playwright.sync_api import Page

from tests.browser.conftest import PATIENCE_S, SECOND, SHOP, Site

COOKIE = "tl_visitor"
READY = "() => Boolean(window.touchline && touchline.consent)"


def types(events: list[dict[str, object]]) -> list[object]:
    return [event["type"] for event in events]


def visitors(events: list[dict[str, object]]) -> set[object]:
    return {event.get("visitor_id") for event in events}


def cookie(site: Site) -> str | None:
    return next((each["value"] for each in site.cookies() if each["name"] == COOKIE), None)


def until_empty(page: Page) -> None:
    """Wait until all events are answered."""
    page.wait_for_function("!localStorage.getItem('tl_queue')")


def until_up_to_date(client: httpx.Client) -> None:
    """Wait until all that was sent is projected."""
    until_s = time.monotonic() + PATIENCE_S
    while not client.get("/v1/status").json()["up_to_date"]:
        assert time.monotonic() < until_s
        time.sleep(0.1)


def noticed(site: Site, origin: str, number: int) -> set[str]:
    """What is noted of the pages of an origin, as soon as there are `number` kinds of notices."""
    until_s = time.monotonic() + PATIENCE_S
    with site.up.client("read") as client:
        while True:
            notices = client.get("/v1/browsers").json()["notices"]
            kinds = {row["notice"] for row in notices if row["origin"] == origin}
            if len(kinds) >= number or time.monotonic() > until_s:
                return kinds
            time.sleep(0.2)


def test_a_visit_arrives_with_its_address_referrer_and_title(site: Site) -> None:
    site.put("/offer")
    site.open("/offer?utm_campaign=spring&gclid=x#top", referer="https://news.example/a")
    (visit,) = site.events(1)
    assert visit["url"] == site.url("/offer?utm_campaign=spring&gclid=x#top")
    assert visit["referrer"] == "https://news.example/a"
    assert visit["title"] == "Page /offer"
    assert visit["visitor_id"] == cookie(site)


def test_the_server_sets_the_visitors_cookie_for_thirteen_months_on_the_whole_site(site: Site) -> None:
    site.put("/")
    page = site.open("/")
    site.events(1)
    until_empty(page)
    (found,) = site.cookies()
    assert (found["domain"], found["path"], found["sameSite"]) == (".shop.example", "/", "Lax")
    assert abs(found["expires"] - time.time() - 34_128_000) < 600
    (visit,) = site.events(1)
    assert found["value"] == visit["visitor_id"]


def test_a_visitor_keeps_the_cookie_over_pages_and_subdomains(site: Site) -> None:
    for path in ("/a", "/b"):
        site.put(path)
    page = site.open("/a")
    site.events(1)
    until_empty(page)  # the answer brings the server's cookie
    expires = site.cookies()[0]["expires"]
    page.goto(site.url("/b", "blog.shop.example"))
    events = site.events(2)
    assert len(visitors(events)) == 1
    assert site.cookies()[0]["expires"] == expires  # never prolonged


def test_navigation_by_the_history_api_is_a_visit_each(site: Site) -> None:
    site.put("/app")
    page = site.open("/app?utm_campaign=spring")
    site.events(1)
    page.evaluate("history.pushState({}, '', '/app/cart')")
    site.events(2)
    page.evaluate("history.replaceState({page: 2}, '', '/app/cart?sorted=yes')")  # the same page in another state
    page.evaluate("history.pushState({}, '', '/app/cart?sorted=yes#lower')")  # a place within the page
    page.evaluate("history.replaceState({}, '', '/app/pay')")
    site.events(3)
    page.go_back()
    events = site.events(4)
    assert [event["url"].partition("example")[2].partition("/")[2] for event in events] == [
        "app?utm_campaign=spring", "app/cart", "app/pay", "app/cart?sorted=yes",
    ]  # fmt: skip
    assert events[1]["referrer"] == events[0]["url"]
    assert len(visitors(events)) == 1


def test_hash_routers_are_followed_by_option(site: Site) -> None:
    site.put("/plain")
    site.put("/hash", hash="")
    page = site.open("/plain")
    page.evaluate("location.hash = '#/cart'")
    site.events(1)
    page.goto(site.url("/hash"))
    site.events(2)
    page.evaluate("location.hash = '#/cart'")
    events = site.events(3)
    assert events[2]["url"].endswith("/hash#/cart")


def test_a_call_to_action_is_viewed_once_and_clicked(site: Site) -> None:
    site.put("/cta", '<div style="height:3000px"></div><button data-tl-cta="try-now"><b>Try</b></button>')
    page = site.open("/cta")
    site.events(1)
    page.locator("button").scroll_into_view_if_needed()
    site.events(2)
    page.evaluate("scrollTo(0, 0)")
    page.locator("b").click()
    events = site.events(3)
    assert types(events) == ["page_visited", "cta_viewed", "cta_clicked"]
    assert {event["asset_id"] for event in events[1:]} == {"try-now"}
    assert events[2]["url"] == site.url("/cta")


def test_to_open_the_menu_of_a_call_to_action_is_no_click_and_to_open_it_in_a_tab_is(site: Site) -> None:
    site.put("/menu", '<b data-tl-cta="try-now">Try</b>')
    page = site.open("/menu")
    site.events(2)
    page.locator("b").click(button="right")
    site.nothing_more(2)
    page.locator("b").click(button="middle")
    assert types(site.events(3))[-1] == "cta_clicked"


def test_a_call_to_action_that_comes_later_is_seen_too(site: Site) -> None:
    site.put("/later")
    page = site.open("/later")
    site.events(1)
    page.evaluate("document.body.innerHTML = '<a data-tl-cta=late href=\"#x\">Go</a>'")
    assert types(site.events(2)) == ["page_visited", "cta_viewed"]


FORM = '<form action="/thanks" {0}><input type="email" name="email"><button>Send</button></form>'


def test_a_form_names_its_asset_and_the_person(site: Site) -> None:
    site.put("/form", FORM.format('data-tl-form="signup"'))
    site.put("/thanks")
    page = site.open("/form")
    page.fill("input", " Kari@example.no ")
    page.click("button")
    events = site.events(3)
    assert types(events) == ["page_visited", "form_submitted", "page_visited"]
    assert events[1]["asset_id"] == "signup"
    assert events[1]["contact"]["email"].lower() == "kari@example.no"
    assert len(visitors(events)) == 1


def test_forms_without_a_mark_are_taken_by_option_alone_and_never_a_password_form(site: Site) -> None:
    plain = FORM.format('id="newsletter" onsubmit="return false"')
    sign_in = '<form id="login" onsubmit="return false"><input type="password"><button id="in">In</button></form>'
    site.put("/without", plain)
    site.put("/with", plain + sign_in, forms="")
    page = site.open("/without")
    page.click("button")
    page.goto(site.url("/with"))
    page.click("#in")
    page.click("#newsletter button")
    events = site.events(3)
    assert [(event["type"], event.get("asset_id")) for event in events] == [
        ("page_visited", None), ("page_visited", None), ("form_submitted", "newsletter"),
    ]  # fmt: skip


def test_the_page_identifies_and_tracks_also_before_the_script_is_there(site: Site) -> None:
    early = "<script>(window.touchline = window.touchline || []).push(['identify', 'ola@example.no'])</script>"
    site.put("/in", head=early)
    page = site.open("/in")
    site.events(2)
    page.evaluate("touchline.track('ad_clicked', {asset_id: 'banner'})")
    events = site.events(3)
    assert sorted(map(str, types(events))) == ["ad_clicked", "contact_identified", "page_visited"]
    (known,) = [event for event in events if event["type"] == "contact_identified"]
    assert known["contact"]["email"] == "ola@example.no"
    with site.up.client("read") as client:
        until_up_to_date(client)
        journey = client.get("/v1/contacts/ola%40example.no/journey").json()
    assert "page_visited" in {item["type"] for item in journey["items"]}


def test_calls_with_nonsense_throw_nothing_on_the_page(site: Site) -> None:
    site.put("/odd")
    page = site.open("/odd")
    site.events(1)
    page.evaluate("""() => {
        touchline.identify(null); touchline.identify("nobody"); touchline.identify(); touchline.track(); touchline.push(["no"]);
        touchline.push(null); history.pushState({}, "", "/odd"); document.dispatchEvent(new Event("submit")); document.dispatchEvent(new Event("click"));
    }""")
    site.nothing_more(1)


def test_before_consent_there_is_no_cookie_no_storage_and_no_event(site: Site) -> None:
    site.put("/wait", '<a data-tl-cta="x" href="#a">x</a>', consent="wait")
    page = site.open("/wait?utm_campaign=spring")
    page.click("a")
    site.nothing_more(0)
    assert site.cookies() == []
    assert site.stored(page) == []


def test_a_consent_that_is_given_later_sends_what_happened_with_its_own_times(site: Site) -> None:
    site.put("/wait", '<a data-tl-cta="x" href="#a">x</a>', consent="wait")
    page = site.open("/wait?utm_campaign=spring&gclid=y")
    page.click("a")
    time.sleep(1)
    page.evaluate("touchline.consent(true)")
    events = site.events(3)
    assert sorted(map(str, types(events))) == ["cta_clicked", "cta_viewed", "page_visited"]
    (visit,) = [event for event in events if event["type"] == "page_visited"]
    assert visit["url"].endswith("/wait?utm_campaign=spring&gclid=y")
    assert visitors(events) == {cookie(site)}
    page.goto(site.url("/wait"))  # the cookie says that consent was given
    site.events(4 + 1)  # the visit, and the call to action comes into view again


def test_a_consent_given_on_the_second_page_keeps_the_source_of_the_first(site: Site) -> None:
    site.put("/landing", '<a href="/second">on</a>', consent="wait")
    site.put("/second", consent="wait")
    page = site.open("/landing?utm_campaign=spring&gclid=z")
    page.click("a")
    page.wait_for_url("**/second")
    page.wait_for_function(READY)
    page.evaluate("touchline.consent(true)")
    first, second = site.events(2)
    assert first["url"].endswith("/landing?utm_campaign=spring&gclid=z")
    assert second["url"].endswith("/second")


def test_without_consent_a_visit_is_of_nobody(site: Site) -> None:
    site.put("/no", FORM.format('data-tl-form="signup" onsubmit="return false"'), consent="wait")
    page = site.open("/no")
    page.evaluate("touchline.consent(false); touchline.identify('kari@example.no')")
    page.fill("input", "kari@example.no")
    page.click("button")
    page.evaluate("history.pushState({}, '', '/no/more')")
    events = site.events(2)
    assert types(events) == ["page_visited", "page_visited"]
    assert visitors(events) == {None}
    assert not any("contact" in event for event in events)
    assert (site.cookies(), site.stored(page)) == ([], [])
    page.evaluate("touchline.consent(true); touchline.identify('eva@example.no')")
    (identified,) = [event for event in site.events(3) if event["type"] == "contact_identified"]
    assert identified["visitor_id"] == cookie(site)


def test_a_consent_taken_back_deletes_the_cookie_and_the_storage(site: Site) -> None:
    site.put("/", consent="wait")
    page = site.open("/")
    page.evaluate("touchline.consent(true)")
    site.events(1)
    until_empty(page)  # else the answer brings the server's cookie after it was deleted
    assert cookie(site)
    page.evaluate("touchline.consent(false)")
    assert (site.cookies(), site.stored(page)) == ([], [])
    page.goto(site.url("/"))
    site.nothing_more(1)


def test_googles_consent_mode_is_respected(site: Site) -> None:
    head = """<script>dataLayer = []; function gtag() { dataLayer.push(arguments) }
      gtag("consent", "default", {analytics_storage: "denied"})</script>"""
    site.put("/gcm", head=head)
    page = site.open("/gcm")
    site.nothing_more(0)
    assert site.cookies() == []
    page.evaluate("gtag('consent', 'update', {analytics_storage: 'granted'})")
    assert visitors(site.events(1)) == {cookie(site)}
    until_empty(page)
    page.evaluate("gtag('consent', 'update', {analytics_storage: 'denied'})")
    assert site.cookies() == []


def test_the_tcf_api_is_respected(site: Site) -> None:
    head = """<script>window.__tcfapi = (command, version, callback) => {
        window.tell = consents => callback({gdprApplies: true, eventStatus: "useractioncomplete", purpose: {consents}}, true);
        callback({gdprApplies: true, eventStatus: "cmpuishown", purpose: {consents: {}}}, true) }</script>"""
    site.put("/tcf", head=head)
    page = site.open("/tcf")
    site.nothing_more(0)
    assert site.cookies() == []
    page.evaluate("tell({1: true, 7: true})")
    assert visitors(site.events(1)) == {cookie(site)}
    until_empty(page)
    page.evaluate("tell({1: true, 7: false})")
    assert site.cookies() == []


def test_global_privacy_control_and_do_not_track_are_stronger_than_a_consent(site: Site) -> None:
    site.put("/gpc", consent="wait")
    for n, signal in enumerate(("globalPrivacyControl", "doNotTrack"), 1):
        value = "true" if n == 1 else "'1'"
        page = site.context.new_page()
        page.add_init_script(f"Object.defineProperty(navigator, '{signal}', {{get: () => {value}}})")
        page.goto(site.url("/gpc"))
        page.wait_for_function(READY)
        page.evaluate("touchline.consent(true); touchline.identify('kari@example.no')")
        assert visitors(site.events(n)) == {None}
        assert (site.cookies(), site.stored(page)) == ([], [])


def test_what_happens_offline_arrives_when_the_browser_is_online(site: Site) -> None:
    site.put("/off", '<a data-tl-cta="x" href="#a">x</a>')
    page = site.open("/off")
    site.events(2)
    until_empty(page)
    site.context.set_offline(True)
    page.click("a")
    page.evaluate("touchline.identify('kari@example.no')")
    page.wait_for_function("localStorage.tl_queue && JSON.parse(localStorage.tl_queue).length === 2")
    time.sleep(1)  # a try that fails leaves them there
    assert len(page.evaluate("JSON.parse(localStorage.tl_queue)")) == 2
    site.context.set_offline(False)
    events = site.events(4)
    assert sorted(map(str, types(events[2:]))) == ["contact_identified", "cta_clicked"]
    until_empty(page)
    site.expected = "ERR_INTERNET_DISCONNECTED"  # the browser's own words


# addresses so long that 20 events have more than the 64 KiB that a browser sends while a page closes
SOME = "for (let n = 0; n < 30; n++) touchline.track('page_visited', {url: `https://a.example/${n}?x=` + 'x'.repeat(3500)})"


def test_many_events_with_long_addresses_arrive_after_the_browser_was_offline(site: Site) -> None:
    site.put("/long")
    page = site.open("/long")
    site.events(1)
    until_empty(page)
    site.context.set_offline(True)
    page.evaluate(SOME)
    assert len(page.evaluate("JSON.parse(localStorage.tl_queue)")) == 30
    site.context.set_offline(False)
    site.events(31)
    until_empty(page)
    site.expected = "ERR_INTERNET_DISCONNECTED"


def test_of_many_events_with_long_addresses_the_first_leave_with_the_page_that_can_store_none(site: Site) -> None:
    head = f"<script>{HOSTILE['the storage is full']}; window.fetch = () => new Promise(() => {{}})</script>"
    site.put("/long", head=head)
    page = site.open("/long")
    page.wait_for_function(READY)
    page.evaluate(SOME)
    page.goto("about:blank")
    until_s = time.monotonic() + PATIENCE_S
    while (
        len(site.events()) < 10
    ):  # half of those that a request has; more of them, if the browser says twice that the page is left
        assert time.monotonic() < until_s
        time.sleep(0.2)


def test_what_was_not_answered_is_sent_by_the_next_page(site: Site) -> None:
    site.put("/one")
    page = site.open("/one")
    site.events(1)
    until_empty(page)
    site.context.route("**/v1/events*", lambda route: route.abort())
    page.evaluate("touchline.track('cta_clicked', {asset_id: 'lost'})")
    page.wait_for_function("localStorage.tl_queue")
    page.close()
    site.context.unroute("**/v1/events*")
    site.expected = "ERR_FAILED"
    site.open("/one")
    events = site.events(3)
    assert sorted(map(str, types(events))) == ["cta_clicked", "page_visited", "page_visited"]


def test_a_page_that_is_closed_at_once_is_a_visit_and_so_is_a_click_that_leaves(site: Site) -> None:
    site.put("/fast")
    site.put("/left", '<a data-tl-cta="leave" href="/elsewhere">x</a>')
    site.pages.bodies["/elsewhere"] = ("<title>without the tracker</title>", {})
    page = site.open("/fast")
    page.wait_for_function(READY)
    page.close()
    assert types(site.events(1)) == ["page_visited"]
    page = site.open("/left")
    site.events(3)  # it was visited, and its call to action was seen
    page.click("a")
    page.close()
    assert types(site.events(4))[-1] == "cta_clicked"


def test_events_are_sent_by_a_beacon_when_the_page_is_left_in_a_pause(site: Site) -> None:
    counts_answers = """<script>answered = 0; const own = fetch
      fetch = (...given) => own(...given).finally(() => setTimeout(() => answered++))</script>"""
    site.put("/pause", head=counts_answers)
    page = site.open("/pause")
    site.events(1)
    until_empty(page)
    site.context.route(
        "**/v1/events*",
        lambda route: route.fulfill(
            status=503,
            headers={
                "Retry-After": "60",
                "Access-Control-Allow-Origin": site.url(""),
                "Access-Control-Allow-Credentials": "true",
            },
        ),
    )
    page.evaluate("answered = 0; touchline.track('cta_clicked', {asset_id: 'beacon'})")
    page.wait_for_function("answered")  # the tracker has read the answer, and pauses
    site.context.unroute("**/v1/events*")
    page.goto("about:blank")
    assert types(site.events(2)) == ["page_visited", "cta_clicked"]
    site.expected = "503"


def test_a_visitor_is_the_same_on_another_domain_of_the_company(site: Site) -> None:
    link = f'<a href="{site.url("/there?a=%20b#x=1", SECOND)}">second</a> <a id="other" href="{site.url("/there", "stranger.example")}">o</a>'
    site.put("/here", link, domains=f"shop.example, {SECOND}")
    site.put("/there", domains=f"shop.example, {SECOND}")
    page = site.open("/here")
    site.events(1)
    page.click("text=second")
    page.wait_for_url("**/there?a=%20b#x=1")  # the decoration is gone, the rest as it was
    events = site.events(2)
    until_empty(page)
    assert len(visitors(events)) == 1
    assert events[1]["url"] == site.url("/there?a=%20b#x=1", SECOND)
    assert events[1].get("referrer") is None  # another of the company's domains brings nobody
    domains = {each["domain"]: each["value"] for each in site.cookies()}
    assert domains[".shop.example"] == domains[f".{SECOND}"]
    page.goto(site.url("/here"))
    page.click("#other")
    page.wait_for_url("**/there")
    assert "tl_visitor" not in page.url
    assert len(visitors(site.events(4))) == 2


def test_a_decorated_link_that_was_copied_or_forged_makes_nobody_another_visitor(site: Site) -> None:
    site.put("/there", domains=f"shop.example, {SECOND}")
    forged = "f" * 32
    site.open(f"/there?tl_visitor={forged}.{int(time.time() * 1000):x}", SECOND)
    site.open(f"/there?x=1&tl_visitor={forged}.k0000000", SECOND, referer=site.url("/"))
    events = site.events(2)
    assert forged not in visitors(events)
    assert not any("tl_visitor" in event["url"] for event in events)


def test_a_router_that_removes_the_campaign_from_the_address_loses_nothing(site: Site) -> None:
    site.put("/spa", head="<script>history.replaceState({}, '', '/spa')</script>")
    site.open("/spa?utm_campaign=spring&gclid=q")
    (visit,) = site.events(1)
    assert visit["url"].endswith("/spa?utm_campaign=spring&gclid=q")


def test_a_policy_that_forbids_to_send_and_a_consent_that_is_awaited_are_reported(site: Site) -> None:
    policy = "default-src 'unsafe-inline' 'self'; script-src * 'unsafe-inline'; img-src *; connect-src 'self'"
    site.put("/policy", headers={"Content-Security-Policy": policy})
    site.put("/wait", consent="wait")
    site.open("/wait").wait_for_timeout(2500)
    site.open("/policy")
    assert noticed(site, site.url(""), 2) == {"blocked_by_policy", "consent_awaited"}
    site.expected = "Content Security Policy|violates|ERR_BLOCKED|Failed to fetch"


def test_a_page_of_an_origin_that_is_not_allowed_sends_nothing_and_breaks_nothing(site: Site) -> None:
    with site.up.client("admin") as client:
        key = client.post("/v1/keys", json={"scope": "collect", "origins": [site.url("")]}).json()["key"]
    site.put("/mine", key=key)
    site.open("/mine", SHOP)
    site.events(1)
    site.open("/mine", SECOND)
    site.nothing_more(1)
    assert "origin_not_allowed" in noticed(site, site.url("", SECOND), 1)
    site.expected = "CORS|ERR_FAILED|403"


def test_a_second_tag_of_the_script_counts_nothing_twice(site: Site) -> None:
    tag = f'<script async src="{site.touchline}/t.js" data-key="{site.key}"></script>'
    site.put("/twice", f'<a data-tl-cta="twice" href="#x">x</a>{tag}', head=tag)
    page = site.open("/twice")
    page.evaluate("history.pushState({}, '', '/twice/cart')")
    assert sorted(map(str, types(site.events(3)))) == ["cta_viewed", "page_visited", "page_visited"]
    site.nothing_more(3)


HOSTILE = {
    "the prototypes are frozen": """Object.freeze(History.prototype); Object.freeze(Storage.prototype); Object.freeze(Array.prototype)
        window.dataLayer = Object.freeze([{event: "gtm.js"}, null, 7])""",
    "cookies and storage are forbidden": """
        const forbidden = () => { throw new DOMException("no", "SecurityError") }
        Object.defineProperty(window, "localStorage", {get: forbidden})
        Object.defineProperty(document, "cookie", {get: forbidden, set: forbidden})""",
    "the storage holds nonsense": "localStorage.tl_queue = 'null'",
    "the storage holds a text that is no JSON": "localStorage.tl_queue = '[{'",
    "the storage is full": "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError') }",
    "elements have the names of the document's properties": """
        document.write('<form name="title"></form><form name="referrer"></form><form name="cookie"></form><p id="touchline"></p>')""",
    "history cannot be changed": "history.replaceState = () => { throw new Error('no') }",
}


@pytest.mark.parametrize("page_does", HOSTILE)
def test_visits_calls_and_clicks_arrive_without_an_exception_although(site: Site, page_does: str) -> None:
    early = (
        ""
        if "touchline" in HOSTILE[page_does]
        else "(window.touchline = window.touchline || []).push(['identify', 'ola@example.no'])"
    )
    site.put("/hostile", '<a data-tl-cta="go" href="#x">x</a>', head=f"<script>{HOSTILE[page_does]};{early}</script>")
    page = site.open("/hostile?utm_campaign=spring")
    page.wait_for_function(READY)
    if not early:
        page.evaluate("touchline.identify('ola@example.no')")
    page.click("a")
    page.evaluate("touchline.track('ad_clicked', {asset_id: 'odd', self: window})")  # no JSON: lost alone
    page.evaluate("history.pushState({}, '', '/hostile/cart')")
    expected = ["contact_identified", "cta_clicked", "cta_viewed", "page_visited", "page_visited"]
    assert sorted(map(str, types(site.events(len(expected))))) == expected


def test_consent_managers_that_throw_leave_the_visitor_undecided_and_the_page_whole(site: Site) -> None:
    site.put(
        "/tcf",
        head="<script>window.__tcfapi = () => { throw new Error('mine') }; window.dataLayer = [{get 0() { throw 1 }}]</script>",
    )
    page = site.open("/tcf")
    page.wait_for_function(READY)
    site.nothing_more(0)
    assert site.cookies() == []
    page.evaluate("touchline.consent(true)")
    site.events(1)


@pytest.mark.parametrize(
    "fetch", ["() => { throw new Error('blocked') }", "() => undefined", "() => Promise.resolve({status: 202})"]
)
def test_a_page_whose_fetch_is_broken_sends_by_a_beacon_when_it_is_left(site: Site, fetch: str) -> None:
    site.put("/nofetch", head=f"<script>window.fetch = {fetch}</script>")
    page = site.open("/nofetch")
    page.wait_for_function(READY)
    page.goto("about:blank")
    assert types(site.events(1)) == ["page_visited"]


def test_what_happens_while_a_request_is_under_way_is_sent_when_the_page_is_left(site: Site) -> None:
    site.put("/busy", head="<script>window.fetch = () => new Promise(() => {})</script>")
    page = site.open("/busy")
    page.wait_for_function(READY)
    page.evaluate("touchline.track('ad_clicked', {asset_id: 'banner'})")
    page.goto("about:blank")
    assert types(site.events(1)) == ["ad_clicked"]  # the visit is with the request that has no answer


def test_a_consent_that_is_taken_back_while_the_cookie_is_on_its_way_leaves_none(site: Site) -> None:
    site.put("/back", consent="wait")
    page = site.open("/back")
    page.wait_for_function(READY)
    with page.expect_response("**/v1/events*c=1"):
        page.evaluate("touchline.consent(true); touchline.consent(false)")
    site.events(1)
    page.wait_for_function("!document.cookie.includes('tl_visitor')")
    assert site.cookies() == []


def test_the_script_starts_as_a_module_and_by_a_tag_manager_and_with_a_host_that_ends_in_a_slash(site: Site) -> None:
    src = f"{site.touchline}/t.js"
    site.pages.bodies["/module"] = (
        f'<title>m</title><script type="module" src="{src}" data-key="{site.key}"></script>',
        {},
    )
    inserted = f"const s = document.createElement('script'); s.src = '{src}'; s.dataset.key = '{site.key}'; document.body.append(s)"
    site.pages.bodies["/inserted"] = (f"<title>i</title><body><script>{inserted}</script>", {})
    site.put("/host", host=site.touchline + "/")
    for number, path in enumerate(("/module", "/inserted", "/host"), 1):
        site.open(path)
        site.events(number)
