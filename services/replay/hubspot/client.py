"""How is HubSpot's API called? One request at a time, within its limits, repeated where that may help; no message shows the token.

HubSpot limits the requests of an app in ten seconds (100 or more, by subscription), and its searches in a second. The client obeys
the limit in the headers `X-HubSpot-RateLimit-Max` and `-Interval-Milliseconds`; answers to searches have no such headers.
"""

import asyncio
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type

from services.replay.hubspot.errors import HubSpotRefuses
from services.replay.hubspot.options import BASE_URL

REQUESTS_MAX = 100  # in INTERVAL_S, until HubSpot's headers give another limit
INTERVAL_S = 10.0
SHARE = 0.9  # of what HubSpot allows: its intervals begin at other moments than ours
SEARCHES_MAX = 4  # in a second; HubSpot allows 5
TIMEOUT_S = 60.0  # of one request: a page of a hundred records with their history takes seconds
AGAIN_S = (
    0.5,
    1.0,
    2.0,
    5.0,
    10.0,
    20.0,
    30.0,
    30.0,
)  # pauses after failures of HubSpot or the network: a minute and a half in all
RATE_LIMITED_MAX = 60  # times that HubSpot may ask us to wait with one request: some ten minutes
WAIT_S = {"SECONDLY": 1.0, "TEN_SECONDLY_ROLLING": 10.0}  # by the policy that a 429 names, where it has no Retry-After
WAIT_MAX_S = 120.0  # if HubSpot asks for a longer wait, the import stops with an error
LOCKED_S = 2.0  # the pause that HubSpot's documentation asks for after a locked record (423)
LOOPBACK = ("127.0.0.1", "::1", "localhost")

Json = dict[str, Any]


class HubSpot:
    """A HubSpot account, read with an access token. Use it as an async context manager."""

    def __init__(self, token: str, base_url: str = BASE_URL) -> None:
        """Raise `HubSpotRefuses` for a token or an address that is not valid."""
        if not token or not token.isascii() or any(sign.isspace() or not sign.isprintable() for sign in token):
            raise HubSpotRefuses("the access token is empty, or has characters that are not allowed in a token")
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise HubSpotRefuses(f"{base_url!r} is not an address such as {BASE_URL}")
        if parts.scheme == "http" and parts.hostname not in LOOPBACK:
            raise HubSpotRefuses(f"{base_url!r} is not https: others could read the access token on the network")
        self.base_url = base_url.rstrip("/")
        self._client = httpx.AsyncClient(
            base_url=self.base_url, headers={"Authorization": f"Bearer {token}"}, timeout=TIMEOUT_S
        )
        self._pace = Pace()
        self._search_pace = Pace(SEARCHES_MAX, 1.0, 1.0)
        self.requests = 0
        """How many requests were sent, including repeated ones."""
        self.waited_s = 0.0
        """Seconds spent waiting because HubSpot asked for it or failed."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def get(self, path: str, params: Mapping[str, str | int | Sequence[str]] | None = None) -> Json:
        """GET a path; returns the JSON object of the answer. Raises `HubSpotRefuses`, `NotThere`, `NoScope` or `BadRequest`."""
        return await self._ask("GET", path, params=params)

    async def post(self, path: str, body: Json) -> Json:
        """Like `get`, by POST. Only calls that read data use it, so repeating one is safe."""
        return await self._ask("POST", path, body=body)

    async def _ask(
        self, method: str, path: str, params: Mapping[str, str | int | Sequence[str]] | None = None, body: Json | None = None
    ) -> Json:  # fmt: skip
        patience = _Patience()
        again = AsyncRetrying(
            retry=retry_if_exception_type(_PassingRefusal), wait=patience.pause_s, stop=patience.is_over, sleep=self._sleep,
            reraise=True,
        )  # fmt: skip
        found: Json = await again(self._ask_once, method, path, params, body)
        return found

    async def _ask_once(
        self, method: str, path: str, params: Mapping[str, str | int | Sequence[str]] | None, body: Json | None
    ) -> Json:
        """Like `_ask`, with a single request. Raises `_PassingRefusal` where repeating it may help."""
        await self._pace.wait()
        if path.endswith("/search"):
            await self._search_pace.wait()
        self.requests += 1
        try:
            answer = await self._client.request(method, path, params=params, json=body)
        except httpx.TransportError as error:
            away = f"{self.base_url} cannot be reached: {error or type(error).__name__}"
            raise _PassingRefusal(away) from error
        self._pace.adopt(answer.headers)
        if answer.is_success and (found := _object(answer)) is not None:
            return found
        if answer.status_code in (429, 423, 477):
            wait_s = self._asked_to_wait(answer)
            raise _PassingRefusal(_limited(answer, wait_s), wait_s, limited=True)
        if not answer.is_success and answer.status_code < 500 and answer.status_code != 408:
            raise _refusal(answer, path)
        message = f"{_names(answer)} {len(AGAIN_S) + 1} times in a row to {method} {path}"
        raise _PassingRefusal(message, min(_retry_after(answer) or 0.0, WAIT_MAX_S))

    def _asked_to_wait(self, answer: httpx.Response) -> float:
        wait_s = _retry_after(answer)
        if wait_s is not None:
            return wait_s
        if answer.status_code == 423:
            return LOCKED_S
        policy = str((_object(answer) or {}).get("policyName", ""))
        if policy == "DAILY":
            return WAIT_MAX_S + 1.0
        return WAIT_S.get(policy, WAIT_S["SECONDLY" if answer.url.path.endswith("/search") else "TEN_SECONDLY_ROLLING"])

    async def _sleep(self, wait_s: float) -> None:
        self.waited_s += wait_s
        await asyncio.sleep(wait_s)


class _PassingRefusal(HubSpotRefuses):
    """A failure that may pass. HubSpot asks to wait `asked_s` seconds; `limited` after too many requests or for a locked record."""

    def __init__(self, message: str, asked_s: float = 0.0, *, limited: bool = False) -> None:
        super().__init__(message)
        self.asked_s, self.limited = asked_s, limited


@dataclass
class _Patience:
    """How often, and after which pauses, one request is repeated. Failures and requests to wait are counted separately."""

    failed: int = 0
    limited: int = 0

    def pause_s(self, state: RetryCallState) -> float:
        """Count the error; returns the seconds to wait before the next attempt: as HubSpot asks, or longer after each failure."""
        refusal = _passing(state)
        if refusal.limited:
            self.limited += 1
            return refusal.asked_s
        self.failed += 1
        return max(AGAIN_S[min(self.failed, len(AGAIN_S)) - 1], refusal.asked_s)

    def is_over(self, state: RetryCallState) -> bool:
        """Whether to give up after the error that was just counted."""
        refusal = _passing(state)
        if refusal.limited:
            return self.limited > RATE_LIMITED_MAX or refusal.asked_s > WAIT_MAX_S
        return self.failed > len(AGAIN_S)


def _passing(state: RetryCallState) -> _PassingRefusal:
    assert state.outcome is not None
    refusal = state.outcome.exception()
    assert isinstance(refusal, _PassingRefusal)
    return refusal


class NotThere(HubSpotRefuses):
    """HubSpot has no such record, or has deleted it (404)."""


class NoScope(HubSpotRefuses):
    """The token may not read this (403)."""


class BadRequest(HubSpotRefuses):
    """HubSpot does not accept the request (400); for a page this can mean that its cursor is too old."""


class Pace:
    """Allows at most `requests_max` requests in any `interval_s` seconds, times `share`."""

    def __init__(self, requests_max: int = REQUESTS_MAX, interval_s: float = INTERVAL_S, share: float = SHARE) -> None:
        self._max, self._interval_s, self._share = requests_max, interval_s, share
        self._sent_s: deque[float] = deque()

    async def wait(self) -> None:
        """Wait until one more request may be sent, and count it."""
        now_s = time.monotonic()
        while self._sent_s and now_s - self._sent_s[0] >= self._interval_s:
            self._sent_s.popleft()
        if len(self._sent_s) >= max(1, int(self._max * self._share)):
            await asyncio.sleep(self._interval_s - (now_s - self._sent_s[0]))
            self._sent_s.popleft()
        self._sent_s.append(time.monotonic())

    def adopt(self, headers: httpx.Headers) -> None:
        """Take over the limit that HubSpot's headers give."""
        requests, interval_ms = (
            headers.get("X-HubSpot-RateLimit-Max"),
            headers.get("X-HubSpot-RateLimit-Interval-Milliseconds"),
        )
        if (
            requests
            and interval_ms
            and requests.isdecimal()
            and interval_ms.isdecimal()
            and int(requests)
            and int(interval_ms)
        ):
            self._max, self._interval_s = int(requests), min(int(interval_ms) / 1_000, 60.0)


