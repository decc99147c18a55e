"""Which request was it? Each has an id, which stands in the header `X-Request-Id` of its answer, in its error, and in lines of the log about it.

The server (`touchline.http`) gives it before the application is asked, and adds the header itself: no layer of the application needs to.
"""

import re
import secrets
from itertools import count

from starlette.types import Scope

HEADER = b"x-request-id"
_KEY = "touchline.request_id"
_SANE = re.compile(rb"[A-Za-z0-9._:-]{1,64}").fullmatch
_PROCESS = secrets.token_hex(5).encode()
_NUMBERS = count(1)


def new_request_id() -> bytes:
    """An id that no other request of this process has, and hardly one of another."""
    return b"%s-%x" % (_PROCESS, next(_NUMBERS))


def identify(scope: Scope) -> bytes:
    """Give a request its id: the one that was sent, if that has 1 to 64 letters, digits and `._:-`, else a new one. Answers it."""
    for name, value in scope["headers"]:
        if name == HEADER:
            chosen: bytes = value if _SANE(value) else new_request_id()
            break
    else:
        chosen = new_request_id()
    scope[_KEY] = chosen.decode()
    return chosen


def request_id_of(scope: Scope) -> str | None:
    """The id of a request; None where no server has given it one."""
    return scope.get(_KEY)
