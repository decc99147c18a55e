"""`/v1/status`: how far behind is a workspace?"""

from fastapi import APIRouter, Request, Response

from services.api import parameters as takes
from services.api.requests import Api, Reading, answer, reading

DEAD_LETTERS = """
SELECT d.reason, d.key_hint, count(*) AS events
FROM touchline.dead_letter d JOIN touchline.workspace w ON w.workspace_id = d.workspace_id
WHERE w.number = $1 GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2
"""
PUSHED_OUT = """
SELECT nullif(p.key_hint, '') AS key, sum(p.events)::bigint AS events
FROM touchline.dead_letter_pushed_out p JOIN touchline.workspace w ON w.workspace_id = p.workspace_id
WHERE w.number = $1 GROUP BY 1 ORDER BY 2 DESC, 1
"""
NAME = "SELECT name, workspace_id FROM touchline.workspace WHERE number = $1"


def routes(api: Api) -> APIRouter:
    """The routes of this file."""
    router = APIRouter()

    @router.get("/v1/status", tags=["operations"], openapi_extra=takes.read())
    async def get_status(request: Request) -> Response:
        """Lag, position and generation of the workspace, and its dead letters by reason and by the key that sent them, and those
        that later ones of a key pushed out.

        While the log is away, its end is null.
        """
        async with reading(api, request, log_end=True) as read:
            end = read.log_end_offset
            workspace = await read.connection.raw.fetchrow(NAME, read.ws)
            letters = await read.connection.raw.fetch(DEAD_LETTERS, read.ws)
            pushed_out = await read.connection.raw.fetch(PUSHED_OUT, read.ws)
            body = {
                "workspace": {
                    "id": workspace["workspace_id"] if workspace else None,
                    "name": workspace["name"] if workspace else None,
                    "currency": read.settings.currency, "time_zone": read.settings.time_zone,
                },
                "generation": read.generation, "up_to_date": None if end is None else end <= read.as_of.offset,
                **(_of_partition(read, end) if read.of_operator else NOT_TOLD),
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


def _of_partition(read: Reading, end: int | None) -> dict[str, int | None]:
    return {
        "partition": read.as_of.partition, "projected_offset": read.as_of.offset, "log_end_offset": end,
        "lag_events": None if end is None else max(0, end - read.as_of.offset),
    }  # fmt: skip
