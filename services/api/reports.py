"""`/v1/reports`: what earned or brought what, what campaigns cost and returned, and by which paths deals were won."""

from fastapi import APIRouter, Request, Response

from services.api import parameters as takes
from services.api.requests import Api, ReadRequest, answer, read_request
from shared.events.currencies import CURRENCIES
from shared.reading.group_deals import GROUP_DEAL_ORDER, deals_of_group
from shared.reading.pages import encode_cursor
from shared.reading.paths import paths_report
from shared.reading.reports import ALL_CURRENCIES, Of, Question, attribution_report, has_deal_in
from shared.reading.roi import roi_report
from shared.rules.report_groups import Group, GroupBy, NoGroup
from shared.web.problems import Problem


def routes(api: Api) -> APIRouter:
    """The routes of this file."""
    router = APIRouter(prefix="/v1/reports", tags=["reports"])

    @router.get(
        "/attribution",
        openapi_extra=takes.read(takes.MODELS_, takes.GROUP_BY, takes.OF, takes.CURRENCY, *takes.RANGE, *takes.LISTED),
    )
    async def get_attribution(request: Request) -> Response:
        """What each group earned of the deals won in the range, for one `model` or several side by side; what belongs to no group has
        rows of its own, with the reason.

        With `of=deals` or `of=contacts`, what each brought of the deals or contacts created in the range, each of which is worth 1.
        """
        async with read_request(api, request, heavy=True) as read:
            by, of = (
                GroupBy(read.choice("group_by", list(GroupBy), "campaign")),
                Of(read.choice("of", list(Of), "revenue")),
            )
            currency = await _currency(read, several=True)
            if of is not Of.REVENUE and "currency" in read.query:
                detail = f"`currency` is of revenue; a report of {of} has none"
                raise Problem(422, "bad_parameter", detail, field="currency")
            return answer(
                read, await attribution_report(read.snapshot, read.range, Question(read.models, by, of, currency))
            )

    @router.get(
        "/attribution/deals",
        openapi_extra=takes.read(
            takes.MODEL, takes.GROUP_BY, takes.GROUP, takes.NO_GROUP, takes.CURRENCY, *takes.RANGE, *takes.PAGE
        ),
    )
    async def get_attribution_deals(request: Request) -> Response:
        """The deals behind a row of the report of revenue, the latest close first, each with what the group earned of it (`share`).

        The shares add up to the row. A page may have fewer items than `limit`, also none, although more follow.
        """
        async with read_request(api, request, heavy=True) as read:
            by = GroupBy(read.choice("group_by", list(GroupBy), "campaign"))
            name, reason = read.query.get("group"), read.chosen("reason", list(NoGroup))
            if name is not None and reason is not None:
                detail = "`group` names a row, and `reason` is of the row of what belongs to no group: give one of them"
                raise Problem(422, "bad_parameter", detail, field="reason")
            group = (
                None if name is None and reason is None else Group(name, None if reason is None else NoGroup(reason))
            )
            asked = Question([read.model], by, Of.REVENUE, await _currency(read, several=True))
            items, after = await deals_of_group(
                read.snapshot, read.range, asked, group, read.after_key(GROUP_DEAL_ORDER), read.limit
            )
            body = {"items": items, "next_cursor": None if after is None else encode_cursor(after)}
            told = {"model": read.model, "group_by": str(by), "currency": asked.currency}
            return answer(read, {**body, **told, **read.range.as_json()})

    @router.get("/roi", openapi_extra=takes.read(takes.MODEL, takes.ONE_CURRENCY, *takes.RANGE, *takes.LISTED))
    async def get_roi(request: Request) -> Response:
        """What each campaign cost and earned in the range, in one currency: budget, spend, cost per contact and deal, return."""
        async with read_request(api, request, heavy=True) as read:
            currency = await _currency(read, several=False)
            return answer(read, await roi_report(read.snapshot, read.range, read.model, currency))

    @router.get("/paths", openapi_extra=takes.read(*takes.RANGE, *takes.PAGE))
    async def get_paths(request: Request) -> Response:
        """The paths of the deals won in the range, the commonest first: the kinds of touches in order, without repetitions."""
        async with read_request(api, request, heavy=True) as read:
            paths = await paths_report(read.snapshot, read.range)
            page = read.page([path.as_json() for path in paths], [path.key for path in paths])
            return answer(read, {**page, **read.range.as_json()})

    return router


async def _currency(read: ReadRequest, *, several: bool) -> str:
    """The currency that is asked for; `all` if `several` may be. Raises a 422 `Problem` for one that no event of the workspace can
    have told.

    A log may hold deals in codes that are accepted no more, and their revenue can be read.
    """
    currency = read.query.get("currency", read.snapshot.settings.currency)
    if (
        (several and currency == ALL_CURRENCIES)
        or currency in CURRENCIES
        or currency == read.snapshot.settings.currency
        or await has_deal_in(read.snapshot, currency)
    ):
        return currency
    words = f"a code of ISO 4217 such as EUR, or a currency of the workspace{', or `all`' if several else ''}"
    raise Problem(422, "bad_parameter", f"`currency` must be {words}, not {currency[:100]!r}", field="currency")
