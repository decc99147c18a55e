"""`/v1/status`, `/healthz` and `/readyz`: is it well, and how far behind?"""

import asyncpg
import orjson
from fastapi import APIRouter, Request, Response

from services.api.reading import Api, answer, reading

DEAD_LETTERS = """
SELECT count(*) FROM touchline.dead_letter d JOIN touchline.workspace w ON w.workspace_id = d.workspace_id
WHERE w.number = $1
"""
NAME = "SELECT name, workspace_id FROM touchline.workspace WHERE number = $1"


def routes(api: Api) -> APIRouter:
    """The routes of this file."""
    router = APIRouter()

    @router.get("/v1/status", tags=["operations"])
    async def get_status(request: Request) -> Response:
        """Lag, position, generation and dead letters of the workspace."""
        async with reading(api, request) as read:
            partition = read.as_of.partition
            end = await api.log.end(partition)
            workspace = await read.connection.raw.fetchrow(NAME, read.ws)
            dead_letters = await read.connection.raw.fetchval(DEAD_LETTERS, read.ws)
            body = {
                "workspace": {
                    "id": workspace["workspace_id"] if workspace else None,
                    "name": workspace["name"] if workspace else None,
                    "currency": read.settings.currency, "time_zone": read.settings.time_zone,
                },
                "generation": api.generation, "partition": partition, "projected_offset": read.as_of.offset,
                "log_end_offset": end, "lag_events": max(0, end - read.as_of.offset), "dead_letters": dead_letters,
            }  # fmt: skip
            return answer(read, body)

    @router.get("/healthz", tags=["operations"])
    async def healthz() -> Response:
        """The process answers."""
        return _json({"status": "ok"})

    @router.get("/readyz", tags=["operations"])
    async def readyz() -> Response:
        """Log and store are reachable."""
        try:
            await api.log.end(0)
            await api.pool.fetchval(f"SELECT 1 FROM {api.generation}.progress LIMIT 1")
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            return _json({"status": "unavailable", "detail": str(error)}, 503)
        return _json({"status": "ready"})

    return router


def _json(body: dict[str, str], status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")
