"""The log lines of a process: structured lines on standard error, for people or as JSON.

No line holds an access key, and no traceback holds the values of local variables, for some of them are keys.
"""

import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any

import structlog

REPEATED_S = 10.0  # a library's line that repeats is written once in this time; all clients of a broker that is away would write it

FRAMES_MAX = 20  # of a traceback: the innermost ones, for those of an endless recursion are all the same
CHAIN_MAX = 3  # errors of which one caused the next
TRACEBACK_CHARACTERS_MAX = 8_192

_SECRETS = (
    re.compile(r"(?P<kept>tl[a-z]_)[A-Za-z0-9_-]{5,}"),  # keys; their first characters are shown, to distinguish them
    re.compile(r"(?P<kept>\b(?:bearer|basic)(?:\s|%20|\+)+)[^\s'\"\\,;)\]}]+", re.IGNORECASE),
    re.compile(
        r"(?P<kept>\b(?:proxy-)?authorization\b[\s'\"\\]*[:=,]\s*b?[\s'\"\\]*)(?:[a-z]+(?:\s|%20|\+)+)?[^\s'\"\\,;)\]}]+",
        re.IGNORECASE,
    ),
)

QUIET = (
    "aiokafka",
    "alembic",
    "asyncio",
    "asyncpg",
    "httpx",
    "uvicorn",
)  # others log only warnings, whatever the level


class _Seldom(logging.Filter):
    """Drops a library's line if the same line, with any arguments, was written in the last `REPEATED_S` seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._logged_s: dict[tuple[str, str], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        if not record.name.startswith(QUIET):
            return True
        line = (record.name, str(record.msg))
        if record.created - self._logged_s.get(line, 0.0) < REPEATED_S:
            return False
        self._logged_s[line] = record.created
        return True


def redacted(text: str) -> str:
    """The text with `…` in place of access keys and of the values of `Authorization` headers."""
    for secret in _SECRETS:
        text = secret.sub(r"\g<kept>…", text)
    return text


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Removes secrets from the finished line: its message, fields, error and traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without secrets."""
        return redacted(super().format(record))


def short_traceback(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put the error of a line as text into its field `exception`: the innermost frames, without local variables."""
    exc_info = event.pop("exc_info", None)
    if exc_info is True:
        exc_info = sys.exc_info()
    error = exc_info[1] if isinstance(exc_info, tuple) else exc_info
    if isinstance(error, BaseException):
        parts = []
        for _ in range(CHAIN_MAX):
            parts.append("".join(traceback.format_exception(error, limit=-FRAMES_MAX, chain=False)))
            cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
            if cause is None:
                break
            error = cause
        event["exception"] = "\nafter:\n".join(parts)[-TRACEBACK_CHARACTERS_MAX:]
    return event


def configure(form: str, level: str) -> None:
    """Set up all loggers, also those of libraries. `form` is `console` or `json`, `level` the least level that is written."""
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
        last: list[Any] = [short_traceback, structlog.processors.JSONRenderer()]
    else:
        last = [
            short_traceback,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_no_traceback),
        ]
    handler = logging.StreamHandler()
    handler.addFilter(_Seldom())
    handler.setFormatter(
        _Formatter(
            foreign_pre_chain=chain, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _no_traceback(*_: Any) -> None:
    """Print no traceback: `short_traceback` has made it a text already."""
