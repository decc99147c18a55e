"""How do the services reach PostgreSQL? By asyncpg pools and plain SQL; and what says that it is away?"""

from typing import Any

import asyncpg
import orjson

STATEMENTS_CACHED = 512  # prepared statements a connection keeps; one process has fewer
CONNECT_S = 5.0  # a server that has not let us in by then is away


class Unreachable(ConnectionError):
    """No connection to PostgreSQL could be made: its socket is not there, its host is unknown, or it does not answer."""


AWAY = (
    ConnectionError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError, asyncpg.InternalClientError,
)  # fmt: skip
"""What is raised while the database is away: restarting, out of connections or memory, or not to be reached.

asyncpg's internal error is that of a connection which was cut just as a statement began: it is thrown away, as all others are.

Of the operating system's errors only those of connections: a file that is not there says nothing of the database.
"""


async def connect(*arguments: Any, **options: Any) -> "asyncpg.Connection[asyncpg.Record]":
    """A connection, as `asyncpg.connect` makes it. Raises `Unreachable` where the system says that there is none to be had."""
    try:
        return await asyncpg.connect(*arguments, **options)
    except OSError as error:
        raise Unreachable(error_text(error)) from error


async def prepare_connection(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """JSONB as Python objects; binary, so that COPY takes them too: the version of the format, 1, and the text."""
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
    """What an error says, or its name if it says nothing."""
    return str(error) or type(error).__name__
