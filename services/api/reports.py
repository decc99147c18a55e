"""`/v1/reports`: revenue by campaign, several models side by side; what belongs to no campaign is a row, not a footnote."""

from fastapi import APIRouter, Request, Response

from services.api import parameters as takes
from services.api.requests import Api, ReadRequest, answer, read_request
from shared.events.currencies import CURRENCIES
from shared.reading.reports import attribution_report, has_deal_in
from shared.rules.models import MODELS
from shared.web.problems import Problem

GROUPS = ("campaign",)


def routes(api: Api) -> APIRouter:
    """The routes of this file."""
    router = APIRouter(prefix="/v1/reports", tags=["reports"])

    @router.get(
        "/attribution",
        openapi_extra=takes.read(takes.MODELS_, takes.GROUP_BY, takes.CURRENCY, *takes.RANGE, *takes.LISTED),
    )
    async def get_attribution(request: Request) -> Response:
        """Revenue, deals and contacts by group, for one `model` or several; one currency a call."""
        async with read_request(api, request, heavy=True) as read:
            models = read.query.getlist("model") or ["linear"]
            for model in models:
                if model not in MODELS:
                    raise Problem(
                        422,
                        "bad_parameter",
                        f"`model` must be one of {', '.join(MODELS)}, not {model!r}",
                        field="model",
                    )
            read.choice("group_by", GROUPS, "campaign")
            return answer(read, await attribution_report(read.snapshot, read.range, models, await _currency(read)))

    return router


async def _currency(read: ReadRequest) -> str:
    """The currency that is asked for. Raises a 422 `Problem` for one that no event of the workspace can have told.

    A log may hold deals in codes that are accepted no more, and their revenue can be read.
    """
    currency = read.query.get("currency", read.snapshot.settings.currency)
    if (
        currency in CURRENCIES
        or currency == read.snapshot.settings.currency
        or await has_deal_in(read.snapshot, currency)
    ):
        return currency
    message = (
        f"`currency` must be a code of ISO 4217 such as EUR, or a currency of the workspace, not {currency[:100]!r}"
    )
    raise Problem(422, "bad_parameter", message, field="currency")
