"""`/v1/reports`: what earned or brought what, what campaigns cost and returned, and by which paths deals were won."""

from collections.abc import Sequence

from fastapi import APIRouter, Request, Response

from services.api import parameters as takes
from services.api.requests import Api, ReadRequest, answer, read_request
from shared.events.currencies import CURRENCIES
from shared.reading.conversion_paths import PATH_DEAL_ORDER, PATH_ORDER, deals_of_path, paths_report, types_of_path
from shared.reading.cursors import encode_cursor
from shared.reading.drilldown_groups import CONTACT_ORDER, DEAL_ORDER, GroupPage, contacts_of_group, deals_of_group
from shared.reading.markov import TooManyGroups
from shared.reading.reports import ALL_CURRENCIES, Of, Question, attribution_report, has_deal_in
from shared.reading.roi import roi_report
from shared.rules.data_driven import DATA_DRIVEN
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
            question = await _question(read, read.models_or(DATA_DRIVEN), list(Of))
            if question.of is not Of.REVENUE and (names := [name for name in question.models if name in DATA_DRIVEN]):
                detail = f"`{names[0]}` shares out revenue alone, not {question.of}"
                raise Problem(422, "bad_parameter", detail, field="model")
            try:
                return answer(read, await attribution_report(read.snapshot, read.range, question))
            except TooManyGroups as error:
                raise Problem(422, "bad_parameter", str(error), field="group_by") from error

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
            page = await paths_report(read.snapshot, read.range, read.after_key(PATH_ORDER), read.limit + 1)
            return answer(read, {**read.page_of(*page), **read.range.as_json()})

    @router.get("/paths/deals", openapi_extra=takes.read(takes.PATH, *takes.RANGE, *takes.PAGE))
    async def get_path_deals(request: Request) -> Response:
        """The deals won in the range by a path, the latest close first; without `path`, all that have a journey.

        Each has the number of its `touches`, and how many days were between the first of them and the close.
        """
        async with read_request(api, request, heavy=True) as read:
            text = read.query.get("path")
            try:
                path = None if text is None else types_of_path(text)
            except ValueError as error:
                raise Problem(422, "bad_parameter", f"`path`: {error}", field="path") from error
            after = read.after_key(PATH_DEAL_ORDER)
            page = await deals_of_path(read.snapshot, read.range, path, after, read.limit + 1)
            return answer(read, {**read.page_of(*page), **read.range.as_json()})

    _add_behind(router, api)
    return router


def _add_behind(router: APIRouter, api: Api) -> None:
    """The routes of what is behind a row of the report."""
    which = takes.MODEL, takes.GROUP_BY, takes.GROUP, takes.NO_GROUP, takes.CURRENCY, *takes.RANGE, *takes.PAGE

    @router.get("/attribution/deals", openapi_extra=takes.read(takes.OF_DEALS, *which))
    async def get_attribution_deals(request: Request) -> Response:
        """The deals behind a row of the report, each with its `share`: what the group earned of it. With `of=deals`, the deals created, each
        with its `credit`: what part of it the group brought. The latest close, or creation, is first.

        Shares and credit add up to the row. A page may have fewer items than `limit`, also none, although more follow.
        """
        async with read_request(api, request, heavy=True) as read:
            question = await _question(read, [read.model], [Of.REVENUE, Of.DEALS])
            after = read.after_key(DEAL_ORDER[question.of])
            page = await deals_of_group(read.snapshot, read.range, question, _group(read), after, read.limit)
            return _behind(read, question, page)

    @router.get("/attribution/contacts", openapi_extra=takes.read(takes.OF, *which))
    async def get_attribution_contacts(request: Request) -> Response:
        """The contacts behind a row of the report, the latest created first: of the revenue of won deals, of deals or of contacts created.

        Each has what its touches of the group brought: of revenue its `share`, a list of money, else its `credit`. They add up to the row.
        A page may have fewer items than `limit`, also none, although more follow.
        """
        async with read_request(api, request, heavy=True) as read:
            question, after = await _question(read, [read.model], list(Of)), read.after_key(CONTACT_ORDER)
            page = await contacts_of_group(read.snapshot, read.range, question, _group(read), after, read.limit)
            return _behind(read, question, page)


def _behind(read: ReadRequest, question: Question, page_of_group: GroupPage) -> Response:
    page = {
        "items": page_of_group.items,
        "next_cursor": None if page_of_group.after is None else encode_cursor(page_of_group.after),
    }
    report = {"model": question.models[0], "of": str(question.of), "group_by": str(question.by)}
    currency = {"currency": question.currency} if question.of is Of.REVENUE else {}
    return answer(read, {**page, **report, **currency, **read.range.as_json()})


async def _question(read: ReadRequest, models: Sequence[str], among: Sequence[Of]) -> Question:
    """What a report is to be of. Raises a 422 `Problem`."""
    by, of = GroupBy(read.choice("group_by", list(GroupBy), "campaign")), Of(read.choice("of", among, "revenue"))
    currency = await _currency(read, several=True)
    if of is not Of.REVENUE and "currency" in read.query:
        detail = f"`currency` is of revenue; a report of {of} has none"
        raise Problem(422, "bad_parameter", detail, field="currency")
    return Question(models, by, of, currency)


def _group(read: ReadRequest) -> Group | None:
    """The row that the parameters `group` and `reason` name; None: the total. Raises a 422 `Problem`."""
    name, reason = read.query.get("group"), read.chosen("reason", list(NoGroup))
    if name is not None and reason is not None:
        detail = "`group` names a row, and `reason` is of the row of what belongs to no group: give one of them"
        raise Problem(422, "bad_parameter", detail, field="reason")
    return None if name is None and reason is None else Group(name, None if reason is None else NoGroup(reason))


async def _currency(read: ReadRequest, *, several: bool) -> str:
    """The currency that is asked for; `all` if `several` may be. Raises a 422 `Problem` for one that no event of the workspace can
    have had.

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
