"""One microsecond before, at and after each instant that the rules name.

`{t}` is that moment about noon of 10 March; the answers are those before, at and after it.
"""

import asyncio
from typing import Any

import pytest

from shared.events.codec import Record, Refusal, accept
from shared.events.instants import DAY_US, to_rfc3339
from shared.rules.settled import LIVE_US_MAX, bucket
from tests.conftest import new_workspace
from tests.scenarios.worked import event
from touchline.compose import Running

MOMENTS = ("03-10 11:59:59.999999", "03-10 12:00:00", "03-10 12:00:00.000001")
VIEWS, FORMS = "metrics.page_views", "metrics.form_submissions"

# what the instant is, the events, the path, where in the answer, and the three answers
BOUNDARIES: list[tuple[str, str, str, str, tuple[Any, Any, Any]]] = [
    ("interval: from the association", """
03-10 12:00 asset_associated asset_id=form campaign_id=c
03-01 00:00 campaign_created campaign_id=c
{t} form_submitted visitor_id=v asset_id=form""", "campaigns/c/overview", FORMS, (0, 1, 1)),
    ("interval: to the dissociation", """
03-01 00:00 asset_associated asset_id=form campaign_id=c
03-10 12:00 asset_dissociated asset_id=form campaign_id=c
{t} form_submitted visitor_id=v asset_id=form""", "campaigns/c/overview", FORMS, (1, 0, 0)),
    ("interval: to the next association, the old campaign", """
03-01 00:00 asset_associated asset_id=form campaign_id=c
03-10 12:00 asset_associated asset_id=form campaign_id=d
{t} form_submitted visitor_id=v asset_id=form""", "campaigns/c/overview", FORMS, (1, 0, 0)),
    ("interval: to the next association, the new campaign", """
03-01 00:00 asset_associated asset_id=form campaign_id=c
03-10 12:00 asset_associated asset_id=form campaign_id=d
{t} form_submitted visitor_id=v asset_id=form""", "campaigns/d/overview", FORMS, (0, 1, 1)),
    ("interval: from the campaign's creation", """
03-01 00:00 asset_associated asset_id=form campaign_id=c
03-10 12:00 campaign_created campaign_id=c
{t} form_submitted visitor_id=v asset_id=form""", "campaigns/c/overview", FORMS, (0, 1, 1)),
    ("interval: to the campaign's deletion", """
03-01 00:00 asset_associated asset_id=form campaign_id=c
03-10 12:00 campaign_deleted campaign_id=c
{t} form_submitted visitor_id=v asset_id=form""", "campaigns/c/overview", FORMS, (1, 0, 0)),
    ("interval: an association about the deletion (of one instant, by its id)", """
03-01 00:00 campaign_created campaign_id=c
03-10 12:00 campaign_deleted id=m campaign_id=c
{t} asset_associated id=z asset_id=form campaign_id=c""", "events/z/explain", "reason",
     (None, "campaign_deleted", "campaign_deleted")),
    ("pre-association: the reason before the first interval", """
03-10 12:00 asset_associated asset_id=form campaign_id=c
{t} form_submitted visitor_id=v asset_id=form""", "campaigns/c/overview", "excluded.before_association", (1, 0, 0)),
    ("touch: of a via", """
03-10 12:00 asset_associated asset_id=ad campaign_id=c
{t} page_visited visitor_id=v url=https://s.example/?tl_via=ad""", "campaigns/c/overview", VIEWS, (0, 1, 1)),
    ("utm: from the telling", """
03-10 12:00 campaign_created campaign_id=c utm_campaign=x
{t} page_visited visitor_id=v url=https://s.example/?utm_campaign=x""", "campaigns/c/overview", VIEWS, (0, 1, 1)),
    ("utm: to another's claim", """
03-01 00:00 campaign_created campaign_id=c utm_campaign=x
03-10 12:00 campaign_created campaign_id=d utm_campaign=x
{t} page_visited visitor_id=v url=https://s.example/?utm_campaign=x""", "campaigns/c/overview", VIEWS, (1, 0, 0)),
    ("utm: to the claimant's deletion", """
03-01 00:00 campaign_created campaign_id=c utm_campaign=x
03-10 12:00 campaign_deleted campaign_id=c
{t} page_visited visitor_id=v url=https://s.example/?utm_campaign=x""", "campaigns/c/overview", VIEWS, (1, 0, 0)),
    ("page: from its registration", """
03-01 00:00 asset_associated asset_id=new campaign_id=c
03-01 00:00 asset_registered asset_id=old asset_type=site_page url=https://s.example/
03-10 12:00 asset_registered asset_id=new asset_type=site_page url=https://s.example/
{t} page_visited visitor_id=v url=https://s.example/""", "campaigns/c/overview", VIEWS, (0, 1, 1)),
    ("session: half an hour of silence", """
03-01 00:00 asset_associated asset_id=lp campaign_id=c
03-10 11:30 page_visited visitor_id=v asset_id=lp url=https://s.example/
{t} page_visited visitor_id=v asset_id=lp url=https://s.example/""", "campaigns/c/overview", "metrics.sessions", (1, 2, 2)),
    ("first and last touch: half an hour after the session", """
03-01 00:00 asset_associated asset_id=lp campaign_id=c
03-10 11:30 page_visited visitor_id=v asset_id=lp url=https://s.example/
{t} contact_identified visitor_id=v contact=7""", "campaigns/c/overview", "metrics.new_contacts_last_touch", (1, 0, 0)),
    ("first and last touch: a visit up to the conversion, itself included", """
03-01 00:00 asset_associated asset_id=lp campaign_id=c
03-10 12:00 contact_identified id=m visitor_id=v contact=7
{t} page_visited id=a visitor_id=v asset_id=lp url=https://s.example/""", "campaigns/c/overview",
     "metrics.new_contacts_first_touch", (1, 1, 0)),
    ("first and last touch: of one instant, a visit after the conversion by its id", """
03-01 00:00 asset_associated asset_id=lp campaign_id=c
03-10 12:00 contact_identified id=m visitor_id=v contact=7
{t} page_visited id=z visitor_id=v asset_id=lp url=https://s.example/""", "campaigns/c/overview",
     "metrics.new_contacts_first_touch", (1, 0, 0)),
    ("first and last touch: a value claimed at the conversion", """
{t} campaign_created campaign_id=c utm_campaign=x
03-10 12:00 form_submitted visitor_id=v asset_id=form contact=7 url=https://s.example/?utm_campaign=x""",
     "campaigns/c/overview", "metrics.new_contacts_last_touch", (1, 1, 0)),
    ("owner: a second identification", """
03-01 00:00 contact_identified visitor_id=v contact=7
03-10 12:00 contact_identified id=m visitor_id=v contact=8
{t} page_visited id=a visitor_id=v url=https://s.example/""", "events/a/explain", "contact", ("7", "7", "8")),
    ("owner: a second identification, of one instant before by its id", """
03-01 00:00 contact_identified visitor_id=v contact=7
03-10 12:00 contact_identified id=m visitor_id=v contact=8
{t} page_visited id=z visitor_id=v url=https://s.example/""", "events/z/explain", "contact", ("7", "8", "8")),
    ("visible: a visit since the campaign's creation", """
03-10 12:00 campaign_created campaign_id=c
03-11 00:00 asset_associated asset_id=tu campaign_id=c
03-01 00:00 asset_registered asset_id=tu asset_type=tracking_url
{t} page_visited visitor_id=v url=https://s.example/?tl_via=tu""", "campaigns/c/assets", "items.0.visible", (False, True, True)),
    ("visible: the first of the campaign's days, in the workspace's time zone", """
03-01 00:00 workspace_configured settings={"time_zone": "Etc/GMT-12"}
03-01 00:00 campaign_created campaign_id=c starts_on=2024-03-11
03-01 00:00 asset_associated asset_id=blog campaign_id=c
{t} asset_published asset_id=blog""", "campaigns/c/assets", "items.0.visible", (False, True, True)),
    ("visible: the last of the campaign's days, in the workspace's time zone", """
03-01 00:00 workspace_configured settings={"time_zone": "Etc/GMT-12"}
03-01 00:00 campaign_created campaign_id=c ends_on=2024-03-10
03-01 00:00 asset_associated asset_id=blog campaign_id=c
{t} asset_published asset_id=blog""", "campaigns/c/assets", "items.0.visible", (True, False, False)),
    ("visible: the latest of published and unpublished", """
03-01 00:00 asset_registered asset_id=post asset_type=social_post
03-01 00:00 asset_associated asset_id=post campaign_id=c
03-10 12:00 asset_published id=m asset_id=post
{t} asset_unpublished id=a asset_id=post""", "campaigns/c/assets", "items.0.visible", (True, True, False)),
    ("deal: a touch before the close", """
03-01 00:00 asset_associated asset_id=mail campaign_id=c
03-02 00:00 deal_created deal_id=d contacts=7
03-10 12:00 deal_closed id=m deal_id=d won=true
{t} email_clicked id=a asset_id=mail contact=7""", "deals/d/explain?campaign=c", "counts", (True, False, False)),
    ("deal: associated before the close", """
03-01 00:00 asset_associated asset_id=mail campaign_id=c
03-02 00:00 email_clicked asset_id=mail contact=7
03-02 00:00 deal_created deal_id=d
03-10 12:00 deal_closed id=m deal_id=d won=true
{t} deal_contact_associated id=a deal_id=d contact=7""", "deals/d/explain?campaign=c", "counts", (True, False, False)),
    ("deal: dissociated before the close", """
03-01 00:00 asset_associated asset_id=mail campaign_id=c
03-02 00:00 email_clicked asset_id=mail contact=7
03-02 00:00 deal_created deal_id=d contacts=7
03-10 12:00 deal_closed id=m deal_id=d won=true
{t} deal_contact_dissociated id=a deal_id=d contact=7""", "deals/d/explain?campaign=c", "counts", (False, True, True)),
    ("deal: reopened after its close, by its id", """
03-02 00:00 deal_created deal_id=d contacts=7
03-10 12:00 deal_closed id=m deal_id=d won=true
{t} deal_reopened id=z deal_id=d""", "deals/d/attribution", "state", ("won", "open", "open")),
    ("deal: closed in a range", """
03-01 00:00 asset_associated asset_id=mail campaign_id=c
03-02 00:00 email_clicked asset_id=mail contact=7
03-02 00:00 deal_created deal_id=d contacts=7
{t} deal_closed deal_id=d won=true""", "campaigns/c/overview?from=2024-03-10T12:00:00Z", "metrics.closed_deals", (0, 1, 1)),
    ("credit: within the lookback", """
03-01 00:00 workspace_configured settings={"lookback_days": 10}
03-02 00:00 deal_created deal_id=d contacts=7
03-20 12:00 deal_closed deal_id=d won=true
{t} email_clicked id=a asset_id=mail contact=7""", "deals/d/attribution?all", "others.0.reason", ("outside_lookback", None, None)),
    ("credit: before the close", """
03-02 00:00 deal_created deal_id=d contacts=7
03-10 12:00 deal_closed id=m deal_id=d won=true
{t} email_clicked id=a asset_id=mail contact=7""", "deals/d/attribution?all", "others.0.reason", (None, "after_close", "after_close")),
    ("key interactions: the deal's creation", """
03-02 00:00 email_clicked asset_id=mail contact=7
03-10 12:00 deal_created id=a deal_id=d contacts=7
{t} email_clicked id=z asset_id=mail contact=7
03-11 00:00 email_clicked asset_id=mail contact=7
03-12 00:00 deal_closed deal_id=d won=true""", "deals/d/attribution", "shares.1.roles", (["deal_creation"], ["deal_creation"], [])),
    ("key interactions: the lead's creation", """
03-02 00:00 page_visited visitor_id=v url=https://s.example/
{t} page_visited id=a visitor_id=v url=https://s.example/
03-10 12:00 contact_identified id=m visitor_id=v contact=7
03-11 00:00 email_clicked asset_id=mail contact=7
03-01 00:00 deal_created deal_id=d
03-11 12:00 deal_contact_associated deal_id=d contact=7
03-12 00:00 deal_closed deal_id=d won=true""", "deals/d/attribution", "shares.1.roles", (["lead_creation"], ["lead_creation"], [])),
    ("a range begins", """
03-01 00:00 asset_associated asset_id=form campaign_id=c
{t} form_submitted visitor_id=v asset_id=form""", "campaigns/c/overview?from=2024-03-10T12:00:00Z", FORMS, (0, 1, 1)),
    ("a range ends", """
03-01 00:00 asset_associated asset_id=form campaign_id=c
{t} form_submitted visitor_id=v asset_id=form""", "campaigns/c/overview?to=2024-03-10T12:00:00Z", FORMS, (1, 0, 0)),
    ("a day begins in the workspace's time zone", """
03-01 00:00 workspace_configured settings={"time_zone": "Etc/GMT-12"}
03-01 00:00 asset_associated asset_id=form campaign_id=c
{t} form_submitted visitor_id=v asset_id=form""", "campaigns/c/overview?from=2024-03-11", FORMS, (0, 1, 1)),
    ("influence: a contact newly influenced in a range", """
03-01 00:00 asset_associated asset_id=mail campaign_id=c
{t} email_opened asset_id=mail contact=7
03-11 00:00 email_opened asset_id=mail contact=7""", "campaigns/c/overview?from=2024-03-10T12:00:00Z",
     "metrics.influenced_contacts", (0, 1, 1)),
]  # fmt: skip


