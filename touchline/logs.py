"""How do the processes tell what they do? Structured lines on standard error, for a person or as JSON."""

import logging
import sys
from typing import Any

import structlog

REPEATED_S = 10.0  # a library's line that repeats is told once in so long; clients of a broker that is away are many

QUIET = (
    "aiokafka",
    "alembic",
    "asyncio",
    "asyncpg",
    "httpx",
    "uvicorn",
)  # others tell warnings alone, whatever the level


class _Seldom(logging.Filter):
    """Lets a library's line through unless the same one, whatever its arguments, was told just before."""

    def __init__(self) -> None:
        super().__init__()
        self._told_s: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to tell it."""
        if not record.name.startswith(QUIET):
            return True
        line = (record.name, str(record.msg))
        if record.created - self._told_s.get(line, 0.0) < REPEATED_S:
            return False
        self._told_s[line] = record.created
        return True


def configure(form: str, level: str) -> None:
    """Let every logger, ours or a library's, write in one form. `form` is `console` or `json`."""
    chain: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *chain, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    if form == "json":
        last: list[Any] = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    else:
        last = [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    handler = logging.StreamHandler()
    handler.addFilter(_Seldom())
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=chain, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
