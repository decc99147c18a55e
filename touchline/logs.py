"""How do the processes tell what they do? Structured lines on standard error, for a person or as JSON.

No line tells a key, wherever it stood, nor the values of local variables, among which keys stand.
"""

import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from typing import Any

import structlog

REPEATED_S = 10.0  # a library's line that repeats is told once in so long; clients of a broker that is away are many

FRAMES_MAX = 20  # of a traceback, the innermost; the first of an endless recursion tell nothing more
CHAIN_MAX = 3  # errors of which one caused the next
TRACEBACK_CHARACTERS_MAX = 8_192

_SECRETS = (
    re.compile(
        r"(?P<kept>tl[a-z]_)[A-Za-z0-9_-]{5,}"
    ),  # keys; their first characters are shown where they are told apart
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


def redacted(text: str) -> str:
    """The text without keys and without what an `Authorization` header said."""
    for secret in _SECRETS:
        text = secret.sub(r"\g<kept>…", text)
    return text


class _Formatter(structlog.stdlib.ProcessorFormatter):
    """Redacts the line as it will be read, so that nothing in it is forgotten: message, fields, error, traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return redacted(super().format(record))


def short_traceback(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Put the error as text into `exception`: the innermost frames, without local variables."""
    told = event.pop("exc_info", None)
    if told is True:
        told = sys.exc_info()
    error = told[1] if isinstance(told, tuple) else told
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
    """The error is text by then."""
