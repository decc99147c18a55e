"""What browsers send: the pixel, and the tracker's `POST /v1/events` of one event, beside an endpoint that does nothing.

`wrk` sends from connections that stay open, as fast as the answers come; each request has a visitor and an id of its own, and comes from one of
1,000 addresses, as a proxy tells it, so that the limit by address counts it. One ingest process answers, on the log in PostgreSQL, with all limits
and checks on. The endpoint that does nothing is a FastAPI application on uvicorn as it comes. Wall-clock rates depend on what else the machine does,
so the processor time of the server per request is shown too.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import psutil

SECONDS = int(os.environ.get("BENCHMARK_WEB_S", "10"))
CONNECTIONS = 64  # browsers that wait at once
THREADS = 1  # of wrk: it shares two cores with the server and PostgreSQL
ROUNDS = 2  # in turn, and the better one of each counts
AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
ADDRESS = """
local function address(n) return "198.51." .. n % 10 .. "." .. math.floor(n / 10) % 100 end
"""
PIXEL = """
local n = 0
request = function()
  n = n + 1
  return wrk.format("GET", "/v1/p.gif?k=%(key)s&v=visitor-%(run)s-" .. n .. "&u=https%%3A%%2F%%2Fshop.example%%2F%%3Futm_campaign%%3Dspring",
    {["User-Agent"] = "%(agent)s", ["Referer"] = "https://shop.example/", ["X-Forwarded-For"] = address(n)})
end
"""
EVENT = """
local n = 0
request = function()
  n = n + 1
  local body = '{"events":[{"visitor_id":"visitor-%(run)s-' .. n .. '","id":"%(run)s-' .. n .. '","type":"page_visited",' ..
    '"occurred_at":"2026-11-26T00:00:00.000Z","url":"https://shop.example/?utm_campaign=spring","title":"Shop"}],"sent_at":"2026-11-26T00:00:00.100Z"}'
  return wrk.format("POST", "/v1/events?k=%(key)s",
    {["User-Agent"] = "%(agent)s", ["Origin"] = "https://shop.example", ["Content-Type"] = "text/plain;charset=UTF-8",
     ["X-Forwarded-For"] = address(n)}, body)
end
"""
SCRIPTS = {"pixel": PIXEL, "POST /v1/events": EVENT}


async def web(folder: Path) -> None:
    """Requests a second of the pixel and of `POST /v1/events`, and what each costs, beside an endpoint that answers at once."""
    if shutil.which("wrk") is None:
        sys.exit("this benchmark takes the program wrk")
    best: dict[tuple[str, str], tuple[float, float]] = {}
    for round_ in range(ROUNDS):
        for mode in ("bare", "ingest"):
            for what, measured in _measured(folder, mode, f"{mode}{round_}").items():
                best[mode, what] = max(best.get((mode, what), (0.0, 0.0)), measured)
    for what in SCRIPTS:
        (bare, bare_us), (ours, ours_us) = best["bare", what], best["ingest", what]
        print(f"  {what:16} {ours:8,.0f} requests/s, {ours / bare:.0%} of the bare endpoint ({bare:,.0f})")
        print(f"  {'':16} {ours_us:8,.0f} µs of the process each, bare {bare_us:,.0f}", flush=True)


def _measured(folder: Path, mode: str, run: str) -> dict[str, tuple[float, float]]:
    """Requests a second, and µs of processor time of the server's process a request, by what is sent."""
    command = [sys.executable, "-m", "benchmarks.servers", mode]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        started = json.loads(process.stdout.readline())
        server = psutil.Process(process.pid)
        out = {}
        for what, script in SCRIPTS.items():
            path = folder / "requests.lua"
            path.write_text(ADDRESS + script % {"key": started["keys"]["collect"], "run": run, "agent": AGENT})
            began_s = sum(server.cpu_times()[:2])
            requests, per_s = _wrk(path, started["url"])
            out[what] = (per_s, (sum(server.cpu_times()[:2]) - began_s) / requests * 1e6)
        return out
    finally:
        process.terminate()
        process.wait()


def _wrk(script: Path, url: str) -> tuple[int, float]:
    """How many requests were answered, and how many a second. Raises `AssertionError` if an answer was not 2xx."""
    command = ["wrk", f"-t{THREADS}", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "-s", str(script), url]
    output = subprocess.run(command, capture_output=True, text=True, check=True, timeout=SECONDS + 60).stdout
    assert "Non-2xx" not in output, output
    assert "Socket errors" not in output, output
    requests = re.search(r"(\d+) requests in", output)
    per_s = re.search(r"Requests/sec:\s+([\d.]+)", output)
    assert requests is not None, output
    assert per_s is not None, output
    return int(requests[1]), float(per_s[1])
