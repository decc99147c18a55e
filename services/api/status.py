"""`/v1/status`: how far behind is a workspace?"""

from fastapi import APIRouter, Request, Response

from services.api import parameters as takes
from services.api.reading import Api, Reading, answer, reading
from shared.events.instants import to_rfc3339

DEAD_LETTERS = """
SELECT d.reason, d.key_hint, count(*) AS events
FROM touchline.dead_letter d WHERE d.workspace_id = $1 GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2
"""
PUSHED_OUT = """
SELECT nullif(p.key_hint, '') AS key, sum(p.events)::bigint AS events
FROM touchline.dead_letter_pushed_out p WHERE p.workspace_id = $1 GROUP BY 1 ORDER BY 2 DESC, 1
"""
NAME = "SELECT name, workspace_id FROM touchline.workspace WHERE workspace_id = $1"


def routes(api: Api) -> APIRouter:
    """The routes of this file."""
    router = APIRouter()

    @router.get("/v1/status", tags=["operations"], openapi_extra=takes.read())
    async def get_status(request: Request) -> Response:
        """Lag, position and generation of the workspace, and its dead letters by reason and by the key that sent them, and those
        that later ones of a key pushed out.

        While the log is away, its end is null. `settings_under_way` is null unless settings were changed that concern all of
        a large history: then all numbers are those of the settings before, until its events are projected anew.
        """
        async with reading(api, request, log_end=True) as read:
            end = read.log_end_offset
            workspace = await read.connection.raw.fetchrow(NAME, read.workspace)
            letters = await read.connection.raw.fetch(DEAD_LETTERS, read.workspace)
            pushed_out = await read.connection.raw.fetch(PUSHED_OUT, read.workspace)
            body = {
                "workspace": {
                    "id": workspace["workspace_id"] if workspace else None,
                    "name": workspace["name"] if workspace else None,
                    "currency": read.settings.currency, "time_zone": read.settings.time_zone,
                },
                "generation": read.generation, "up_to_date": None if end is None else end <= read.as_of.offset,
                **(_of_partition(read, end) if read.of_operator else NOT_TOLD),
                "settings_under_way": _under_way(read),
                "dead_letters": sum(row["events"] for row in letters),
                "dead_letters_by": [
                    {"reason": row["reason"], "key": row["key_hint"], "events": row["events"]} for row in letters
                ],
                "dead_letters_pushed_out": [dict(row) for row in pushed_out],
            }  # fmt: skip
            return answer(read, body)

    return router


NOT_TOLD = dict.fromkeys(("partition", "projected_offset", "log_end_offset", "lag_events"))
"""Of a partition, which workspaces share: numbers that tell what the neighbours send are for the operator alone."""


def _under_way(read: Reading) -> dict[str, str | int | None] | None:
    under_way = read.under_way
    if under_way is None:
        return None
    since = to_rfc3339(under_way.started_us)
    return {"since": since, "events_done": under_way.events_done, "events_to_do": under_way.events_to_do}


def _of_partition(read: Reading, end: int | None) -> dict[str, int | None]:
    return {
        "partition": read.as_of.partition, "projected_offset": read.as_of.offset, "log_end_offset": end,
        "lag_events": None if end is None else max(0, end - read.as_of.offset),
    }  # fmt: skip