def _object(answer: httpx.Response) -> Json | None:
    """The JSON object of an answer; None if its body is not a JSON object."""
    try:
        found = answer.json()
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _retry_after(answer: httpx.Response) -> float | None:
    seconds = answer.headers.get("Retry-After", "").strip()
    return float(seconds) if seconds.isdecimal() else None


def _names(answer: httpx.Response) -> str:
    return (
        f"HubSpot answered {answer.status_code}" if not answer.is_success else "HubSpot's answer is not a JSON object"
    )


def _limited(answer: httpx.Response, wait_s: float) -> str:
    message = str((_object(answer) or {}).get("message", "")).strip()
    until = "run the same command again tomorrow" if wait_s > WAIT_MAX_S else "run the same command again later"
    return f"HubSpot's limit of requests is reached ({message or answer.status_code}); {until}, it continues where it stopped"


def _refusal(answer: httpx.Response, path: str) -> HubSpotRefuses:
    """The error for an answer that repeating the request would not change. The quoted answer never holds the token."""
    body = _object(answer) or {}
    message = str(body.get("message", ""))[:500].strip()
    match answer.status_code:
        case 401:
            return HubSpotRefuses("HubSpot does not know the access token (401): it is wrong, expired or revoked")
        case 403:
            scopes = ", ".join(_scopes(body))
            needs = f"needs the scope {scopes}" if scopes else f"says: {message or 'nothing more'}"
            return NoScope(f"HubSpot does not let this access token read {path} (403): it {needs}")
        case 404:
            return NotThere(f"HubSpot has no {path} (404)")
        case 400:
            return BadRequest(f"HubSpot does not accept the request for {path} (400): {message}")
    return HubSpotRefuses(f"HubSpot answered {answer.status_code} to {path}: {message}")


def _scopes(body: Json) -> list[str]:
    """The scopes that HubSpot says are missing."""
    found: list[str] = []
    for error in body.get("errors") or []:
        context = error.get("context") if isinstance(error, dict) else None
        if isinstance(context, dict):
            for name in ("requiredGranularScopes", "requiredScopes", "missingScopes"):
                scopes = context.get(name)
                found += [str(scope) for scope in scopes] if isinstance(scopes, list) else []
    return list(dict.fromkeys(found))
