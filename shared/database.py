"""How do the services reach PostgreSQL, and which errors say that it is unreachable? They use asyncpg pools and plain SQL."""

from typing import Any

import asyncpg
import orjson

STATEMENTS_CACHED = 512  # prepared statements that a connection keeps; a process uses fewer
CONNECT_S = 5.0  # a server that has not accepted the connection by then counts as unreachable


class Unreachable(ConnectionError):
    """No connection to PostgreSQL could be made: its socket does not exist, its host is unknown, or it does not answer."""


AWAY = (
    ConnectionError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError, asyncpg.InternalClientError,
)  # fmt: skip
"""The errors raised while the database cannot serve: it restarts, is out of connections or memory, or is unreachable.

asyncpg raises `InternalClientError` for a connection that was cut just as a statement began; the pool discards that connection.

Of the operating system's errors only `ConnectionError` counts: `FileNotFoundError`, for instance, may have another cause.
"""


async def connect(*arguments: Any, **options: Any) -> "asyncpg.Connection[asyncpg.Record]":
    """A connection, as `asyncpg.connect` makes it. Raises `Unreachable` for every `OSError`."""
    try:
        return await asyncpg.connect(*arguments, **options)
    except OSError as error:
        raise Unreachable(f"PostgreSQL cannot be reached: {error_text(error)}") from error


async def prepare_connection(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Map JSONB to Python objects, in the binary format, which COPY needs: one byte with the format's version, 1, then the text."""
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", format="binary", encoder=lambda value: b"\x01" + orjson.dumps(value),
        decoder=lambda value: orjson.loads(value[1:]),
    )  # fmt: skip


async def open_pool(url: str, connections_max: int = 10, **settings: str) -> "asyncpg.Pool[asyncpg.Record]":
    """A pool of connections to `url` (`postgresql://…`), each with these server settings. Raises one of `AWAY`."""
    return await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=connections_max,
        connect=connect,
        init=prepare_connection,
        timeout=CONNECT_S,
        statement_cache_size=STATEMENTS_CACHED,
        max_cached_statement_lifetime=0,
        server_settings={"application_name": "touchline", "jit": "off", "timezone": "UTC", **settings},
    )


def error_text(error: BaseException) -> str:
    """An error's message, or the name of its class if the message is empty."""
    return str(error) or type(error).__name__