def found(answer: Any, where: str) -> Any:
    """What is at a dotted path; None beyond the end of a list."""
    for step in where.split("."):
        if not isinstance(answer, list):
            answer = answer[step]
        elif int(step) < len(answer):
            answer = answer[int(step)]
        else:
            return None
    return answer


@pytest.mark.parametrize(
    ("lines", "path", "where", "answers"), [b[1:] for b in BOUNDARIES], ids=[b[0] for b in BOUNDARIES]
)
def test_boundary(
    running: Running, runner: asyncio.Runner, lines: str, path: str, where: str, answers: tuple[Any, Any, Any]
) -> None:
    """The same events in a workspace for each of the three moments."""
    fixed = [line for line in lines.strip().splitlines() if not line.startswith("{t}")]
    (moving,) = [line for line in lines.splitlines() if line.startswith("{t}")]

    async def run() -> list[Any]:
        out = []
        for moment in MOMENTS:
            workspace = await new_workspace(running, "boundary")
            items = [event(line.replace("{t}", moment)) for line in [*fixed, moving]]
            response = await workspace.send(*({"occurred_at": e.pop("at"), **e} for e in items))
            assert response.json()["rejected"] == [], response.text
            await workspace.project()
            answer = await workspace.get(f"/v1/{path}")
            assert answer.status_code == 200, answer.text
            out.append(found(answer.json(), where))
        return out

    assert tuple(runner.run(run())) == answers


NOW_US = 1_800_000_000_000_000


@pytest.mark.parametrize(
    ("key", "offset_us", "code"),
    [
        ("server", DAY_US, None), ("server", DAY_US + 1, "in_the_future"), ("collect", -7 * DAY_US, None),
        ("collect", -7 * DAY_US - 1, "too_old"), ("server", -7 * DAY_US - 1, None),
    ],
)  # fmt: skip
def test_how_far_from_its_receipt_an_event_may_be(key: Any, offset_us: int, code: str | None) -> None:
    at = to_rfc3339(NOW_US + offset_us)
    body = f'{{"type": "page_visited", "visitor_id": "v", "url": "https://s.example/", "occurred_at": "{at}"}}'
    outcome = accept(body.encode(), 0, key, NOW_US, None)
    assert isinstance(outcome, Record if code is None else Refusal)
    assert code is None or (isinstance(outcome, Refusal) and outcome.code == code)


def test_how_late_a_live_event_may_be() -> None:
    assert bucket(LIVE_US_MAX) is not None
    assert bucket(LIVE_US_MAX + 1) is None
