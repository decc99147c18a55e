"""Servers to compare, run as `python -m benchmarks.servers MODE`.

`ingest`: ingest alone. `decode`: an endpoint that only decodes. `bare`: endpoints that answer and do nothing. `in-batch` and `in-background`: all services; settings that
concern all of a history are applied within the batch that brings them, whatever its size, or as in production.
"""

import asyncio
import json
import socket
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvicorn
import uvloop
from fastapi import FastAPI, Request, Response

from services.ingest.pixel import GIF
from services.projector.worker import Worker
from shared.events.codec import Record, accept, split_request
from shared.gc_tuning import collect_garbage_rarely
from shared.projection.reprojection import Limits
from touchline import logs
from touchline.compose import Running, compose
from touchline.configuration import Configuration
from touchline.embedded import Embedded
from touchline.first_keys import first_keys
from touchline.serve import listen, serve


def decode_only() -> FastAPI:
    """Decodes and checks every event, and keeps none."""
    app = FastAPI()

    @app.post("/v1/events")
    async def post_events(request: Request) -> Response:
        now_us = time.time_ns() // 1000
        body = b"".join([chunk async for chunk in request.stream()])
        outcomes = [accept(part, i, "server", now_us, None) for i, part in enumerate(split_request(body, ndjson=False))]
        accepted = sum(isinstance(outcome, Record) for outcome in outcomes)
        return Response(b'{"accepted":%d,"position":"p0-0"}' % accepted, status_code=202, media_type="application/json")

    return app


def bare() -> FastAPI:
    """Answers the pixel and `POST /v1/events` without reading what was sent."""
    app = FastAPI()

    @app.get("/v1/p.gif")
    async def pixel(_: Request) -> Response:
        return Response(GIF, media_type="image/gif")

    @app.post("/v1/events")
    async def post_events(_: Request) -> Response:
        return Response(
            b'{"accepted":1,"position":"p0-0","rejected":[]}', status_code=202, media_type="application/json"
        )

    return app


async def _serve(mode: str, url: str, data: Path) -> None:
    running = await compose(url, Configuration())
    keys = await first_keys(running.pool, data, "default")
    sock = listen("127.0.0.1", 0)
    if mode == "decode":
        running = replace(running, app=decode_only())

    async def ready() -> None:
        print(json.dumps({"url": f"http://127.0.0.1:{sock.getsockname()[1]}", "keys": keys}), flush=True)
        await asyncio.sleep(0)

    if mode == "bare":
        await _serve_bare(running, sock, ready)
        return
    if mode in ("decode", "ingest"):
        running = replace(running, projectors=None)
    elif mode == "in-batch":
        _apply_within_batches(running)
    await serve(running, sock, ready)


async def _serve_bare(running: Running, sock: socket.socket, ready: Callable[[], Awaitable[None]]) -> None:
    """The endpoints that do nothing, on uvicorn as it comes, but without its log of every request, and with as little garbage collection as ours."""
    collect_garbage_rarely()
    config = uvicorn.Config(bare(), log_level="warning", log_config=None, access_log=False, lifespan="off", ws="none")
    await ready()
    await uvicorn.Server(config).serve(sockets=[sock])
    await running.close()


def _apply_within_batches(running: Running) -> None:
    """Let no history be too big for the batch."""
    assert running.projectors is not None
    make = running.projectors.make

    def unlimited(*arguments: Any) -> Worker:
        return replace(make(*arguments), limits=Limits(events=10**12, deals=10**12))

    running.projectors.make = unlimited


def main() -> None:
    """Serve until SIGTERM, on a data directory that is thrown away."""
    logs.configure("json", "WARNING")
    with tempfile.TemporaryDirectory() as data:
        embedded = Embedded(Path(data))
        url = embedded.start()
        try:
            uvloop.run(_serve(sys.argv[1], url, Path(data)))
        finally:
            embedded.stop()


if __name__ == "__main__":
    main()
