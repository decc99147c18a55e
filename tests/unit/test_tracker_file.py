"""The tracker that the wheel serves is what the sources build, is small, and is served under its digest."""

import asyncio
import gzip
import json
import shutil
import subprocess
from pathlib import Path

import httpx

from services.ingest.tracker import LONG_S, SHORT_S, built, name_of
from tests.programs import there
from touchline.compose import Running

SOURCES = Path(__file__).parents[2] / "web" / "tracker"
BYTES_MAX = 4 * 1024  # compressed with gzip: less than a small picture


def test_the_tracker_is_smaller_than_4_kib() -> None:
    _, content = built()
    assert len(gzip.compress(content, 9)) < BYTES_MAX


def test_its_name_is_the_digest_of_its_content() -> None:
    name, content = built()
    assert name == name_of(content)


def test_its_lock_names_no_registry() -> None:
    lock = (SOURCES / "package-lock.json").read_text()
    assert "://" not in lock
    assert all(
        "resolved" not in each and ("integrity" in each or not name)
        for name, each in json.loads(lock)["packages"].items()
    )


def test_the_served_file_is_what_the_sources_build(tmp_path: Path) -> None:
    there("npm")
    there("node")
    copy, out = tmp_path / "tracker", tmp_path / "out"
    shutil.copytree(SOURCES, copy, ignore=shutil.ignore_patterns("node_modules"))
    out.mkdir()
    for command in (
        ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"],
        ["npm", "run", "--silent", "types"],
        ["node", "build.mjs", str(out)],
    ):
        done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
    (made,) = out.iterdir()
    assert (made.name, made.read_bytes()) == built()


def test_the_tracker_is_served_with_a_short_life_and_by_its_digest_with_a_long_one(
    running: Running, runner: asyncio.Runner
) -> None:
    name, content = built()

    async def asked() -> None:
        transport = httpx.ASGITransport(running.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
            short = await client.get("/t.js")
            assert (short.content, short.headers["cache-control"]) == (content, f"public, max-age={SHORT_S}")
            assert short.headers["content-type"].startswith("text/javascript")
            again = await client.get("/t.js", headers={"If-None-Match": short.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
            long = await client.get(f"/{name}")
            assert (long.content, long.headers["cache-control"]) == (content, f"public, max-age={LONG_S}, immutable")
            assert (await client.get("/t.0123456789ab.js")).status_code == 404

    runner.run(asked())
