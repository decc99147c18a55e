"""`/v1/status`: how far behind is a workspace?"""

from fastapi import APIRouter, Request, Response

from services.api import parameters as takes
from services.api.etags import DependsOn
from services.api.requests import Api, ReadRequest, answer, read_request
from shared.events.instants import MINUTE_US, to_rfc3339
from shared.reading.overview import settled_through
from shared.reading.snapshot import Snapshot
from shared.reading.status import dead_letters, dead_letters_pushed_out, workspace_row

SETTLED_STEP_US = MINUTE_US  # of `settled_through`: where nothing happens, a status is the same for so long


def routes(api: Api) -> APIRouter:
    """The routes of this file."""
    router = APIRouter()

    @router.get("/v1/status", tags=["operations"], openapi_extra=takes.read())
    async def get_status(request: Request) -> Response:
        """How far the numbers of the workspace are behind: lag, position, generation, and its dead letters by reason and by the key that sent them, and those
        that later ones of a key pushed out.

        While the log is away, its end is null. `settings_under_way` is null unless settings were changed that concern all of
        a large history: then all numbers are those of the settings before, until its events are projected again.
        """
        async with read_request(api, request, log_end=True, depends_on=DependsOn.MORE) as read:
            end = read.log_end_offset
            workspace = await workspace_row(read.snapshot)
            letters = await dead_letters(read.snapshot)
            pushed_out = await dead_letters_pushed_out(read.snapshot)
            body = {
                "workspace": {
                    "id": workspace["workspace_id"] if workspace else None,
                    "name": workspace["name"] if workspace else None,
                    "currency": read.snapshot.settings.currency, "time_zone": read.snapshot.settings.time_zone,
                },
                "generation": read.snapshot.generation, "up_to_date": None if end is None else end <= read.snapshot.as_of.offset,
                **(_of_partition(read, end) if read.of_operator else HIDDEN),
                "settled_through": await settled_through(read.snapshot, end, SETTLED_STEP_US),
                "settings_under_way": _under_way(read.snapshot),
                "dead_letters": sum(row["events"] for row in letters),
                "dead_letters_by": [
                    {"reason": row["reason"], "key": row["key_hint"], "events": row["events"]} for row in letters
                ],
                "dead_letters_pushed_out": [dict(row) for row in pushed_out],
            }  # fmt: skip
            return answer(read, body)

    return router


HIDDEN = dict.fromkeys(("partition", "projected_offset", "log_end_offset", "lag_events"))
"""The numbers of a partition for a workspace that is not the operator's: workspaces share it, so they would say what others send."""


def _under_way(snapshot: Snapshot) -> dict[str, str | int | None] | None:
    under_way = snapshot.under_way
    if under_way is None:
        return None
    since = to_rfc3339(under_way.started_us)
    return {"since": since, "events_done": under_way.events_done, "events_to_do": under_way.events_to_do}


def _of_partition(read: ReadRequest, end: int | None) -> dict[str, int | None]:
    return {
        "partition": read.snapshot.as_of.partition, "projected_offset": read.snapshot.as_of.offset, "log_end_offset": end,
        "lag_events": None if end is None else max(0, end - read.snapshot.as_of.offset),
    }  # fmt: skip
