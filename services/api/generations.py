"""`/v1/generations` and `/v1/verifications`: which projections of the log are there, how do they differ, and what came of checking them?"""

from typing import Any

from fastapi import APIRouter, Request, Response

from services.api import parameters as takes
from services.api.etags import DependsOn
from services.api.progress import LogEnd
from services.api.requests import Api, ReadRequest, answer, read_request
from shared.events.instants import to_rfc3339
from shared.reading.difference import campaigns_that_differ
from shared.reading.generations import Listed, State, generations
from shared.reading.snapshot import another_generation
from shared.store.verifications import read_verifications
from shared.web.problems import Problem

NUMBER_MAX = 2**31 - 1
OF_OTHERS = ("behind_events", "events", "bytes", "made")
"""Fields of a generation of all workspaces that only the operator sees: they would reveal how much others send."""
OPERATORS = ("events", "offsets", "rows", "differences", "left_out", "failure")
"""Fields of a verification that only the operator sees: they are about the rows of all workspaces."""


def routes(api: Api) -> APIRouter:
    """The routes of this file."""
    router = APIRouter(prefix="/v1", tags=["operations"])

    @router.get("/generations", openapi_extra=takes.read(*takes.LISTED))
    async def list_generations(request: Request) -> Response:
        """The projections of the log that there are: the live one, those that are being made, and what-ifs, with what is changed in them.

        Numbers of a generation that holds all workspaces have values only for the operator's workspace, which alone sees those that are
        not live.
        """
        end = await _whole_end(api.log_end, api.partitions)
        async with read_request(api, request, depends_on=DependsOn.MORE) as read:
            all_generations = await generations(read.snapshot.connection.raw)
            live = next((each.events for each in all_generations if each.state is State.LIVE and each.ours), None)
            items = [_as_json(each, live, end, read) for each in all_generations if _may_see(each, read)]
            return answer(read, {"items": items})

    @router.get("/generations/{name:id}/difference", openapi_extra=takes.read(takes.MODEL))
    async def get_difference(name: str, request: Request) -> Response:
        """What each campaign gains or loses in a generation against the live one, or against that of `generation`, in all time.

        Campaigns without a difference are left out. If `same_position` is false, one of the two shows events that the other does not
        have yet, which are differences too.
        """
        async with read_request(api, request, heavy=True, depends_on=DependsOn.MORE) as read:
            other = await another_generation(read.snapshot, name)
            differing = await campaigns_that_differ(read.snapshot, other, read.model)
            fields = {"generation": name, "same_position": read.snapshot.as_of == other.as_of, "model": read.model}
            return answer(read, {**fields, "campaigns": [_campaign(one) for one in differing]})

    @router.get("/verifications", openapi_extra=takes.read(*takes.PAGE))
    async def list_verifications(request: Request) -> Response:
        """The latest 1,000 comparisons of the live rows with what the log makes, the latest first: by `touchline replay verify`, and by
        rebuilds, which compare what they replace.

        What they found in the rows has values only for the operator's workspace.
        """
        async with read_request(api, request, depends_on=DependsOn.MORE) as read:
            verifications = await read_verifications(read.snapshot.connection.raw, _before(read), read.limit + 1)
            hidden = {} if read.of_operator else dict.fromkeys(OPERATORS)
            return answer(
                read, read.page_of([one | hidden for one in verifications], [[one["number"]] for one in verifications])
            )

    return router


async def _whole_end(log_end: LogEnd, partitions: int) -> int | None:
    """How many events the log has in all its partitions; None while it does not answer."""
    ends = [await log_end.of(partition) for partition in range(partitions)]
    return None if None in ends else sum(end for end in ends if end is not None)


def _may_see(each: Listed, read: ReadRequest) -> bool:
    if read.of_operator or each.row["workspace_id"] == read.workspace:
        return True
    return each.state is State.LIVE and each.ours


def _as_json(each: Listed, live: int | None, end: int | None, read: ReadRequest) -> dict[str, Any]:
    row, workspace = each.row, each.row["workspace_id"]
    of = live if each.state is not State.LIVE else end
    behind = None if each.events is None or of is None or workspace is not None else max(0, of - each.events)
    item = {
        "name": each.name, "state": each.state.name.lower(), "workspace": workspace, "shape": row["shape"], "this_release": each.ours,
        "created_at": _instant(row["created_at"]), "live_since": _instant(row["since"]), "expires_at": _instant(row["expires_at"]),
        "events": each.events, "behind_events": behind, "bytes": each.bytes, "made": _made(each), "changes": _changes(row["changes"]),
        "other_lists": [{"package": p, "then": then, "now": now} for p, (then, now) in sorted(each.other_lists.items())],
    }  # fmt: skip
    return item if read.of_operator or workspace == read.workspace else item | dict.fromkeys(OF_OTHERS)


def _instant(at: Any) -> str | None:
    return None if at is None else to_rfc3339(round(at.timestamp() * 1_000_000))


def _made(each: Listed) -> dict[str, Any] | None:
    """The progress of a generation that is being built, as last recorded."""
    row = each.row
    if each.state is not State.UNFINISHED or row["events_to_build"] is None:
        return None
    return {"events": row["events_built"], "of_events": row["events_to_build"], "at": _instant(row["built_at"])}


def _changes(changes: dict[str, Any] | None) -> dict[str, Any] | None:
    """What a what-if has otherwise than the log; of events, how many."""
    if changes is None:
        return None
    received_by = changes["received_by_us"]
    return {
        "settings": changes["settings"], "added": len(changes["added"]), "without": len(changes["without"]),
        "received_by": None if received_by is None else to_rfc3339(received_by),
    }  # fmt: skip


def _campaign(one: dict[str, Any]) -> dict[str, Any]:
    pairs = {
        kind: {name: {"before": was, "after": now} for name, (was, now) in sorted(one[kind].items())}
        for kind in ("metrics", "excluded")
    }
    exists = {"before": one["exists"][0], "after": one["exists"][1]}
    return {"campaign_id": one["campaign_id"], "name": one["name"], "exists": exists, **pairs}


def _before(read: ReadRequest) -> int | None:
    """The number that the cursor names. Raises a 422 `Problem`."""
    match read.cursor:
        case None:
            return None
        case [int(number)] if 0 < number <= NUMBER_MAX:
            return number
        case _:
            raise Problem(422, "bad_parameter", "`cursor` is of another list", field="cursor")
