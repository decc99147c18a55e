"""The projector of `touchline up` is a process of its own: it is watched, started again, and ends with the other one."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from shared.database import open_pool
from tests.processes import Up, ended, start, until_projected
from touchline.embedded import Embedded

SOON_S = 60.0  # on a busy machine


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    running = start(tmp_path / "data")
    yield running
    if running.process.poll() is None:
        running.stop()


def projector_of(up: Up) -> psutil.Process:
    (one,) = (
        child
        for child in psutil.Process(up.process.pid).children()
        if "touchline.commands.projecting" in child.cmdline()
    )
    return one


def soon(holds: Callable[[], bool]) -> None:
    until_s = time.monotonic() + SOON_S
    while not holds():
        assert time.monotonic() < until_s, "it does not come to hold"
        time.sleep(0.05)


def visit_of(number: int) -> dict[str, str]:
    return {
        "type": "page_visited", "id": f"v{number}", "url": "https://x.example/", "visitor_id": f"n{number}",
        "occurred_at": "2026-01-01T00:00:00Z",
    }  # fmt: skip


def visit(up: Up, number: int) -> None:
    with up.client("server") as client:
        taken = client.post("/v1/events", json=[visit_of(number)])
        assert taken.status_code == 202, taken.text
        position = taken.json()["position"]
    with up.client("read") as client:
        until_projected(client, position)


def events_projected(up: Up) -> float:
    with up.client("read") as client:
        families = text_string_to_metric_families(client.get("/metrics").text)
        return sum(
            sample.value
            for family in families
            for sample in family.samples
            if sample.name == "touchline_projector_events_total"
        )


def test_a_projector_that_is_killed_is_started_again(up: Up) -> None:
    visit(up, 1)
    killed = projector_of(up)
    killed.kill()
    visit(up, 2)
    assert projector_of(up).pid != killed.pid
    with up.client("read") as client:
        soon(lambda: client.get("/readyz").status_code == 200)


def test_the_projector_ends_when_the_process_that_started_it_is_killed(up: Up, tmp_path: Path) -> None:
    projector = projector_of(up)
    up.process.send_signal(signal.SIGKILL)
    ended(up.process)
    projector.wait(SOON_S)
    left_running = Embedded(tmp_path / "data")  # as the next `touchline up` finds PostgreSQL
    left_running.start()
    left_running.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_both_in_order(up: Up, number: int) -> None:
    projector = projector_of(up)
    assert up.stop(number) == 0
    assert not projector.is_running()


def test_a_projector_that_ends_with_an_error_ends_both_and_its_reason_is_printed(up: Up, tmp_path: Path) -> None:
    visit(up, 1)
    with Embedded(tmp_path / "data").reached() as url:
        asyncio.run(cut_log(url))
    projector_of(up).kill()  # a projector looks at its start whether the log has what is projected
    code, output = ended(up.process)
    assert code == 1
    assert "was projected already" in output
    assert output.endswith("the projector ended with exit code 1; the lines before this one say why")


async def cut_log(url: str) -> None:
    async with await open_pool(url, 1) as pool:
        await pool.execute("UPDATE touchline.log_partition SET next_offset = 0")


def test_readyz_and_metrics_say_so_while_the_projector_does_not_answer(up: Up) -> None:
    visit(up, 1)
    with up.client("read") as client:
        assert client.get("/readyz").json()["lag"] == {str(partition): 0 for partition in range(4)}
        projector = projector_of(up)
        projector.suspend()
        try:
            unready = client.get("/readyz")
            families = [family.name for family in text_string_to_metric_families(client.get("/metrics").text)]
        finally:
            projector.resume()
        assert unready.status_code == 503
        assert unready.json()["lag"].startswith("unavailable")
        assert "touchline_http_request_seconds" in families
        assert not any(name.startswith("touchline_projector_") for name in families)
        soon(lambda: client.get("/readyz").status_code == 200)


def test_metrics_has_what_each_of_both_processes_counts_and_each_family_once(up: Up) -> None:
    visit(up, 1)
    soon(lambda: events_projected(up) == 1)
    with up.client("read") as client:
        families = list(text_string_to_metric_families(client.get("/metrics").text))
    assert max(Counter(family.name for family in families).values()) == 1
    appended = {sample.name: sample.value for family in families for sample in family.samples}
    assert appended["touchline_projector_batch_events_count"] == 1
