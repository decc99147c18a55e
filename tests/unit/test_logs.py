"""No line of a log shows a key or the value of a local variable; and an error is logged at once."""

import io
import logging
from collections.abc import Iterator

import pytest
import structlog

from tests.cpu_time import within_cpu_s
from touchline import logs

KEY = "tls_ZmFrZWtleWZha2VrZXlmYWtla2V5MDEy"
BASIC = "dGxzX1ptRnJaV3RsZVdaaGEyVnJaWGw6"
LINES = [
    f"Bearer {KEY}", f"Authorization: Bearer {KEY}", f"{{'authorization': 'Basic {BASIC}'}}", f"(b'authorization', b'Basic {BASIC}')",
    f"GET /v1/p.gif?k={KEY}&t=page", f"authorization: {BASIC}", f'"Authorization":"Token {BASIC}"', f"bearer%20{BASIC}", f"BEARER  {BASIC}",
    f"key={KEY};", f"{KEY}{KEY}", f"x{KEY}", f"Proxy-Authorization: Basic {BASIC}", f"tla_{KEY[4:]} tlc_{KEY[4:]} tlr_{KEY[4:]}",
]  # fmt: skip


@pytest.fixture(params=["console", "json"])
def written(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What is logged, in one of the formats. Loggers that other tests have used keep their processors: they are the same list again."""
    root = logging.getLogger()
    before, level, processors = root.handlers, root.level, structlog.get_config()
    logs.configure(request.param, "INFO")
    stream = io.StringIO()
    (handler,) = root.handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(stream)
    yield stream
    structlog.configure(**processors)
    root.handlers, root.level = before, level


def secret(text: str) -> bool:
    return KEY[4:] in text or BASIC in text


@pytest.mark.parametrize("line", LINES)
def test_a_key_is_nowhere_in_a_log_line(written: io.StringIO, line: str) -> None:
    logger = structlog.stdlib.get_logger("touchline.test")
    logger.info(line)
    logger.warning("x", headers=line, nested={"a": [line, {line: 1}]}, raw=line.encode(), **{f"of_{KEY}": 1})
    logging.getLogger("uvicorn.error").error("of a library: %s", line)
    try:
        raise ValueError(line)
    except ValueError as error:
        logger.exception("it failed", why=error)
        logging.getLogger("asyncio").exception("theirs failed")
    text = written.getvalue()
    assert text.count("ValueError") >= 2
    assert not secret(text), text


def test_a_traceback_has_no_local_variables(written: io.StringIO) -> None:
    hidden = "what-nobody-should-read"

    def fails(argument: str) -> None:
        raise RuntimeError(len(argument))

    try:
        fails(hidden)
    except RuntimeError:
        structlog.stdlib.get_logger("touchline.test").exception("it failed")
        logging.getLogger("uvicorn.error").exception("theirs failed")
    text = written.getvalue()
    assert "in fails" in text
    assert hidden not in text.replace("fails(hidden)", "")


def test_an_endless_recursion_is_logged_in_milliseconds(written: io.StringIO) -> None:
    def endless(ballast: list[int]) -> None:
        endless([*ballast, 1])

    try:
        endless([])
    except RecursionError:
        with within_cpu_s(0.1):
            structlog.stdlib.get_logger("touchline.test").exception("it failed", ballast="x" * 10_000)
    assert len(written.getvalue()) < 40_000


def test_the_cause_of_an_error_is_logged_too(written: io.StringIO) -> None:
    try:
        try:
            raise KeyError("the first")
        except KeyError as error:
            raise ValueError("the second") from error
    except ValueError:
        structlog.stdlib.get_logger("touchline.test").exception("it failed")
    assert "the first" in written.getvalue()
    assert "the second" in written.getvalue()
