"""Answers of a sealed store name people: pseudonyms in JSON and CSV are replaced just before the answer is sent."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.log.port import LogUnavailable
from shared.sealing.reveal import revealed_csv, revealed_json
from shared.sealing.vault import Vault
from shared.web.access import WORKSPACE
from shared.web.problems import unavailable

READ = "/v1/"

KINDS = ("application/json", "application/problem+json", "text/csv")  # of answers that may name people


class Revealing:
    """Replaces pseudonyms in what `GET /v1/…` answers to a key; it must see answers before they are compressed."""

    def __init__(self, app: ASGIApp, vault: Vault) -> None:
        self._app, self._vault = app, vault

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and hold back its answer until it is whole."""
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD") or not scope["path"].startswith(READ):
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})
        start: Message | None = None
        parts: list[bytes] = []

        async def held(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                if _kind(message) is None or WORKSPACE not in scope["state"]:
                    await send(message)
                else:
                    start = message
            elif message["type"] != "http.response.body" or start is None:
                await send(message)
            else:
                parts.append(message.get("body", b""))
                if not message.get("more_body"):
                    await self._answer(scope["state"][WORKSPACE], start, b"".join(parts), send)

        await self._app(scope, receive, held)

    async def _answer(self, workspace: str, start: Message, body: bytes, send: Send) -> None:
        reveal = revealed_csv if _kind(start) == "text/csv" else revealed_json
        try:
            body = await reveal(self._vault, workspace, body) if body else body
        except LogUnavailable as error:
            raise unavailable(str(error)) from error
        MutableHeaders(raw=start["headers"])["content-length"] = str(len(body))
        await send(start)
        await send({"type": "http.response.body", "body": body})


def _kind(start: Message) -> str | None:
    """The content type of an answer that may name people; None of any other."""
    headers = Headers(raw=start["headers"])
    media_type = headers.get("content-type", "").partition(";")[0]
    return media_type if media_type in KINDS and "content-encoding" not in headers else None
