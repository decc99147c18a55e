"""How do the services reach PostgreSQL? One asyncpg pool a process, plain SQL."""

from collections.abc import Awaitable, Callable

import asyncpg
import orjson

Pool = asyncpg.Pool
Connection = asyncpg.Connection

STATEMENTS_CACHED = 512  # prepared statements a connection keeps; one process has fewer


async def prepare_connection(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """JSONB as Python objects."""
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=lambda value: orjson.dumps(value).decode(), decoder=orjson.loads
    )


async def open_pool(
    url: str, connections_max: int = 10, setup: Callable[..., Awaitable[None]] = prepare_connection
) -> "asyncpg.Pool[asyncpg.Record]":
    """A pool of connections to `url` (`postgresql://…`). Raises `OSError` or `asyncpg.PostgresError` if it is away."""
    return await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=connections_max,
        init=setup,
        statement_cache_size=STATEMENTS_CACHED,
        max_cached_statement_lifetime=0,
        server_settings={"application_name": "touchline", "jit": "off", "timezone": "UTC"},
    )
